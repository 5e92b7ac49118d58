/** The head of a page: what it is about, the way up from it, and what can be done. */

import type { ComponentChildren } from "preact";
import { hrefOf } from "../route";

export function PageHead({ title, facts, children }: { title: ComponentChildren; facts?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="page-head">
      <div>
        <h1>{title}</h1>
        {facts && <p class="facts">{facts}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </div>
  );
}

/** Every folder above, by name; the last one is where one is. */
export function Crumbs({ bucket, path, page = "browse", leaf }: { bucket: string; path: string; page?: "browse" | "versions"; leaf?: string }) {
  const steps: { name: string; prefix: string }[] = [{ name: bucket, prefix: "" }];
  for (let at = 0; at < path.length; ) {
    const slash = path.indexOf("/", at);
    const end = slash < 0 ? path.length : slash + 1;
    steps.push({ name: path.slice(at, slash < 0 ? end : slash) || "/", prefix: path.slice(0, end) });
    at = end;
  }
  const last = steps.length - 1;
  return (
    <nav class="crumbs" aria-label="Path">
      <ol>
        <li><a href={hrefOf({ page: "buckets" })}>Buckets</a></li>
        {steps.map(({ name, prefix }, i) => (
          <li key={prefix}>
            <a href={hrefOf({ page, bucket, prefix })} dir="auto" aria-current={i === last && leaf === undefined ? "page" : undefined}>{name}</a>
          </li>
        ))}
        {leaf !== undefined && <li><span aria-current="page" dir="auto">{leaf}</span></li>}
      </ol>
    </nav>
  );
}
