/** Buckets and what is configured of them. */

import { base64, utf8 } from "./bytes";
import { S3Error, document, objectPath, send } from "./client";
import { md5OfBytes } from "./digest";
import { tagging, tagsOf, type Tag } from "./objects";
import { DEFAULT_REGION } from "./session";
import { child, children, decodeName, maybeText, textOf, writeXml } from "./xml";

export interface Bucket {
  readonly name: string;
  readonly created: string;
}

export async function listBuckets(signal?: AbortSignal): Promise<Bucket[]> {
  const root = await document({ path: "/", signal });
  const buckets = child(root, "Buckets");
  return (buckets === undefined ? [] : children(buckets, "Bucket")).map((each) => ({
    name: textOf(each, "Name"),
    created: textOf(each, "CreationDate"),
  }));
}

export async function createBucket(name: string, region: string, locked: boolean): Promise<void> {
  const body = region === DEFAULT_REGION ? undefined : writeXml("CreateBucketConfiguration", [["LocationConstraint", region]]);
  const headers = { "x-amz-bucket-object-lock-enabled": locked ? "true" : undefined };
  await send({ method: "PUT", path: `/${name}`, headers, ...(body === undefined ? {} : { body }) });
}

export async function deleteBucket(name: string): Promise<void> {
  await send({ method: "DELETE", path: `/${name}` });
}

/** Why a name cannot be one of a bucket, or "" if it can. */
export function wrongBucketName(name: string): string {
  if (name.length < 3 || name.length > 63) return "A name has 3 to 63 characters.";
  if (!/^[a-z0-9.-]+$/.test(name)) return "Only lower-case letters, digits, hyphens and dots.";
  if (!/^[a-z0-9].*[a-z0-9]$/.test(name)) return "It begins and ends with a letter or a digit.";
  if (name.includes("..")) return "No two dots in a row.";
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return "It must not look like an IP address.";
  return "";
}

/** A document of a bucket as text, or null where there is none. */
async function configuration(bucket: string, what: string, signal?: AbortSignal): Promise<string | null> {
  try {
    return await (await send({ path: `/${bucket}`, query: [[what, ""]], signal })).text();
  } catch (error) {
    if (error instanceof S3Error && error.status === 404 && error.code !== "NoSuchBucket") return null;
    throw error;
  }
}

/** Puts a document, or removes what there is if `text` is null. */
async function configure(bucket: string, what: string, text: string | null): Promise<void> {
  const query = [[what, ""]] as const;
  if (text === null) {
    await send({ method: "DELETE", path: `/${bucket}`, query });
    return;
  }
  const headers = { "content-md5": base64(md5OfBytes(utf8(text))) };
  await send({ method: "PUT", path: `/${bucket}`, query, headers, body: text });
}

export const getPolicy = (bucket: string): Promise<string | null> => configuration(bucket, "policy");
export const putPolicy = (bucket: string, text: string | null): Promise<void> => configure(bucket, "policy", text);
export const getCors = (bucket: string): Promise<string | null> => configuration(bucket, "cors");
export const putCors = (bucket: string, text: string | null): Promise<void> => configure(bucket, "cors", text);
export const getLifecycle = (bucket: string): Promise<string | null> => configuration(bucket, "lifecycle");
export const putLifecycle = (bucket: string, text: string | null): Promise<void> => configure(bucket, "lifecycle", text);

export type Versioning = "Enabled" | "Suspended" | "Off";

export async function getVersioning(bucket: string, signal?: AbortSignal): Promise<Versioning> {
  const root = await document({ path: `/${bucket}`, query: [["versioning", ""]], signal });
  return (maybeText(root, "Status") as Versioning | undefined) ?? "Off";
}

export const putVersioning = (bucket: string, status: "Enabled" | "Suspended"): Promise<void> =>
  configure(bucket, "versioning", writeXml("VersioningConfiguration", [["Status", status]]));

/** An upload in parts that was neither completed nor aborted. */
export interface Unfinished {
  readonly key: string;
  readonly id: string;
  readonly begun: string;
}

/** The first thousand of them. */
export async function listUnfinished(bucket: string, signal?: AbortSignal): Promise<Unfinished[]> {
  const root = await document({ path: `/${bucket}`, query: [["uploads", ""], ["encoding-type", "url"]], signal });
  return children(root, "Upload").map((each) => ({
    key: decodeName(textOf(each, "Key")),
    id: textOf(each, "UploadId"),
    begun: textOf(each, "Initiated"),
  }));
}

export async function abortUpload(bucket: string, upload: Unfinished): Promise<void> {
  await send({ method: "DELETE", path: objectPath(bucket, upload.key), query: [["uploadId", upload.id]] });
}

export interface Lock {
  /** As it is told: GOVERNANCE or COMPLIANCE. */
  readonly mode: string;
  /** As "30 days"; "" if versions are locked only one by one. */
  readonly period: string;
}

export async function getLock(bucket: string): Promise<Lock | null> {
  let root: Element;
  try {
    root = await document({ path: `/${bucket}`, query: [["object-lock", ""]] });
  } catch (error) {
    if (error instanceof S3Error && error.status === 404 && error.code !== "NoSuchBucket") return null;
    throw error;
  }
  const retention = root.getElementsByTagNameNS("*", "DefaultRetention")[0];
  if (retention === undefined) return { mode: "", period: "" };
  const days = textOf(retention, "Days");
  return { mode: textOf(retention, "Mode"), period: days ? `${days} days` : `${textOf(retention, "Years")} years` };
}

export async function getOwnership(bucket: string): Promise<string | null> {
  try {
    const root = await document({ path: `/${bucket}`, query: [["ownershipControls", ""]] });
    return root.getElementsByTagNameNS("*", "ObjectOwnership")[0]?.textContent ?? null;
  } catch (error) {
    if (error instanceof S3Error && error.status === 404 && error.code !== "NoSuchBucket") return null;
    throw error;
  }
}

export async function getBucketTags(bucket: string): Promise<Tag[]> {
  try {
    return tagsOf(await document({ path: `/${bucket}`, query: [["tagging", ""]] }));
  } catch (error) {
    if (error instanceof S3Error && error.code === "NoSuchTagSet") return [];
    throw error;
  }
}

export const putBucketTags = (bucket: string, tags: readonly Tag[]): Promise<void> =>
  configure(bucket, "tagging", tags.length === 0 ? null : tagging(tags));

/** What a public access block can say, in its order. */
export const BLOCKS = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] as const;
export type Block = Record<(typeof BLOCKS)[number], boolean>;

export async function getBlock(bucket: string): Promise<Block | null> {
  try {
    const root = await document({ path: `/${bucket}`, query: [["publicAccessBlock", ""]] });
    return Object.fromEntries(BLOCKS.map((name) => [name, textOf(root, name) === "true"])) as Block;
  } catch (error) {
    if (error instanceof S3Error && error.status === 404 && error.code !== "NoSuchBucket") return null;
    throw error;
  }
}

export const putBlock = (bucket: string, block: Block): Promise<void> =>
  configure(
    bucket,
    "publicAccessBlock",
    writeXml("PublicAccessBlockConfiguration", BLOCKS.map((name) => [name, block[name]] as const)),
  );
