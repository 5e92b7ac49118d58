import { expect, test } from "vitest";
import { MIB, PART_SIZE, cut, partSize, sizeOfParts } from "../src/s3/plan";

const md5 = "0123456789abcdef0123456789abcdef";

test("parts cover a file without gaps, and only the last is smaller", () => {
  for (const size of [1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 5 * PART_SIZE + 7]) {
    const parts = cut(size, partSize(size));
    expect(parts[0]!.start).toBe(0);
    expect(parts.at(-1)!.end).toBe(size);
    parts.forEach((part, i) => {
      expect(part.number).toBe(i + 1);
      if (i > 0) expect(part.start).toBe(parts[i - 1]!.end);
      if (i < parts.length - 1) expect(part.end - part.start).toBe(PART_SIZE);
    });
  }
});

test("no file needs more than 10,000 parts", () => {
  for (const size of [100 * 1024 * MIB, 5 * 1024 * 1024 * MIB]) {
    expect(cut(size, partSize(size)).length).toBeLessThanOrEqual(10_000);
    expect(partSize(size) % MIB).toBe(0);
  }
});

test("an upload is taken up only if its parts can be those of the file", () => {
  const size = 20 * MIB;
  const part = (number: number, size: number, etag = md5) => ({ number, size, etag });
  expect(sizeOfParts(size, [part(1, 8 * MIB), part(2, 8 * MIB)])).toBe(8 * MIB);
  expect(sizeOfParts(size, [part(2, 8 * MIB)])).toBe(8 * MIB);
  expect(sizeOfParts(size, [part(1, 8 * MIB), part(3, 4 * MIB)])).toBe(8 * MIB);
  expect(sizeOfParts(size, [])).toBeUndefined();
  expect(sizeOfParts(size, [part(1, 8 * MIB), part(2, 7 * MIB)])).toBeUndefined();
  expect(sizeOfParts(size, [part(1, 8 * MIB), part(4, 8 * MIB)])).toBeUndefined();
  expect(sizeOfParts(size, [part(1, 8 * MIB, `${md5}-2`)])).toBeUndefined();
  expect(sizeOfParts(size, [part(1, 4 * MIB)])).toBeUndefined();
});
