/** What can be said of a bucket policy before the server sees it, and policies to begin with.  Pure. */

export interface Finding {
  /** Whether it cannot be saved like that. */
  readonly fatal: boolean;
  readonly text: string;
  /** From 1, where it is known. */
  readonly line?: number;
}

const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/** Where a text ceases to be JSON, as an offset.  Engines tell it in as many ways as there are of them, or not at all. */
export function brokenAt(text: string): number {
  let at = 0;
  const fail = (): never => {
    throw at + (/^\s*/.exec(text.slice(at))?.[0].length ?? 0);
  };
  const next = (): string | undefined => {
    TOKEN.lastIndex = at;
    const [whole, mark, string, plain] = TOKEN.exec(text) ?? fail();
    const token = mark ?? (string === undefined ? plain : '"');
    ahead = at + (whole?.length ?? 0);
    return token;
  };
  let ahead = 0;
  const take = (): void => void (at = ahead);
  const expect = (...wanted: string[]): string => {
    const token = next() ?? "";
    if (!wanted.includes(token)) fail();
    take();
    return token;
  };
  const members = (close: string, member: () => void): void => {
    take();
    if (next() === close) return take();
    do member();
    while (expect(",", close) === ",");
  };
  const value = (): void => {
    const token = next() ?? "";
    if (token === "{") members("}", () => {
      expect('"');
      expect(":");
      value();
    });
    else if (token === "[") members("]", value);
    else if (/^[}\],:]$/.test(token)) fail();
    else take();
  };
  try {
    value();
    return at;
  } catch (offset) {
    if (typeof offset !== "number") throw offset;
    return offset;
  }
}

const listed = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

const fatal = (text: string): Finding => ({ fatal: true, text });
const warning = (text: string): Finding => ({ fatal: false, text });

/** @param blocked whether the bucket refuses policies that make something public. */
export function inspect(text: string, bucket: string, blocked = false): Finding[] {
  let policy: unknown;
  try {
    policy = JSON.parse(text);
  } catch {
    const offset = brokenAt(text);
    const rest = text.slice(offset, offset + 12).split("\n")[0];
    const what = rest ? `unexpected ${rest}` : "it ends too early";
    return [{ fatal: true, text: `This is no JSON: ${what}`, line: text.slice(0, offset).split("\n").length }];
  }
  if (!isObject(policy)) return [fatal("A policy is an object: { … }.")];
  const found: Finding[] = [];
  if (policy["Version"] !== "2012-10-17") found.push(warning("Version is usually \"2012-10-17\"; without it variables are not understood."));
  const statements = policy["Statement"];
  if (statements === undefined) return [...found, fatal("A policy has a Statement.")];
  listed(statements).forEach((statement, i) => found.push(...inspectStatement(statement, i + 1, bucket)));
  if (blocked && listed(statements).some(isOpen)) {
    found.push(warning("This bucket refuses policies that make something public: switch that off first, under General, Public access."));
  }
  return found;
}

function inspectStatement(statement: unknown, number: number, bucket: string): Finding[] {
  const at = `Statement ${number}`;
  if (!isObject(statement)) return [fatal(`${at} is an object: { … }.`)];
  const found: Finding[] = [];
  if (statement["Effect"] !== "Allow" && statement["Effect"] !== "Deny") found.push(fatal(`${at}: Effect is "Allow" or "Deny".`));
  for (const name of ["Principal", "Action", "Resource"]) {
    if (!(name in statement) && !(`Not${name}` in statement)) found.push(fatal(`${at} has no ${name}.`));
  }
  for (const resource of listed(statement["Resource"] ?? [])) {
    if (typeof resource === "string" && resource !== `arn:aws:s3:::${bucket}` && !resource.startsWith(`arn:aws:s3:::${bucket}/`)) {
      found.push(warning(`${at}: ${resource} is not of this bucket.`));
    }
  }
  const open = isOpen(statement);
  const writes = listed(statement["Action"] ?? []).some((action) => typeof action === "string" && /^s3:(\*|Put|Delete)/i.test(action));
  if (open && writes) found.push(warning(`${at} lets everybody write, without a signature.`));
  return found;
}

const isEverybody = (principal: unknown): boolean =>
  principal === "*" || (isObject(principal) && listed(principal["AWS"] ?? []).includes("*"));

const isOpen = (statement: unknown): boolean =>
  isObject(statement) && statement["Effect"] === "Allow" && isEverybody(statement["Principal"]) && statement["Condition"] === undefined;

export interface Template {
  readonly name: string;
  readonly make: (bucket: string) => string;
}

const policy = (...statements: unknown[]): string => JSON.stringify({ Version: "2012-10-17", Statement: statements }, null, 2);
const all = (bucket: string): string => `arn:aws:s3:::${bucket}/*`;

export const TEMPLATES: readonly Template[] = [
  {
    name: "Everybody may read objects",
    make: (bucket) => policy({ Sid: "PublicRead", Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: all(bucket) }),
  },
  {
    name: "Everybody may read and list",
    make: (bucket) =>
      policy(
        { Sid: "PublicRead", Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: all(bucket) },
        { Sid: "PublicList", Effect: "Allow", Principal: "*", Action: "s3:ListBucket", Resource: `arn:aws:s3:::${bucket}` },
      ),
  },
  {
    name: "The home network may upload, and not read",
    make: (bucket) =>
      policy({
        Sid: "UploadOnly",
        Effect: "Allow",
        Principal: "*",
        Action: "s3:PutObject",
        Resource: all(bucket),
        Condition: { IpAddress: { "aws:SourceIp": ["192.168.0.0/16", "10.0.0.0/8"] } },
      }),
  },
  {
    name: "Nobody may delete",
    make: (bucket) =>
      policy({
        Sid: "NoDelete",
        Effect: "Deny",
        Principal: "*",
        Action: ["s3:DeleteObject", "s3:DeleteObjectVersion"],
        Resource: all(bucket),
      }),
  },
  {
    name: "Only over TLS",
    make: (bucket) =>
      policy({
        Sid: "TlsOnly",
        Effect: "Deny",
        Principal: "*",
        Action: "s3:*",
        Resource: [`arn:aws:s3:::${bucket}`, all(bucket)],
        Condition: { Bool: { "aws:SecureTransport": "false" } },
      }),
  },
];
