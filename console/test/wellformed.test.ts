import { expect, test } from "vitest";
import { parseXml } from "../src/s3/xml";
import { brokenXml } from "../src/s3/wellformed";

test("what is broken is told with its line, and no browser takes it either", () => {
  const cases: [string, number][] = [
    ["", 1], ["text", 1], ["<a>\n<b>\n</a>", 3], ["<a>\n&\n</a>", 2], ["<a", 1], ["<a>", 1], ["</a>", 1], ["<a/>\n<b/>", 2],
    ["<a b=c/>", 1], ["<a>&nbsp;</a>", 1], ["<a><b></b>\n\n", 3], ["<a/>x", 1], ["<1/>", 1], ["<a><!-- -- --></a>", 1],
  ];
  for (const [text, line] of cases) {
    expect([text, brokenXml(text)?.line]).toEqual([text, line]);
    expect(() => parseXml(text)).toThrow();
  }
  expect(brokenXml('<!DOCTYPE a [<!ENTITY b "c">]><a/>')).toBeDefined();
});

test("what is well formed passes", () => {
  for (const text of ['<?xml version="1.0"?>\n<a xmlns="x" b=\'y\'><!-- c --><b/>é&amp;&#65;<c>\n</c><![CDATA[<x>&]]></a>\n', "<a/>", "  <a></a>  "]) {
    expect([text, brokenXml(text)]).toEqual([text, undefined]);
    parseXml(text);
  }
});
