import { expect, test } from "vitest";
import { hrefOf, parentOf, parse, type Route } from "../src/route";

const KEYS = ["", "a", "a//b/", "/leading", "//", "größe ?#%&=+.txt", "a?version=1", "%2F", "<b>", "😀/", "a/../b"];

test("every key comes back from its address", () => {
  for (const key of KEYS) {
    const routes: Route[] = [
      { page: "browse", bucket: "photos", prefix: key },
      { page: "versions", bucket: "photos", prefix: key },
      { page: "object", bucket: "photos", key, version: null },
      { page: "object", bucket: "photos", key, version: "a?/+b" },
    ];
    for (const route of routes) expect(parse(hrefOf(route))).toEqual(route);
  }
});

test("what is no address leads to the buckets", () => {
  for (const hash of ["", "#", "#/", "#/b", "#/b//x", "#/nonsense/x", "#//"]) expect(parse(hash)).toEqual({ page: "buckets" });
  expect(parse("#/s/photos/else")).toEqual({ page: "settings", bucket: "photos", section: "general" });
});

test("a key is in the prefix above it", () => {
  expect(["a", "a/", "a/b", "a/b/", "a//", "/a", "/"].map(parentOf)).toEqual(["", "", "a/", "a/", "a/", "/", ""]);
});
