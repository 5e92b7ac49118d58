/**
 * Lifecycle and CORS rules: between their documents and what the forms edit.
 *
 * A form never loses what it does not know: a document with anything else in it is not read into rules, but left to be
 * edited as a text.
 */

import { children, parseXml, textOf, writeXml, type XmlNode } from "./xml";

/** There is something in a document that the form has no field for. */
export class Unknown extends Error {
  constructor(name: string) {
    super(`The form has no field for ${name}, so this is edited as a text.`);
  }
}

function only(element: Element, names: readonly string[]): void {
  for (const each of children(element)) if (!names.includes(each.localName)) throw new Unknown(each.localName);
}

function single(element: Element, name: string): Element | undefined {
  const found = children(element, name);
  if (found.length > 1) throw new Unknown(`several ${name}`);
  return found[0];
}

// Lifecycle ---------------------------------------------------------------------------------------------------------

/** Numbers and dates are as they are typed; "" is for what is not there. */
export interface LifecycleRule {
  id: string;
  enabled: boolean;
  prefix: string;
  /** A rule of the older form has its Prefix without a Filter. */
  oldForm: boolean;
  tags: [string, string][];
  larger: string;
  smaller: string;
  expireDays: string;
  expireDate: string;
  expireMarkers: boolean;
  noncurrentDays: string;
  noncurrentKeep: string;
  abortDays: string;
}

export const newLifecycleRule = (): LifecycleRule => ({
  id: "",
  enabled: true,
  prefix: "",
  oldForm: false,
  tags: [],
  larger: "",
  smaller: "",
  expireDays: "",
  expireDate: "",
  expireMarkers: false,
  noncurrentDays: "",
  noncurrentKeep: "",
  abortDays: "",
});

const CONDITIONS = ["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"];

/** @throws Unknown, XmlError */
export function readLifecycle(text: string): LifecycleRule[] {
  const root = parseXml(text);
  only(root, ["Rule"]);
  return children(root).map(readRule);
}

function readRule(element: Element): LifecycleRule {
  only(element, ["ID", "Status", "Prefix", "Filter", "Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"]);
  const rule = newLifecycleRule();
  rule.id = textOf(element, "ID");
  rule.enabled = textOf(element, "Status") === "Enabled";
  const filter = single(element, "Filter");
  rule.oldForm = filter === undefined;
  if (filter === undefined) rule.prefix = textOf(element, "Prefix");
  else readFilter(filter, rule);

  const expiration = single(element, "Expiration");
  if (expiration !== undefined) {
    only(expiration, ["Days", "Date", "ExpiredObjectDeleteMarker"]);
    rule.expireDays = textOf(expiration, "Days");
    rule.expireDate = textOf(expiration, "Date").slice(0, 10);
    rule.expireMarkers = textOf(expiration, "ExpiredObjectDeleteMarker") === "true";
  }
  const noncurrent = single(element, "NoncurrentVersionExpiration");
  if (noncurrent !== undefined) {
    only(noncurrent, ["NoncurrentDays", "NewerNoncurrentVersions"]);
    rule.noncurrentDays = textOf(noncurrent, "NoncurrentDays");
    rule.noncurrentKeep = textOf(noncurrent, "NewerNoncurrentVersions");
  }
  const abort = single(element, "AbortIncompleteMultipartUpload");
  if (abort !== undefined) {
    only(abort, ["DaysAfterInitiation"]);
    rule.abortDays = textOf(abort, "DaysAfterInitiation");
  }
  return rule;
}

function readFilter(filter: Element, rule: LifecycleRule): void {
  only(filter, [...CONDITIONS, "And"]);
  const and = single(filter, "And");
  if (and !== undefined && children(filter).length > 1) throw new Unknown("conditions beside And");
  const holder = and ?? filter;
  only(holder, CONDITIONS);
  for (const name of CONDITIONS) if (name !== "Tag") single(holder, name);
  rule.prefix = textOf(holder, "Prefix");
  rule.larger = textOf(holder, "ObjectSizeGreaterThan");
  rule.smaller = textOf(holder, "ObjectSizeLessThan");
  rule.tags = children(holder, "Tag").map((tag) => [textOf(tag, "Key"), textOf(tag, "Value")]);
}

const optional = (name: string, value: string): XmlNode[] => (value === "" ? [] : [[name, value]]);

export const writeLifecycle = (rules: readonly LifecycleRule[]): string =>
  writeXml("LifecycleConfiguration", rules.map((rule) => ["Rule", writeRule(rule)]));

function writeRule(rule: LifecycleRule): XmlNode[] {
  const nodes: XmlNode[] = [...optional("ID", rule.id), ["Status", rule.enabled ? "Enabled" : "Disabled"]];
  const conditions: XmlNode[] = [
    ...optional("Prefix", rule.prefix),
    ...rule.tags.map(([name, value]): XmlNode => ["Tag", [["Key", name], ["Value", value]]]),
    ...optional("ObjectSizeGreaterThan", rule.larger),
    ...optional("ObjectSizeLessThan", rule.smaller),
  ];
  if (rule.oldForm && conditions.every(([name]) => name === "Prefix")) nodes.push(["Prefix", rule.prefix]);
  else nodes.push(["Filter", conditions.length > 1 ? [["And", conditions]] : conditions]);

  const expiration: XmlNode[] = [
    ...optional("Days", rule.expireDays),
    ...optional("Date", rule.expireDate && `${rule.expireDate}T00:00:00Z`),
    ...(rule.expireMarkers ? [["ExpiredObjectDeleteMarker", true] as XmlNode] : []),
  ];
  if (expiration.length > 0) nodes.push(["Expiration", expiration]);
  const noncurrent = [...optional("NoncurrentDays", rule.noncurrentDays), ...optional("NewerNoncurrentVersions", rule.noncurrentKeep)];
  if (noncurrent.length > 0) nodes.push(["NoncurrentVersionExpiration", noncurrent]);
  if (rule.abortDays) nodes.push(["AbortIncompleteMultipartUpload", [["DaysAfterInitiation", rule.abortDays]]]);
  return nodes;
}

const isCount = (text: string): boolean => /^[1-9]\d{0,9}$/.test(text);
const isSize = (text: string): boolean => /^\d{1,16}$/.test(text);

/** What is wrong with a rule, in words; nothing if it can be sent. */
export function wrongInLifecycle(rule: LifecycleRule): string[] {
  const wrong: string[] = [];
  const days: [string, string][] = [
    ["Days after which objects expire", rule.expireDays],
    ["Days after which older versions are removed", rule.noncurrentDays],
    ["Days after which uploads are aborted", rule.abortDays],
  ];
  for (const [what, text] of days) if (text && !isCount(text)) wrong.push(`${what}: a whole number from 1 on.`);
  if (rule.noncurrentKeep && !(isCount(rule.noncurrentKeep) && Number(rule.noncurrentKeep) <= 100)) {
    wrong.push("Newer versions to keep: a number from 1 to 100.");
  }
  if (rule.noncurrentKeep && !rule.noncurrentDays) wrong.push("Newer versions to keep: only with a number of days.");
  if ([rule.expireDays, rule.expireDate, rule.expireMarkers].filter(Boolean).length > 1) {
    wrong.push("Expiration: days, a date or delete markers, only one of them.");
  }
  for (const text of [rule.larger, rule.smaller]) if (text && !isSize(text)) wrong.push("Sizes are whole numbers of bytes.");
  if (rule.larger && rule.smaller && Number(rule.larger) >= Number(rule.smaller)) wrong.push("No size is above the one and below the other.");
  if (rule.tags.some(([name]) => !name)) wrong.push("A tag has a name.");
  if (rule.tags.length > 0 && (rule.abortDays || rule.expireMarkers)) {
    wrong.push("Uploads and delete markers have no tags: use a rule of their own for them.");
  }
  if (!rule.expireDays && !rule.expireDate && !rule.expireMarkers && !rule.noncurrentDays && !rule.abortDays) {
    wrong.push("A rule does something: choose at least one action.");
  }
  return wrong;
}

// CORS --------------------------------------------------------------------------------------------------------------

export const METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"] as const;

export interface CorsRule {
  id: string;
  origins: string[];
  methods: string[];
  headers: string[];
  exposed: string[];
  maxAge: string;
}

export const newCorsRule = (): CorsRule => ({ id: "", origins: [], methods: ["GET"], headers: [], exposed: [], maxAge: "" });

/** @throws Unknown, XmlError */
export function readCors(text: string): CorsRule[] {
  const root = parseXml(text);
  only(root, ["CORSRule"]);
  return children(root).map((element) => {
    only(element, ["ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds"]);
    const texts = (name: string): string[] => children(element, name).map((each) => each.textContent ?? "");
    return {
      id: textOf(element, "ID"),
      origins: texts("AllowedOrigin"),
      methods: texts("AllowedMethod"),
      headers: texts("AllowedHeader"),
      exposed: texts("ExposeHeader"),
      maxAge: textOf(element, "MaxAgeSeconds"),
    };
  });
}

export function writeCors(rules: readonly CorsRule[]): string {
  const each = (name: string, texts: readonly string[]): XmlNode[] => texts.map((text) => [name, text]);
  return writeXml(
    "CORSConfiguration",
    rules.map((rule): XmlNode => [
      "CORSRule",
      [
        ...optional("ID", rule.id),
        ...each("AllowedOrigin", rule.origins),
        ...each("AllowedMethod", rule.methods),
        ...each("AllowedHeader", rule.headers),
        ...each("ExposeHeader", rule.exposed),
        ...optional("MaxAgeSeconds", rule.maxAge),
      ],
    ]),
  );
}

export function wrongInCors(rule: CorsRule): string[] {
  const wrong: string[] = [];
  if (rule.origins.length === 0) wrong.push("At least one origin, as https://example.org, or * for all.");
  for (const origin of rule.origins) {
    if ((origin.match(/\*/g) ?? []).length > 1) wrong.push(`${origin}: at most one *.`);
    if (/^https?:\/\/[^/]*\/./.test(origin) || /\/$/.test(origin)) wrong.push(`${origin}: an origin has no path.`);
  }
  if (rule.methods.length === 0) wrong.push("At least one method.");
  if (rule.maxAge && !/^\d{1,9}$/.test(rule.maxAge)) wrong.push("The time to remember is a number of seconds.");
  return wrong;
}
