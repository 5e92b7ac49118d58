/**
 * Requests to the daemon, signed, and what goes wrong with them.
 *
 * All go to the origin of the console, with a header that no page of another origin can send without asking first.
 */

import { hex, utf8 } from "./bytes";
import { sha256OfBlob, sha256OfBytes } from "./digest";
import { correctClock, keep, signer } from "./session";
import { EMPTY_SHA256, canonicalQuery, encodePath, signHeaders, type Query } from "./sigv4";
import { parseXml, textOf } from "./xml";

export const CONSOLE_HEADER = "x-zs3-console";
const TRIES = 3;

/** What the daemon answered instead of doing it. */
export class S3Error extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly header: (name: string) => string | null = () => null,
    readonly details: Element | null = null,
  ) {
    super(message);
  }
}

/** There was no answer. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer. Is it running, and are you online?");
  }
}

export interface Request {
  readonly method?: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Not encoded: /bucket/key. */
  readonly path: string;
  readonly query?: Query;
  /** In lower case; those that are undefined are not sent. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: string | Blob;
  readonly signal?: AbortSignal | undefined;
}

export const objectPath = (bucket: string, key: string): string => `/${bucket}/${key}`;

/** Browsers take such a segment out of every address. */
export const isAddressable = (key: string): boolean => !/(^|\/)\.{1,2}(\/|$)/.test(key);

export class NotAddressable extends Error {
  constructor() {
    super("No browser can ask for a name with “.” or “..” between slashes. Rename it: that works.");
  }
}

let expired: () => void = () => undefined;

/** Who is told that somebody has to sign in again. */
export function whenExpired(listener: () => void): void {
  expired = listener;
}

export const addressOf = (path: string, query: Query): string =>
  encodePath(path) + (query.length > 0 ? "?" + canonicalQuery(query) : "");

/** Method, address and headers of a request as it goes out now. */
export function prepared(request: Request, payload: string): { url: string; headers: Record<string, string> } {
  const { path, query = [] } = request;
  if (!isAddressable(path)) throw new NotAddressable();
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers ?? {})) if (value !== undefined) headers[name] = value;
  let by;
  try {
    by = signer();
  } catch (error) {
    expired();
    throw error;
  }
  const toSign = { method: request.method ?? "GET", host: location.host, path, query, headers };
  const sent = signHeaders(by.signer, toSign, by.now, payload);
  return { url: addressOf(path, query), headers: { ...sent, [CONSOLE_HEADER]: "1" } };
}

export async function payloadOf(body: string | Blob | undefined, signal?: AbortSignal): Promise<string> {
  if (body === undefined) return EMPTY_SHA256;
  return typeof body === "string" ? hex(sha256OfBytes(utf8(body))) : sha256OfBlob(body, signal);
}

/** The error that an answer tells of. */
export function errorOf(status: number, text: string, header: (name: string) => string | null): S3Error {
  if (text.trimStart().startsWith("{")) {
    try {
      const told = JSON.parse(text) as { code?: string; message?: string };
      return new S3Error(status, told.code ?? String(status), told.message ?? "The server refused it.", header);
    } catch {
      // Not ours.
    }
  }
  // Of a HEAD there is no document, and a proxy may have its own.
  if (header("content-type")?.includes("xml") === true && text.trimStart().startsWith("<")) {
    const root = parseXml(text);
    if (root.localName === "Error") {
      return new S3Error(status, textOf(root, "Code"), textOf(root, "Message") || textOf(root, "Code"), header, root);
    }
  }
  const [code, message] = STATUSES[status] ?? [String(status), `The server answered with status ${status}.`];
  return new S3Error(status, code, message, header);
}

const STATUSES: Record<number, readonly [string, string]> = {
  304: ["NotModified", "It has not changed."],
  403: ["AccessDenied", "You may not do that."],
  404: ["NotFound", "There is no such object."],
  412: ["PreconditionFailed", "Something is there by that name."],
  503: ["SlowDown", "The server is busy. Try again in a moment."],
};

/** Whether to ask again, after what was answered; it puts right the clock and ends a session that is no more. */
export function judge(error: S3Error, attempt: number, repeatable: boolean): boolean {
  if (error.code === "RequestTimeTooSkewed" && attempt === 0) {
    const date = Date.parse(error.header("date") ?? "");
    if (!Number.isNaN(date)) {
      correctClock(date - Date.now());
      return true;
    }
  }
  if (error.code === "InvalidAccessKeyId" || error.code === "SignatureDoesNotMatch") {
    keep(null);
    expired();
  }
  return repeatable && attempt < TRIES - 1 && (error.status >= 500 && error.status !== 501);
}

export const pause = (attempt: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 300 * 2 ** attempt * (1 + Math.random()));
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });

/**
 * Sends a request, again where that does no harm, and gives the answer with its body still to be read.
 *
 * @throws S3Error, Unreachable, SessionExpired, NotAddressable, or what `signal` was aborted with.
 */
export async function send(request: Request): Promise<Response> {
  const payload = await payloadOf(request.body, request.signal);
  const method = request.method ?? "GET";
  const repeatable = method !== "POST";
  for (let attempt = 0; ; attempt++) {
    let response: Response;
    const { url, headers } = prepared(request, payload);
    try {
      response = await fetch(url, {
        method,
        headers,
        body: request.body ?? null,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: request.signal ?? null,
      });
    } catch (error) {
      request.signal?.throwIfAborted();
      if (!(error instanceof TypeError)) throw error;
      if (!repeatable || attempt >= TRIES - 1) throw new Unreachable();
      await pause(attempt, request.signal);
      continue;
    }
    if (response.ok) return response;
    const error = errorOf(response.status, await textOrNothing(response), (name) => response.headers.get(name));
    if (!judge(error, attempt, repeatable)) throw error;
    await pause(attempt, request.signal);
  }
}

async function textOrNothing(response: Response): Promise<string> {
  try {
    return await response.text();
  } catch {
    return "";
  }
}

/** Sends it and reads the document that is answered.  A late error, after a 200, is one too. */
export async function document(request: Request): Promise<Element> {
  const response = await send(request);
  const text = await response.text();
  const root = parseXml(text);
  if (root.localName === "Error") throw errorOf(response.status, text, (name) => response.headers.get(name));
  return root;
}

export async function json<Answer>(request: Request): Promise<Answer> {
  return (await (await send(request)).json()) as Answer;
}

/** Whether somebody changed their mind, as opposed to something that went wrong. */
export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";

/** What to tell people of an error. */
export function told(error: unknown): string {
  if (error instanceof S3Error) return error.code && !/^\d/.test(error.code) ? `${error.message} (${error.code})` : error.message;
  if (error instanceof Error) return error.message;
  return String(error);
}
