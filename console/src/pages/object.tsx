/** One object: a look at it, what is known of it, and what can be done with it. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { bytes, counted, time } from "../format";
import { Button, Empty, Failure, MenuButton, Spinner } from "../parts/basics";
import { Crumbs } from "../parts/head";
import { useLoaded, useTitle } from "../parts/hooks";
import { DeleteDialog, MoveDialog, RenameDialog } from "../parts/jobs";
import { Preview } from "../parts/preview";
import { saveOne } from "../parts/save";
import { ShareDialog } from "../parts/share";
import { TagsEditor } from "../parts/tags";
import { VersionList } from "../parts/versionlist";
import { go, hrefOf, parentOf } from "../route";
import { S3Error, isAddressable } from "../s3/client";
import type { ObjectEntry } from "../s3/listing";
import { getTags, head as getHead, putTags, type Head } from "../s3/objects";
import { useVersions } from "./versions";

const MAX_TAGS = 10;

type Open = "delete" | "move" | "copy" | "rename" | "share" | null;

interface ObjectProps {
  readonly bucket: string;
  readonly name: string;
  readonly version: string | null;
}

export function ObjectPage({ bucket, name, version }: ObjectProps) {
  const folder = parentOf(name);
  const leaf = name.slice(folder.length);
  useTitle(leaf);
  const head = useLoaded(
    async (signal) => {
      try {
        return await getHead(bucket, name, version, signal);
      } catch (error) {
        if (error instanceof S3Error && error.status === 404) return null;
        throw error;
      }
    },
    [bucket, name, version],
  );
  const versions = useVersions(bucket, name, true);
  const [open, setOpen] = useState<Open>(null);
  const close = (): void => setOpen(null);
  const back = (): void => go({ page: "browse", bucket, prefix: folder }, { replace: true });
  const entry: ObjectEntry = { kind: "object", key: name, size: head.value?.size ?? 0, modified: head.value?.modified ?? "", etag: head.value?.etag ?? "" };
  const chosen = [entry];
  const changed = (): void => {
    head.reload();
    versions.reload();
  };
  return (
    <div class="page object">
      <Crumbs bucket={bucket} path={folder} leaf={leaf} />
      <div class="page-head">
        <div>
          <h1 dir="auto">{leaf}</h1>
          {head.value && <p class="facts">{bytes(head.value.size)} · {time(head.value.modified)} · {head.value.type || "no type"}</p>}
        </div>
        {head.value && (
          <div class="actions">
            <Button kind="primary" icon="download" onClick={() => saveOne(bucket, name, version)}>Download</Button>
            <Button icon="link" onClick={() => setOpen("share")}>Share</Button>
            {version === null && (
              <MenuButton
                label="More"
                items={[
                  { label: "Rename", icon: "edit", action: () => setOpen("rename") },
                  { label: "Move", icon: "move", action: () => setOpen("move") },
                  { label: "Copy", icon: "copy", action: () => setOpen("copy") },
                  { label: "Delete", icon: "trash", danger: true, action: () => setOpen("delete") },
                ]}
              />
            )}
          </div>
        )}
      </div>
      {version !== null && (
        <p class="note">
          This is the version <code>{version}</code>. <a href={hrefOf({ page: "object", bucket, key: name, version: null })}>Show the current one</a>
        </p>
      )}
      {!isAddressable(name) ? (
        <Empty icon="warning" title="No browser can ask for this name">
          <p>There is “.” or “..” between its slashes, which browsers take out of addresses. Give it another name to look at it.</p>
          <div class="actions">
            <Button icon="edit" onClick={() => setOpen("rename")}>Rename</Button>
            <Button icon="trash" kind="danger" onClick={() => setOpen("delete")}>Delete</Button>
          </div>
        </Empty>
      ) : (
        <>
          {head.error && <Failure text={head.error} again={head.reload} />}
          {head.value === undefined && !head.error && <Spinner label="Loading" />}
          {head.value === null && (
            <Empty icon="file" title="There is no such object">
              <p>{versions.versions.length > 0 ? "It was deleted; older versions are below." : "It may have been moved or deleted."}</p>
            </Empty>
          )}
        </>
      )}
      {head.value && (
        <>
          <Preview bucket={bucket} name={name} version={version} head={head.value} />
          <Details head={head.value} />
          <Tags bucket={bucket} name={name} version={version} />
        </>
      )}
      {versions.versions.length > 0 && (
        <Section title="Versions">
          <VersionList bucket={bucket} versions={versions.versions} prefix={null} onChanged={changed} />
          {versions.next !== undefined && <Button busy={versions.loading} onClick={versions.more}>Load more</Button>}
        </Section>
      )}
      {open === "share" && <ShareDialog bucket={bucket} name={name} version={version} onClose={close} />}
      {open === "rename" && (
        <RenameDialog bucket={bucket} base={folder} entry={entry} onClose={close}
          onRenamed={(key) => go({ page: "object", bucket, key, version: null }, { replace: true })} />
      )}
      {(open === "move" || open === "copy") && <MoveDialog bucket={bucket} base={folder} chosen={chosen} keep={open === "copy"} onClose={close} onDone={open === "move" ? back : changed} />}
      {open === "delete" && <DeleteDialog bucket={bucket} base={folder} chosen={chosen} onClose={close} onDone={back} />}
    </div>
  );
}

export function Section({ title, children, id }: { title: string; children: ComponentChildren; id?: string }) {
  return (
    <section class="card" id={id} aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** What a header is called here, in the order in which they are shown. */
const NAMES: readonly (readonly [string, string])[] = [
  ["content-type", "Type"],
  ["content-disposition", "Content-Disposition"],
  ["content-encoding", "Content-Encoding"],
  ["content-language", "Content-Language"],
  ["expires", "Expires"],
  ["x-amz-storage-class", "Storage class"],
  ["x-amz-website-redirect-location", "Redirect of the website"],
  ["x-amz-version-id", "Version"],
  ["x-amz-object-lock-mode", "Retention mode"],
  ["x-amz-object-lock-legal-hold", "Legal hold"],
  ["x-amz-expiration", "Lifecycle"],
];

function Details({ head }: { head: Head }) {
  const { headers } = head;
  const until = headers.get("x-amz-object-lock-retain-until-date");
  const facts: [string, string][] = [["Size", counted(head.size, "byte")], ["Modified", time(head.modified)], ["ETag", head.etag]];
  for (const [header, label] of NAMES) {
    const value = headers.get(header);
    if (value) facts.push([label, value]);
  }
  if (until) facts.push(["Retained until", time(until)]);
  const checksums = [...headers].filter(([name]) => /^x-amz-checksum-(?!type$|mode$)/.test(name));
  for (const [name, value] of checksums) facts.push([`Checksum ${name.replace("x-amz-checksum-", "").toUpperCase()}`, value]);
  const metadata = [...headers].filter(([name]) => name.startsWith("x-amz-meta-"));
  return (
    <>
      <Section title="Details">
        <dl class="details">
          {facts.map(([label, value]) => <Fact key={label} label={label} value={value} />)}
        </dl>
      </Section>
      {metadata.length > 0 && (
        <Section title="Metadata">
          <dl class="details">
            {metadata.map(([name, value]) => <Fact key={name} label={name.replace("x-amz-meta-", "")} value={value} />)}
          </dl>
        </Section>
      )}
    </>
  );
}

const Fact = ({ label, value }: { label: string; value: string }) => (
  <div>
    <dt>{label}</dt>
    <dd dir="auto">{value}</dd>
  </div>
);

function Tags({ bucket, name, version }: ObjectProps) {
  const tags = useLoaded(() => getTags(bucket, name, version), [bucket, name, version]);
  return (
    <Section title="Tags">
      {tags.error && <Failure text={tags.error} again={tags.reload} />}
      {tags.value === undefined && !tags.error && <Spinner label="Loading the tags" />}
      {tags.value !== undefined && <TagsEditor tags={tags.value} most={MAX_TAGS} save={(edited) => putTags(bucket, name, version, edited)} />}
    </Section>
  );
}
