import { expect, test } from "vitest";
import { brokenAt, inspect, TEMPLATES } from "../src/s3/policy";

test("no template has anything fatal in it, and all are of the bucket", () => {
  for (const { make } of TEMPLATES) expect(inspect(make("photos"), "photos")).toEqual([]);
});

test("what is no JSON is told of with its line", () => {
  const [found] = inspect('{\n  "Version": "2012-10-17",\n  "Statement": [,]\n}', "photos");
  expect(found).toMatchObject({ fatal: true, line: 3 });
});

test("what a policy lacks is told of", () => {
  expect(inspect("[]", "b")[0]!.fatal).toBe(true);
  expect(inspect("{}", "b").some((each) => each.fatal)).toBe(true);
  const texts = inspect('{"Version": "2012-10-17", "Statement": {"Effect": "allow", "Resource": "arn:aws:s3:::other/*"}}', "b").map((each) => each.text).join("\n");
  for (const part of ["Effect", "no Principal", "no Action", "other"]) expect(texts).toContain(part);
});

test("a policy by which everybody may write is warned of", () => {
  const text = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:PutObject"], "Resource": "arn:aws:s3:::b/*"}}';
  expect(inspect(text, "b")).toEqual([{ fatal: false, text: "Statement 1 lets everybody write, without a signature." }]);
});

test("a public policy is warned of where the bucket refuses it", () => {
  const [open] = TEMPLATES;
  expect(inspect(open!.make("b"), "b", true)).toHaveLength(1);
  expect(inspect(TEMPLATES.at(-1)!.make("b"), "b", true)).toEqual([]);
});

test("where a text ceases to be JSON is found", () => {
  const cases: [string, number][] = [
    ["", 0], ["  x", 2], ["[1, 2,]", 6], ['{"a": 1,}', 8], ['{"a" 1}', 5], ['{"a": "b\nc"}', 6], ["[1 2]", 3], ['{"a": [', 7], ["[01]", 2],
    ["{a: 1}", 1], ['["\\x"]', 1], ["{} {}", 2],
  ];
  for (const [text, offset] of cases) {
    expect(() => JSON.parse(text) as unknown).toThrow();
    expect([text, brokenAt(text)]).toEqual([text, offset]);
  }
  for (const text of ['{"a": [1, -2.5e3, true, null, "\\u00e9\\n"], "b": {}}', "[]", '"x"', " 0 "]) {
    JSON.parse(text);
    expect(text.slice(brokenAt(text)).trim()).toBe("");
  }
});
