/** How a file is cut for an upload, and what of it is there already.  Pure. */

export const MIB = 1024 * 1024;
/** Above this a file goes in parts. */
export const SINGLE_LIMIT = 16 * MIB;
export const PART_SIZE = 8 * MIB;
const MAX_PARTS = 10_000;

export interface Part {
  /** From 1. */
  readonly number: number;
  readonly start: number;
  readonly end: number;
}

/** In bytes: whole MiB, and no more than 10,000 parts. */
export function partSize(size: number): number {
  return Math.max(PART_SIZE, Math.ceil(size / MAX_PARTS / MIB) * MIB);
}

export function cut(size: number, part: number): Part[] {
  const parts: Part[] = [];
  for (let start = 0; start < size; start += part) {
    parts.push({ number: parts.length + 1, start, end: Math.min(size, start + part) });
  }
  return parts;
}

export interface StoredPart {
  readonly number: number;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
}

/**
 * The size of the parts of an upload that was begun before, if it may be one of a file of `size` bytes; else undefined.
 *
 * Whether it really is of this file the MD5 of each part tells.
 */
export function sizeOfParts(size: number, stored: readonly StoredPart[]): number | undefined {
  const first = stored.find((part) => part.number === 1) ?? stored.find((part) => part.number * part.size < size);
  if (first === undefined || first.size < 5 * MIB || Math.ceil(size / first.size) > MAX_PARTS) return undefined;
  const planned = cut(size, first.size);
  const fits = stored.every((part) => {
    const plan = planned[part.number - 1];
    return plan !== undefined && plan.end - plan.start === part.size && /^[0-9a-f]{32}$/.test(part.etag);
  });
  return fits ? first.size : undefined;
}
