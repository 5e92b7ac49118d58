import { expect, test } from "vitest";
import { Listing, type Entry } from "../src/model";

const object = (key: string, size: number, modified: string): Entry => ({ kind: "object", key, size, modified, etag: "" });
const folder = (key: string): Entry => ({ kind: "prefix", key });

function listing(complete = true): Listing {
  const made = new Listing("b", "p/", "");
  made.entries.value = [object("p/a", 3, "2026-01-03"), folder("p/b/"), object("p/c", 1, "2026-01-01"), object("p/d", 2, "2026-01-02")];
  made.complete.value = complete;
  return made;
}

const keys = (entries: readonly Entry[]): string => entries.map((entry) => entry.key.slice(2)).join(" ");

test("rows are sorted once all of them are there", () => {
  const one = listing();
  expect(keys(one.rows.value)).toBe("a b/ c d");
  one.sortBy("size");
  expect(keys(one.rows.value)).toBe("b/ a d c");
  one.sortBy("size");
  expect(keys(one.rows.value)).toBe("b/ c d a");
  one.sortBy("modified");
  expect(keys(one.rows.value)).toBe("b/ a d c");
  one.sortBy("name");
  one.sortBy("name");
  expect(keys(one.rows.value)).toBe("d c b/ a");
  const part = listing(false);
  part.sortBy("size");
  expect(keys(part.rows.value)).toBe("a b/ c d");
});

test("what is chosen is what is in the rows between", () => {
  const one = listing();
  one.sortBy("size");
  one.selectRange(1, 2);
  expect(keys(one.chosen())).toBe("a d");
  one.clear();
  one.active.value = 3;
  expect(keys(one.chosen())).toBe("c");
});

test("what is made has its row, or its folder has, and each once", () => {
  const one = listing();
  one.insert("b", "p/bb", 7);
  one.insert("b", "p/new/deep/x", 1);
  one.insert("b", "p/b/y", 1);
  one.insert("b", "p/a", 9);
  one.insert("b", "q/else", 1);
  one.insert("other", "p/e", 1);
  expect(keys(one.entries.value)).toBe("a b/ bb c d new/");
  expect(one.entries.value[0]).toMatchObject({ size: 9 });
  one.remove("b", new Set(["p/a", "p/new/"]));
  expect(keys(one.entries.value)).toBe("b/ bb c d");
  const part = listing(false);
  part.insert("b", "p/z", 1);
  expect(keys(part.entries.value)).toBe("a b/ c d");
});
