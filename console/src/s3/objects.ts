/** Single objects: what is known of them, their tags, copies, deletions and links. */

import { base64, percent, utf8 } from "./bytes";
import { NotAddressable, S3Error, document, errorOf, isAddressable, objectPath, send } from "./client";
import { md5OfBytes } from "./digest";
import { signer } from "./session";
import { presign, type Query } from "./sigv4";
import { children, parseXml, textOf, writeXml, type XmlNode } from "./xml";

export interface Head {
  readonly size: number;
  readonly type: string;
  readonly etag: string;
  readonly modified: string;
  readonly version: string | null;
  /** All that S3 says of it, by lower-case name, in the order of names. */
  readonly headers: ReadonlyMap<string, string>;
}

const versionQuery = (version: string | null): Query => (version === null ? [] : [["versionId", version]]);

export async function head(bucket: string, key: string, version: string | null = null, signal?: AbortSignal): Promise<Head> {
  const answer = await send({
    method: "HEAD",
    path: objectPath(bucket, key),
    query: versionQuery(version),
    headers: { "x-amz-checksum-mode": "ENABLED" },
    signal,
  });
  const get = (name: string): string => answer.headers.get(name) ?? "";
  return {
    size: Number(get("content-length")),
    type: get("content-type"),
    etag: get("etag"),
    modified: get("last-modified"),
    version: answer.headers.get("x-amz-version-id"),
    headers: new Map([...answer.headers.entries()].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** The first bytes of an object. */
export async function beginning(
  bucket: string,
  key: string,
  version: string | null,
  length: number,
  signal?: AbortSignal,
): Promise<ArrayBuffer> {
  const answer = await send({
    path: objectPath(bucket, key),
    query: versionQuery(version),
    headers: { range: `bytes=0-${length - 1}` },
    signal,
  });
  return answer.arrayBuffer();
}

export type Tag = readonly [name: string, value: string];

export async function getTags(bucket: string, key: string, version: string | null = null): Promise<Tag[]> {
  const query: Query = [["tagging", ""], ...versionQuery(version)];
  return tagsOf(await document({ path: objectPath(bucket, key), query }));
}

export async function putTags(bucket: string, key: string, version: string | null, tags: readonly Tag[]): Promise<void> {
  const query: Query = [["tagging", ""], ...versionQuery(version)];
  await send({ method: "PUT", path: objectPath(bucket, key), query, body: tagging(tags) });
}

export function tagsOf(root: Element): Tag[] {
  const set = children(root, "TagSet")[0];
  return set === undefined ? [] : children(set, "Tag").map((tag) => [textOf(tag, "Key"), textOf(tag, "Value")] as const);
}

export const tagging = (tags: readonly Tag[]): string =>
  writeXml("Tagging", [["TagSet", tags.map(([name, value]) => ["Tag", [["Key", name], ["Value", value]]] as XmlNode)]]);

/**
 * Where the object can be read from by a link, for `expires` seconds: an address of the S3 API, which is another origin
 * than the console's.
 *
 * @param download the name of the file that it is to be saved as; null to show it.
 * @throws NotAddressable, SessionExpired
 */
export function link(
  origin: string | null | undefined,
  bucket: string,
  key: string,
  version: string | null,
  expires: number,
  download: string | null,
): string {
  if (!isAddressable(key)) throw new NotAddressable();
  if (!origin) throw new Error("The server does not know at which address S3 is reached: it can be told by its option --s3-url.");
  const query: [string, string][] = [];
  if (version !== null) query.push(["versionId", version]);
  if (download !== null) {
    query.push(["response-content-disposition", `attachment; filename*=UTF-8''${percent(download)}`]);
  }
  const by = signer();
  return presign(by.signer, origin, { method: "GET", path: objectPath(bucket, key), query }, by.now, expires);
}

/** What a link of an object is saved as. */
export const fileName = (key: string): string => key.split("/").filter(Boolean).at(-1) ?? "object";

export interface Place {
  readonly bucket: string;
  readonly key: string;
}

export interface CopyOptions {
  /** Whether what is there by the new name may be replaced. */
  readonly replace: boolean;
  /** Of the source as it was seen; "" for whatever it is. */
  readonly etag?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Copies an object with its metadata and tags, whatever its size: the daemon does it at once, and has no limit to it.
 *
 * @param version of the source; null for the current one.
 * @throws S3Error PreconditionFailed if something is there by the new name, or if the source is another by now.
 */
export async function copy(
  from: Place,
  version: string | null,
  to: Place,
  options: CopyOptions,
): Promise<void> {
  const source =
    `/${percent(from.bucket)}/${percent(from.key, "/")}` + (version === null ? "" : `?versionId=${percent(version)}`);
  await document({
    method: "PUT",
    path: objectPath(to.bucket, to.key),
    headers: {
      "x-amz-copy-source": source,
      "x-amz-copy-source-if-match": options.etag || undefined,
      "if-none-match": options.replace ? undefined : "*",
    },
    signal: options.signal,
  });
}

export interface Doomed {
  readonly key: string;
  readonly version?: string;
  /** Deleted only if it is still that; "" for whatever it is. */
  readonly etag?: string;
}

export interface NotDeleted {
  readonly key: string;
  readonly code: string;
  readonly message: string;
}

/** Deletes at most 1,000 at once; gives those that were not. */
export async function deleteMany(bucket: string, doomed: readonly Doomed[], signal?: AbortSignal): Promise<NotDeleted[]> {
  const body = writeXml("Delete", [
    ["Quiet", true],
    ...doomed.map(({ key, version, etag }): XmlNode => [
      "Object",
      [
        ["Key", key] as XmlNode,
        ...(version === undefined ? [] : [["VersionId", version] as XmlNode]),
        ...(etag ? [["ETag", etag] as XmlNode] : []),
      ],
    ]),
  ]);
  const answer = await send({
    method: "POST",
    path: `/${bucket}`,
    query: [["delete", ""]],
    headers: { "content-md5": base64(md5OfBytes(utf8(body))) },
    body,
    signal,
  });
  const text = await answer.text();
  const root = parseXml(text);
  if (root.localName === "Error") throw errorOf(answer.status, text, (name) => answer.headers.get(name));
  return children(root, "Error").map((each) => ({
    key: textOf(each, "Key"),
    code: textOf(each, "Code"),
    message: textOf(each, "Message"),
  }));
}

/** Copies, and deletes the source if that is still what was copied. */
export async function move(from: Place, to: Place, options: CopyOptions): Promise<void> {
  await copy(from, null, to, options);
  // By the document, because it takes names that no address can have.
  const doomed = { key: from.key, etag: options.etag ?? "" };
  const [left] = await deleteMany(from.bucket, [doomed], options.signal);
  if (left === undefined) return;
  const why = left.code === "PreconditionFailed" ? "it was changed meanwhile" : left.message;
  throw new S3Error(403, left.code === "PreconditionFailed" ? "" : left.code, `It was copied, but the original stays: ${why}.`);
}
