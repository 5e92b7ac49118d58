/**
 * Signature version 4, in the header and in the query.  Pure.
 *
 * A secret is given to `deriveKey` and nowhere else: what signs afterwards is a key that is good for one day, one
 * region and S3 alone.
 *
 * Source: AWS, "Authenticating Requests (AWS Signature Version 4)", in the Amazon S3 API Reference.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { hex, percent, utf8 } from "./bytes";

export const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
export const MAX_EXPIRES_S = 7 * 24 * 3600;

const ALGORITHM = "AWS4-HMAC-SHA256";

/** Of the query, in the order given; a name may come several times. */
export type Query = readonly (readonly [string, string])[];

/** What signs on one day.  `date` is YYYYMMDD. */
export interface Signer {
  readonly accessKey: string;
  readonly date: string;
  readonly region: string;
  readonly key: Uint8Array;
}

const mac = (key: Uint8Array, text: string): Uint8Array => hmac(sha256, key, utf8(text));
const digest = (text: string): string => hex(sha256(utf8(text)));

/** YYYYMMDDTHHMMSSZ. */
export function amzDate(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d{3}/g, "");
}

export function deriveKey(secret: string, date: string, region: string): Uint8Array {
  let key: Uint8Array = utf8("AWS4" + secret);
  for (const part of [date, region, "s3", "aws4_request"]) key = mac(key, part);
  return key;
}

export function canonicalQuery(query: Query): string {
  return query
    .map(([name, value]) => [percent(name), percent(value)] as const)
    .sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The path of a request for `/bucket/key`, as it is sent and signed. */
export const encodePath = (path: string): string => percent(path, "/");

interface Canonical {
  readonly method: string;
  readonly path: string;
  readonly query: Query;
  /** In lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: string;
}

export function canonicalRequest(request: Canonical): { text: string; signed: string } {
  const names = Object.keys(request.headers).sort();
  const lines = names.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/ +/g, " ")}\n`).join("");
  const signed = names.join(";");
  const { method, path, query, payload } = request;
  return { text: [method, encodePath(path), canonicalQuery(query), lines, signed, payload].join("\n"), signed };
}

const scopeOf = (signer: Signer): string => `${signer.date}/${signer.region}/s3/aws4_request`;

function signature(signer: Signer, date: string, canonical: string): string {
  const toSign = [ALGORITHM, date, scopeOf(signer), digest(canonical)].join("\n");
  return hex(mac(signer.key, toSign));
}

export interface ToSign {
  readonly method: string;
  readonly host: string;
  /** Not encoded. */
  readonly path: string;
  readonly query?: Query;
  /** In lower case; all of them are signed. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The headers of a request with its signature, without Host, which the browser sends.
 *
 * @param payload the SHA-256 of the body, in hex.
 */
export function signHeaders(signer: Signer, request: ToSign, time: Date, payload: string): Record<string, string> {
  const date = amzDate(time);
  const sent = { ...request.headers, "x-amz-date": date, "x-amz-content-sha256": payload };
  const canonical = canonicalRequest({
    method: request.method,
    path: request.path,
    query: request.query ?? [],
    headers: { ...sent, host: request.host },
    payload,
  });
  const authorization =
    `${ALGORITHM} Credential=${signer.accessKey}/${scopeOf(signer)},` +
    `SignedHeaders=${canonical.signed},Signature=${signature(signer, date, canonical.text)}`;
  return { ...sent, authorization };
}

/**
 * A URL that does `request` for whoever has it.
 *
 * @param origin scheme and authority, as http://nas:9000.
 * @param expires in seconds, from `time` on; no more than seven days.
 */
export function presign(
  signer: Signer,
  origin: string,
  request: Omit<ToSign, "host">,
  time: Date,
  expires: number,
): string {
  const seconds = Math.max(1, Math.min(MAX_EXPIRES_S, Math.floor(expires)));
  const date = amzDate(time);
  const query: Query = [
    ...(request.query ?? []),
    ["X-Amz-Algorithm", ALGORITHM],
    ["X-Amz-Credential", `${signer.accessKey}/${scopeOf(signer)}`],
    ["X-Amz-Date", date],
    ["X-Amz-Expires", String(seconds)],
    ["X-Amz-SignedHeaders", "host"],
  ];
  const host = new URL(origin).host;
  const canonical = canonicalRequest({
    method: request.method,
    path: request.path,
    query,
    headers: { host },
    payload: "UNSIGNED-PAYLOAD",
  });
  const signed = signature(signer, date, canonical.text);
  return `${origin.replace(/\/$/, "")}${encodePath(request.path)}?${canonicalQuery(query)}&X-Amz-Signature=${signed}`;
}
