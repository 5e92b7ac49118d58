/**
 * Where one is, in the fragment of the address: the daemon never learns of it.
 *
 * Keys and prefixes come last and keep their slashes, so that `a//b` and a leading slash are what they are.
 */

import { signal } from "@preact/signals";
import { percent } from "./s3/bytes";

export const SECTIONS = ["general", "policy", "cors", "lifecycle", "tags"] as const;
export type Section = (typeof SECTIONS)[number];

export type Route =
  | { readonly page: "buckets" }
  | { readonly page: "browse"; readonly bucket: string; readonly prefix: string }
  | { readonly page: "versions"; readonly bucket: string; readonly prefix: string }
  | { readonly page: "object"; readonly bucket: string; readonly key: string; readonly version: string | null }
  | { readonly page: "settings"; readonly bucket: string; readonly section: Section }
  | { readonly page: "users" }
  | { readonly page: "disk" };

const LETTERS = { browse: "b", versions: "v", object: "o", settings: "s" } as const;

export function hrefOf(route: Route): string {
  switch (route.page) {
    case "browse":
    case "versions":
      return `#/${LETTERS[route.page]}/${percent(route.bucket)}/${percent(route.prefix, "/")}`;
    case "object": {
      const version = route.version === null ? "" : `?version=${percent(route.version)}`;
      return `#/o/${percent(route.bucket)}/${percent(route.key, "/")}${version}`;
    }
    case "settings":
      return `#/s/${percent(route.bucket)}/${route.section}`;
    default:
      return `#/${route.page}`;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function parse(hash: string): Route {
  const [, letter, bucket, rest] = /^#\/([a-z]+)(?:\/([^/?]*)(?:\/([^]*))?)?$/.exec(hash) ?? [];
  const name = decode(bucket ?? "");
  if (letter === "users" || letter === "disk") return { page: letter };
  if (!name) return { page: "buckets" };
  if (letter === "b") return { page: "browse", bucket: name, prefix: decode(rest ?? "") };
  if (letter === "v") return { page: "versions", bucket: name, prefix: decode(rest ?? "") };
  if (letter === "o") {
    const [key = "", query = ""] = (rest ?? "").split("?");
    const version = /^version=(.*)$/.exec(query)?.[1];
    return { page: "object", bucket: name, key: decode(key), version: version === undefined ? null : decode(version) };
  }
  if (letter === "s") {
    const section = SECTIONS.find((each) => each === rest) ?? "general";
    return { page: "settings", bucket: name, section };
  }
  return { page: "buckets" };
}

export const route = signal<Route>(parse(location.hash));

addEventListener("hashchange", () => (route.value = parse(location.hash)));

export function go(to: Route, options: { replace?: boolean } = {}): void {
  const href = hrefOf(to);
  if (options.replace === true) {
    history.replaceState(null, "", href);
    route.value = parse(href);
  } else {
    location.hash = href;
  }
}

/** The prefix that a key or a prefix is in: all up to the last slash but one at its end. */
export function parentOf(key: string): string {
  const slash = key.slice(0, -1).lastIndexOf("/");
  return slash < 0 ? "" : key.slice(0, slash + 1);
}
