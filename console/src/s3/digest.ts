/**
 * Digests of files, without holding up the page.
 *
 * A file is read a piece at a time, and after each piece the browser has its turn. WebCrypto is not needed: over plain
 * http on a LAN it is not there.
 */

import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { hex } from "./bytes";

const PIECE = 512 * 1024;

interface Hash {
  update(data: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** Lets what waits have its turn: drawing, input, answers. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}

async function through(hash: Hash, blob: Blob, signal?: AbortSignal): Promise<string> {
  for (let at = 0; at < blob.size; at += PIECE) {
    signal?.throwIfAborted();
    hash.update(new Uint8Array(await blob.slice(at, at + PIECE).arrayBuffer()));
    await breathe();
  }
  signal?.throwIfAborted();
  return hex(hash.digest());
}

/** In hex.  Where the browser can do it by itself and off the page's thread, it does. */
export async function sha256OfBlob(blob: Blob, signal?: AbortSignal): Promise<string> {
  if (globalThis.crypto?.subtle !== undefined && blob.size <= 16 * 1024 * 1024) {
    const sum = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
    signal?.throwIfAborted();
    return hex(new Uint8Array(sum));
  }
  return through(sha256.create(), blob, signal);
}

/** In hex: what the ETag of a part is. */
export const md5OfBlob = (blob: Blob, signal?: AbortSignal): Promise<string> => through(md5.create(), blob, signal);

export const sha256OfBytes = (bytes: Uint8Array): Uint8Array => sha256(bytes);
export const md5OfBytes = (bytes: Uint8Array): Uint8Array => md5(bytes);
