/**
 * One file on its way: in one request, or in parts that can be paused and taken up again.
 *
 * What is there by the name of the object is not replaced unless that was agreed to.
 */

import { S3Error, Unreachable, document, errorOf, judge, objectPath, payloadOf, pause, prepared, send, type Request } from "./client";
import { md5OfBlob } from "./digest";
import { head } from "./objects";
import { SINGLE_LIMIT, cut, partSize, sizeOfParts, type Part, type StoredPart } from "./plan";
import { children, decodeName, parseXml, textOf, writeXml, type XmlNode } from "./xml";

const TRIES = 5;

/** A turn at sending something; at most so many have one. */
export class Turns {
  private waiting: (() => void)[] = [];
  constructor(private free: number) {}

  async take<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free++;
      else next();
    }
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly header: (name: string) => string | null;
}

/** A request with a body, whose progress is told; `fetch` does not tell any. */
function exchange(request: Request, body: Blob, payload: string, progress: (sent: number) => void): Promise<Answer> {
  const { url, headers } = prepared(request, payload);
  return new Promise((resolve, reject) => {
    const { signal } = request;
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const xhr = new XMLHttpRequest();
    xhr.open(request.method ?? "PUT", url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => progress(Math.min(body.size, event.loaded));
    xhr.onload = () => {
      resolve({ status: xhr.status, text: xhr.responseText, header: (name) => xhr.getResponseHeader(name) });
    };
    xhr.onerror = () => reject(new Unreachable());
    const stop = (): void => {
      xhr.abort();
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", stop);
    xhr.onloadend = () => signal?.removeEventListener("abort", stop);
    xhr.send(body);
  });
}

async function put(request: Request, body: Blob, progress: (sent: number) => void): Promise<Answer> {
  const payload = await payloadOf(body, request.signal);
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await exchange(request, body, payload, progress);
      if (answer.status < 300) return answer;
      const error = errorOf(answer.status, answer.text, answer.header);
      const again = judge(error, attempt, false) || (error.status >= 500 && error.status !== 501 && error.status !== 507);
      if (!again || attempt >= TRIES - 1) throw error;
    } catch (error) {
      if (error instanceof S3Error || attempt >= TRIES - 1) throw error;
      if (!(error instanceof Unreachable)) throw error;
    }
    progress(0);
    await pause(attempt, request.signal);
  }
}

/** A file and where it goes.  What was sent of it is remembered between the runs. */
export class FileUpload {
  private id: string | undefined;
  private parts: readonly Part[] = [];
  private readonly etags = new Map<number, string>();
  private readonly onTheirWay = new Map<number, number>();

  constructor(
    readonly file: File,
    readonly bucket: string,
    readonly key: string,
    private readonly turns: Turns,
    private readonly progress: (sent: number) => void,
  ) {}

  private get path(): string {
    return objectPath(this.bucket, this.key);
  }

  /**
   * Sends what is not sent yet.
   *
   * @param replace whether what is there by this name may be replaced; else S3Error PreconditionFailed.
   */
  async run(replace: boolean, signal: AbortSignal): Promise<void> {
    const condition = replace ? undefined : "*";
    if (this.file.size <= SINGLE_LIMIT) {
      const headers = { "content-type": this.type, "if-none-match": condition };
      const request: Request = { method: "PUT", path: this.path, headers, signal };
      await this.turns.take(() => put(request, this.file, this.progress), signal);
      return;
    }
    if (!replace) await this.mustNotBeThere(signal);
    if (this.id === undefined) await this.begin(signal);
    this.tell();
    await this.sendParts(signal);
    await this.complete(condition, signal);
  }

  /** Gives it up: the parts that were sent are removed. */
  async abandon(): Promise<void> {
    if (this.id === undefined) return;
    const id = this.id;
    this.id = undefined;
    this.etags.clear();
    await send({ method: "DELETE", path: this.path, query: [["uploadId", id]] });
  }

  private get type(): string {
    return this.file.type || "application/octet-stream";
  }

  private async mustNotBeThere(signal: AbortSignal): Promise<void> {
    try {
      await head(this.bucket, this.key, null, signal);
    } catch (error) {
      // Who may not look may still write; the end of the upload is on the same condition.
      if (error instanceof S3Error && (error.status === 404 || error.status === 403)) return;
      throw error;
    }
    throw new S3Error(412, "PreconditionFailed", "Something is there by that name.");
  }

  /** Takes up an upload of this very file that was begun before, or begins one. */
  private async begin(signal: AbortSignal): Promise<void> {
    const size = this.file.size;
    for (const id of await this.begunBefore(signal)) {
      const stored = await this.storedParts(id, signal);
      const part = sizeOfParts(size, stored);
      if (part === undefined) continue;
      const parts = cut(size, part);
      const same = await this.compare(parts, stored, signal);
      if (same === undefined) continue;
      this.id = id;
      this.parts = parts;
      for (const each of same) this.etags.set(each.number, each.etag);
      return;
    }
    const headers = { "content-type": this.type };
    const begun = await document({ method: "POST", path: this.path, query: [["uploads", ""]], headers, signal });
    this.id = textOf(begun, "UploadId");
    this.parts = cut(size, partSize(size));
  }

  private async begunBefore(signal: AbortSignal): Promise<string[]> {
    try {
      const query = [["uploads", ""], ["prefix", this.key], ["encoding-type", "url"], ["max-uploads", "100"]] as const;
      const root = await document({ path: `/${this.bucket}`, query, signal });
      return children(root, "Upload")
        .filter((each) => decodeName(textOf(each, "Key")) === this.key)
        .map((each) => textOf(each, "UploadId"));
    } catch (error) {
      if (error instanceof S3Error) return []; // Who may not list them begins anew.
      throw error;
    }
  }

  private async storedParts(id: string, signal: AbortSignal): Promise<StoredPart[]> {
    const parts: StoredPart[] = [];
    let marker = "0";
    try {
      for (;;) {
        const query = [["uploadId", id], ["part-number-marker", marker]] as const;
        const root = await document({ path: this.path, query, signal });
        for (const each of children(root, "Part")) {
          const etag = textOf(each, "ETag").replace(/"/g, "");
          parts.push({ number: Number(textOf(each, "PartNumber")), size: Number(textOf(each, "Size")), etag });
        }
        if (textOf(root, "IsTruncated") !== "true") return parts;
        marker = textOf(root, "NextPartNumberMarker");
      }
    } catch (error) {
      if (error instanceof S3Error) return [];
      throw error;
    }
  }

  /** The parts that are stored and the same in the file; undefined if any is another. */
  private async compare(
    parts: readonly Part[],
    stored: readonly StoredPart[],
    signal: AbortSignal,
  ): Promise<readonly StoredPart[] | undefined> {
    for (const each of stored) {
      const part = parts[each.number - 1];
      if (part === undefined) return undefined;
      if ((await md5OfBlob(this.file.slice(part.start, part.end), signal)) !== each.etag) return undefined;
    }
    return stored;
  }

  private tell(): void {
    let sent = 0;
    for (const part of this.parts) {
      sent += this.etags.has(part.number) ? part.end - part.start : (this.onTheirWay.get(part.number) ?? 0);
    }
    this.progress(sent);
  }

  private async sendParts(outer: AbortSignal): Promise<void> {
    // One part that fails stops the others; what they sent whole is kept.
    const failed = new AbortController();
    const signal = AbortSignal.any([outer, failed.signal]);
    const missing = this.parts.filter((part) => !this.etags.has(part.number));
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let part = missing[next++]; part !== undefined; part = missing[next++]) {
        const one = part;
        await this.turns.take(() => this.sendPart(one, signal), signal);
      }
    };
    const stop = (error: unknown): never => {
      failed.abort(error);
      throw error;
    };
    try {
      await Promise.all([0, 1, 2].map(() => worker().catch(stop)));
    } finally {
      this.onTheirWay.clear();
    }
  }

  private async sendPart(part: Part, signal: AbortSignal): Promise<void> {
    const query = [["partNumber", String(part.number)], ["uploadId", this.id ?? ""]] as const;
    const request: Request = { method: "PUT", path: this.path, query, signal };
    const answer = await put(request, this.file.slice(part.start, part.end), (sent) => {
      this.onTheirWay.set(part.number, sent);
      this.tell();
    });
    const etag = answer.header("etag")?.replace(/"/g, "");
    if (!etag) throw new Unreachable();
    this.etags.set(part.number, etag);
    this.onTheirWay.delete(part.number);
    this.tell();
  }

  private async complete(condition: string | undefined, signal: AbortSignal): Promise<void> {
    const parts = this.parts.map(
      ({ number }): XmlNode => ["Part", [["PartNumber", number], ["ETag", `"${this.etags.get(number) ?? ""}"`]]],
    );
    const body = writeXml("CompleteMultipartUpload", parts);
    const query = [["uploadId", this.id ?? ""]] as const;
    const headers = { "if-none-match": condition };
    try {
      const answer = await send({ method: "POST", path: this.path, query, headers, body, signal });
      const text = await answer.text();
      if (parseXml(text).localName === "Error") throw errorOf(answer.status, text, (name) => answer.headers.get(name));
    } catch (error) {
      if (error instanceof S3Error && error.code === "NoSuchUpload") this.id = undefined;
      throw error;
    }
    this.id = undefined;
  }
}
