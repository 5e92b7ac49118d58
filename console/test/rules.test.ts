import { expect, test } from "vitest";
import { newCorsRule, newLifecycleRule, readCors, readLifecycle, Unknown, writeCors, writeLifecycle, wrongInCors, wrongInLifecycle } from "../src/s3/rules";

const full = {
  ...newLifecycleRule(),
  id: "old <logs>",
  prefix: "logs/&",
  tags: [["kind", "log"], ["keep", "no"]] as [string, string][],
  larger: "100",
  smaller: "2000",
  expireDays: "30",
  noncurrentDays: "7",
  noncurrentKeep: "2",
};

test("lifecycle rules survive a round trip", () => {
  const rules = [
    full,
    { ...newLifecycleRule(), id: "one", prefix: "a", expireDate: "2027-01-01" },
    { ...newLifecycleRule(), id: "two", tags: [["a", "b"]] as [string, string][], expireDays: "1", enabled: false },
    { ...newLifecycleRule(), id: "three", expireMarkers: true, abortDays: "3" },
    { ...newLifecycleRule(), id: "old", prefix: "x", oldForm: true, expireDays: "5" },
  ];
  expect(readLifecycle(writeLifecycle(rules))).toEqual(rules);
});

test("what the form does not know is not lost: it is not read", () => {
  const rule = (inner: string): string => `<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status>${inner}</Rule></LifecycleConfiguration>`;
  for (const inner of [
    "<Filter/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>",
    "<Filter><Else/></Filter>",
    "<Filter><Prefix>a</Prefix><And><Prefix>b</Prefix></And></Filter>",
    "<Filter/><Expiration><Hours>2</Hours></Expiration>",
    "<Filter><Prefix>a</Prefix><Prefix>b</Prefix></Filter>",
  ]) {
    expect(() => readLifecycle(rule(inner))).toThrow(Unknown);
  }
});

test("rules that would be refused are told of before they are sent", () => {
  expect(wrongInLifecycle(full)).toEqual([]);
  expect(wrongInLifecycle(newLifecycleRule())).toHaveLength(1);
  expect(wrongInLifecycle({ ...full, expireDays: "0" })).toHaveLength(1);
  expect(wrongInLifecycle({ ...full, expireDate: "2027-01-01" })).toHaveLength(1);
  expect(wrongInLifecycle({ ...full, larger: "3000" })).toHaveLength(1);
  expect(wrongInLifecycle({ ...full, abortDays: "2" })).toHaveLength(1);
  expect(wrongInCors({ ...newCorsRule(), origins: ["https://a.example"] })).toEqual([]);
  expect(wrongInCors({ ...newCorsRule(), origins: ["https://a.example/x"] })).toHaveLength(1);
  expect(wrongInCors(newCorsRule())).toHaveLength(1);
});

test("CORS rules survive a round trip", () => {
  const rules = [
    { id: "x", origins: ["*"], methods: ["GET", "PUT"], headers: ["*"], exposed: ["ETag"], maxAge: "60" },
    { ...newCorsRule(), origins: ["https://*.example", "null"] },
  ];
  expect(readCors(writeCors(rules))).toEqual(rules);
  expect(() => readCors("<CORSConfiguration><CORSRule><More/></CORSRule></CORSConfiguration>")).toThrow(Unknown);
});
