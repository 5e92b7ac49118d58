/**
 * The documents of S3: read with the browser's own parser, and written with everything escaped.
 *
 * A parser of strings is a sink of Trusted Types. The one policy of the console is here; what it lets through is parsed
 * as a document of its own that is never shown, in which nothing runs.
 */

interface Policy {
  createHTML(text: string): string;
}

const factory = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: Policy): Policy } }).trustedTypes;
const policy: Policy = factory?.createPolicy("zs3-xml", { createHTML: (text) => text }) ?? { createHTML: (text) => text };

export class XmlError extends Error {}

/** @throws XmlError that says where it is wrong. */
export function parseXml(text: string): Element {
  const parsed = new DOMParser().parseFromString(policy.createHTML(text.trim()), "application/xml");
  const wrong = parsed.querySelector("parsererror");
  if (wrong !== null) {
    const told = /error on line \d+ at column \d+: [^\n]*/.exec(wrong.textContent ?? "");
    throw new XmlError(told?.[0] ?? "This is no well-formed XML.");
  }
  return parsed.documentElement;
}

export function children(element: Element, name?: string): Element[] {
  const all = [...element.children];
  return name === undefined ? all : all.filter((child) => child.localName === name);
}

export const child = (element: Element, name: string): Element | undefined => {
  for (let each = element.firstElementChild; each !== null; each = each.nextElementSibling) {
    if (each.localName === name) return each;
  }
  return undefined;
};

/** The text of a child, or "" if there is none. */
export const textOf = (element: Element, name: string): string => child(element, name)?.textContent ?? "";

/** Likewise, undefined if there is none. */
export const maybeText = (element: Element, name: string): string | undefined => child(element, name)?.textContent ?? undefined;

/** What `encoding-type=url` wrote. */
export const decodeName = (text: string): string => decodeURIComponent(text.replace(/\+/g, "%20"));

export function escapeXml(text: string): string {
  // Line ends are written as references, or a parser would make one of a carriage return and a line feed.
  return text.replace(/[&<>"\r\n\t]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** What an element holds: text, or elements in order. */
export type Content = string | number | boolean | readonly XmlNode[];
export type XmlNode = readonly [name: string, content: Content];

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";

function write(node: XmlNode, indent: string): string {
  const [name, content] = node;
  if (typeof content !== "object") return `${indent}<${name}>${escapeXml(String(content))}</${name}>\n`;
  if (content.length === 0) return `${indent}<${name}/>\n`;
  return `${indent}<${name}>\n${content.map((each) => write(each, indent + "  ")).join("")}${indent}</${name}>\n`;
}

/** A document with its root in the namespace of S3, indented for people who read it. */
export function writeXml(root: string, content: readonly XmlNode[]): string {
  const opening = `<${root} xmlns="${NAMESPACE}"`;
  if (content.length === 0) return `${opening}/>\n`;
  return `${opening}>\n${content.map((each) => write(each, "  ")).join("")}</${root}>\n`;
}
