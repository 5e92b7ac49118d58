/**
 * Whether a text that somebody typed is well-formed XML, and where it is not.  Pure.
 *
 * Browsers tell that inside a document of their own making, each in another way. What passes here they are asked too.
 */

const NAME = "[A-Za-z_:][\\w:.-]*";
const ATTRIBUTE = `\\s+${NAME}\\s*=\\s*(?:"[^<"]*"|'[^<']*')`;
const TOKEN = new RegExp(
  [
    "(<\\?[^]*?\\?>|<!--(?:(?!--)[^])*-->|<!\\[CDATA\\[[^]*?\\]\\]>)", // nothing to see
    `<(${NAME})(?:${ATTRIBUTE})*\\s*(/?)>`, // opens
    `</(${NAME})\\s*>`, // closes
    "((?:[^<&]|&(?:amp|lt|gt|quot|apos|#\\d+|#x[0-9A-Fa-f]+);)+)", // text
  ].join("|"),
  "y",
);

export interface Broken {
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

/** The first thing that is wrong; undefined if nothing is. */
export function brokenXml(text: string): Broken | undefined {
  const open: string[] = [];
  let roots = 0;
  let at = 0;
  const wrong = (what: string): Broken => ({ line: text.slice(0, at).split("\n").length, text: what });
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const [whole, , opened, empty, closed, words] = TOKEN.exec(text) ?? [];
    if (whole === undefined) {
      if (text.startsWith("<!DOCTYPE", at)) return wrong("a document type is not allowed.");
      return wrong(text[at] === "&" ? "a lone “&” is written &amp;." : "this is no tag: is a “>” or a quote missing?");
    }
    if (words?.trim() && open.length === 0) return wrong("there is text outside of the document.");
    if (opened !== undefined) {
      if (open.length === 0 && roots++ > 0) return wrong("a document has one root.");
      if (!empty) open.push(opened);
    }
    if (closed !== undefined && open.pop() !== closed) return wrong(`</${closed}> closes what is not open.`);
    at += whole.length;
  }
  if (open.length > 0) return wrong(`<${open.at(-1)}> is not closed.`);
  return roots === 0 ? wrong("there is no document.") : undefined;
}
