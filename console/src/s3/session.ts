/**
 * Who is signed in, and what signs.
 *
 * Of the secret only two signing keys are kept, of today and of tomorrow, in the storage of the tab: a reload stays
 * signed in, and the end of the tab is the end of the session.
 */

import { hex, unhex } from "./bytes";
import { deriveKey, amzDate, type Signer } from "./sigv4";

const STORED = "zs3-console-session";
export const DEFAULT_REGION = "us-east-1";

export interface Credentials {
  readonly accessKey: string;
  readonly region: string;
  /** In hex, by the date they are for. */
  readonly keys: Readonly<Record<string, string>>;
  /** By how much the clock of the server is ahead, in milliseconds. */
  readonly ahead: number;
}

export class SessionExpired extends Error {
  constructor() {
    super("The session has ended. Sign in again to go on.");
  }
}

const DAY_MS = 24 * 3600 * 1000;

export function derive(accessKey: string, secret: string, region: string, ahead: number): Credentials {
  const now = Date.now() + ahead;
  const keys: Record<string, string> = {};
  for (const time of [now, now + DAY_MS]) {
    const date = amzDate(new Date(time)).slice(0, 8);
    keys[date] = hex(deriveKey(secret, date, region));
  }
  return { accessKey, region, keys, ahead };
}

let current: Credentials | null = read();

function read(): Credentials | null {
  try {
    const text = sessionStorage.getItem(STORED);
    return text === null ? null : (JSON.parse(text) as Credentials);
  } catch {
    return null;
  }
}

export const credentials = (): Credentials | null => current;

export function keep(made: Credentials | null): void {
  current = made;
  try {
    if (made === null) sessionStorage.removeItem(STORED);
    else sessionStorage.setItem(STORED, JSON.stringify(made));
  } catch {
    // A browser that stores nothing: the session ends with the next reload.
  }
}

/** @param ahead in milliseconds: see `Credentials`. */
export function correctClock(ahead: number): void {
  if (current !== null) keep({ ...current, ahead });
}

/** What signs now, and what time it is for the server.  @throws SessionExpired */
export function signer(): { signer: Signer; now: Date } {
  if (current === null) throw new SessionExpired();
  const now = new Date(Date.now() + current.ahead);
  const date = amzDate(now).slice(0, 8);
  const key = current.keys[date];
  if (key === undefined) throw new SessionExpired();
  return { signer: { accessKey: current.accessKey, date, region: current.region, key: unhex(key) }, now };
}
