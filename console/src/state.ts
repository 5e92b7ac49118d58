/** What all pages share: who is signed in, what is to be told, and whether the console can be reached. */

import { signal } from "@preact/signals";
import { session as fetchSession, signIn as signInWith, type Session } from "./s3/admin";
import { isAbort, S3Error, told, whenExpired } from "./s3/client";
import { credentials, keep, SessionExpired } from "./s3/session";

export const session = signal<Session | null>(null);
/** A session came to its end while somebody was at work: their page stays, and they are asked to sign in over it. */
export const ended = signal(false);
/** Whether the session of a reload is being looked up. */
export const starting = signal(credentials() !== null);
export const startFailure = signal("");

export interface Notice {
  readonly id: number;
  readonly kind: "error" | "done";
  readonly text: string;
}

/** Errors stay until somebody takes them away. */
export const notices = signal<readonly Notice[]>([]);
let count = 0;
const DONE_MS = 7000;

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

function tell(kind: Notice["kind"], text: string): void {
  const id = ++count;
  notices.value = [...notices.value.filter((notice) => notice.text !== text).slice(-4), { id, kind, text }];
  if (kind === "done") setTimeout(() => dismiss(id), DONE_MS);
}

export const done = (text: string): void => tell("done", text);

/** Tells of an error, unless it is that somebody stopped it, or has to sign in again and is asked to. */
export function failed(error: unknown, doing = ""): void {
  if (isAbort(error) || error instanceof SessionExpired) return;
  tell("error", doing ? `${doing}: ${told(error)}` : told(error));
}

/** For screen readers alone. */
export const spoken = signal("");

whenExpired(() => {
  if (session.value !== null) ended.value = true;
});

export async function signIn(accessKey: string, secret: string): Promise<void> {
  session.value = await signInWith(accessKey, secret);
  ended.value = false;
}

/** After a reload.  */
export async function resume(): Promise<void> {
  if (credentials() === null) return;
  starting.value = true;
  startFailure.value = "";
  try {
    session.value = await fetchSession();
  } catch (error) {
    if (error instanceof SessionExpired || (error instanceof S3Error && error.status === 403)) keep(null);
    else startFailure.value = told(error);
  } finally {
    starting.value = false;
  }
}

export function signOut(): void {
  keep(null);
  // What was on the screen, in memory and on its way ends with the page.
  location.hash = "";
  location.reload();
}
