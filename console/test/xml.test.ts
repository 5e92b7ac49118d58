import { expect, test } from "vitest";
import { child, decodeName, parseXml, textOf, writeXml, XmlError } from "../src/s3/xml";
import { compareKeys } from "../src/s3/listing";

test("what is written is read back, whatever it holds", () => {
  const odd = `<a b="c">&amp;'é😀\r\n\t ]]>`;
  const root = parseXml(writeXml("Delete", [["Object", [["Key", odd]]], ["Quiet", true]]));
  expect(root.localName).toBe("Delete");
  expect(root.namespaceURI).toBe("http://s3.amazonaws.com/doc/2006-03-01/");
  expect(textOf(child(root, "Object")!, "Key")).toBe(odd);
  expect(textOf(root, "Quiet")).toBe("true");
});

test("what is not well formed is an error that says where", () => {
  for (const text of ["", "<a>", "<a></b>", "<a><b/></a><c/>", "{}"]) expect(() => parseXml(text)).toThrow(XmlError);
});

test("names are decoded, also those that S3 writes with a plus", () => {
  expect(decodeName("a%2Fb/c+d%2B%C3%A9%25")).toBe("a/b/c d+é%");
});

test("keys are in the order of their bytes", () => {
  const encoder = new TextEncoder();
  const keys = ["", "a", "a/", "a.b", "a0", "b", "é", "\uffee", "😀", "😁", "\ue000", "\ud7ff", "a\u{10ffff}", "a\uffff"];
  const bytes = (key: string): string => [...encoder.encode(key)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const expected = [...keys].sort((a, b) => (bytes(a) < bytes(b) ? -1 : bytes(a) > bytes(b) ? 1 : 0));
  expect([...keys].sort(compareKeys)).toEqual(expected);
});
