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

const GIB = 1024 ** 3;
const COPY_LIMIT = 5 * GIB;
const COPY_PART = GIB;

/**
 * Copies an object with its metadata and tags.
 *
 * @param version of the source; null for the current one.
 * @param replace whether what is there by the new name may be replaced; else S3Error PreconditionFailed.
 * @param progress is told how many bytes are copied, for large ones.
 */
export async function copy(
  from: Place,
  version: string | null,
  size: number,
  to: Place,
  options: { replace: boolean; signal?: AbortSignal | undefined; progress?: (bytes: number) => void },
): Promise<void> {
  const source =
    `/${percent(from.bucket)}/${percent(from.key, "/")}` + (version === null ? "" : `?versionId=${percent(version)}`);
  const condition = options.replace ? undefined : "*";
  const path = objectPath(to.bucket, to.key);
  if (size > COPY_LIMIT) {
    await copyInParts(from, version, size, to, source, condition, options);
    return;
  }
  await document({
    method: "PUT",
    path,
    headers: { "x-amz-copy-source": source, "if-none-match": condition },
    signal: options.signal,
  });
}

const KEPT = ["content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"];

async function copyInParts(
  from: Place,
  version: string | null,
  size: number,
  to: Place,
  source: string,
  condition: string | undefined,
  options: { signal?: AbortSignal | undefined; progress?: (bytes: number) => void },
): Promise<void> {
  const path = objectPath(to.bucket, to.key);
  const { signal } = options;
  const known = await head(from.bucket, from.key, version, signal);
  const headers: Record<string, string> = {};
  for (const [name, value] of known.headers) {
    if (KEPT.includes(name) || name.startsWith("x-amz-meta-")) headers[name] = value;
  }
  const tags = await getTags(from.bucket, from.key, version);
  if (tags.length > 0) headers["x-amz-tagging"] = tags.map((tag) => tag.map((each) => percent(each)).join("=")).join("&");
  const begun = await document({ method: "POST", path, query: [["uploads", ""]], headers, signal });
  const id = textOf(begun, "UploadId");
  try {
    const parts: XmlNode[] = [];
    for (let at = 0, number = 1; at < size; at += COPY_PART, number++) {
      const end = Math.min(size, at + COPY_PART);
      const answer = await document({
        method: "PUT",
        path,
        query: [["partNumber", String(number)], ["uploadId", id]],
        headers: {
          "x-amz-copy-source": source,
          "x-amz-copy-source-range": `bytes=${at}-${end - 1}`,
          "x-amz-copy-source-if-match": known.etag,
        },
        signal,
      });
      parts.push(["Part", [["PartNumber", number], ["ETag", textOf(answer, "ETag")]]]);
      options.progress?.(end);
    }
    const body = writeXml("CompleteMultipartUpload", parts);
    await document({ method: "POST", path, query: [["uploadId", id]], headers: { "if-none-match": condition }, body, signal });
  } catch (error) {
    await send({ method: "DELETE", path, query: [["uploadId", id]] }).catch(() => undefined);
    throw error;
  }
}

export interface Doomed {
  readonly key: string;
  readonly version?: string;
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
    ...doomed.map(({ key, version }): XmlNode => [
      "Object",
      [["Key", key] as XmlNode, ...(version === undefined ? [] : [["VersionId", version] as XmlNode])],
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
export async function move(
  from: Place,
  size: number,
  to: Place,
  options: { replace: boolean; signal?: AbortSignal | undefined; progress?: (bytes: number) => void },
): Promise<void> {
  await copy(from, null, size, to, options);
  // By the document, because it takes names that no address can have.
  const [left] = await deleteMany(from.bucket, [{ key: from.key }], options.signal);
  if (left !== undefined) throw new S3Error(403, left.code, `It was copied, but the original stays: ${left.message}`);
}
