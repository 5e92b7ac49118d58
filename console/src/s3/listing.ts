/** Lists of objects and of versions, page by page. */

import { document } from "./client";
import type { Query } from "./sigv4";
import { child, children, decodeName, maybeText, textOf } from "./xml";

export interface ObjectEntry {
  readonly kind: "object";
  readonly key: string;
  readonly size: number;
  readonly modified: string;
  readonly etag: string;
}

export interface PrefixEntry {
  readonly kind: "prefix";
  readonly key: string;
}

export type Entry = ObjectEntry | PrefixEntry;

export interface Page {
  readonly entries: Entry[];
  /** Where the next one begins; undefined after the last one. */
  readonly next: string | undefined;
}

export interface ListOptions {
  readonly delimiter?: string;
  readonly token?: string | undefined;
  readonly max?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A page of at most 1,000 names that begin with `prefix`, in the order of their bytes. */
export async function list(bucket: string, prefix: string, options: ListOptions = {}): Promise<Page> {
  const query: [string, string][] = [["list-type", "2"], ["encoding-type", "url"], ["max-keys", String(options.max ?? 1000)]];
  if (prefix) query.push(["prefix", prefix]);
  if (options.delimiter) query.push(["delimiter", options.delimiter]);
  if (options.token !== undefined) query.push(["continuation-token", options.token]);
  const root = await document({ path: `/${bucket}`, query, signal: options.signal });
  const entries: Entry[] = [];
  for (const each of root.children) {
    if (each.localName === "Contents") {
      entries.push({
        kind: "object",
        key: decodeName(textOf(each, "Key")),
        size: Number(textOf(each, "Size")),
        modified: textOf(each, "LastModified"),
        etag: textOf(each, "ETag"),
      });
    } else if (each.localName === "CommonPrefixes") {
      entries.push({ kind: "prefix", key: decodeName(textOf(each, "Prefix")) });
    }
  }
  return { entries: inOrder(entries), next: maybeText(root, "NextContinuationToken") };
}

/** S3 tells objects first and prefixes then; people want one list, in the order in which the pages come. */
function inOrder(entries: Entry[]): Entry[] {
  const split = entries.findIndex((entry) => entry.kind === "prefix");
  if (split <= 0) return entries;
  return entries.sort((a, b) => compareKeys(a.key, b.key));
}

/** By code points, which is by the bytes of UTF-8. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x !== y) {
      // Surrogates stand for what comes after U+FFFF.
      if (x >= 0xd800 && y >= 0xd800) {
        if (x >= 0xe000) x -= 0x800;
        else x += 0x2000;
        if (y >= 0xe000) y -= 0x800;
        else y += 0x2000;
      }
      return x - y;
    }
  }
  return a.length - b.length;
}

/** Every object below a prefix. */
export async function* walk(bucket: string, prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectEntry[]> {
  let token: string | undefined;
  do {
    const page = await list(bucket, prefix, { token, signal });
    yield page.entries.filter((entry) => entry.kind === "object");
    token = page.next;
  } while (token !== undefined);
}

export interface VersionEntry {
  readonly key: string;
  readonly version: string;
  readonly latest: boolean;
  readonly marker: boolean;
  readonly size: number;
  readonly modified: string;
  readonly etag: string;
}

export interface VersionPage {
  readonly versions: VersionEntry[];
  readonly next: { readonly key: string; readonly version: string } | undefined;
}

/** A page of versions and delete markers of keys that begin with `prefix`. */
export async function listVersions(
  bucket: string,
  prefix: string,
  from?: VersionPage["next"],
  signal?: AbortSignal,
): Promise<VersionPage> {
  const query: [string, string][] = [["versions", ""], ["encoding-type", "url"]];
  if (prefix) query.push(["prefix", prefix]);
  if (from !== undefined) query.push(["key-marker", from.key], ["version-id-marker", from.version]);
  const root = await document({ path: `/${bucket}`, query: query satisfies Query, signal });
  const versions = children(root)
    .filter((each) => each.localName === "Version" || each.localName === "DeleteMarker")
    .map((each) => ({
      key: decodeName(textOf(each, "Key")),
      version: textOf(each, "VersionId"),
      latest: textOf(each, "IsLatest") === "true",
      marker: each.localName === "DeleteMarker",
      size: Number(textOf(each, "Size")),
      modified: textOf(each, "LastModified"),
      etag: textOf(each, "ETag"),
    }));
  const marker = child(root, "NextKeyMarker");
  const next =
    textOf(root, "IsTruncated") === "true" && marker !== undefined
      ? { key: decodeName(marker.textContent ?? ""), version: textOf(root, "NextVersionIdMarker") }
      : undefined;
  return { versions, next };
}
