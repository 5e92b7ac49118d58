/** Signing in and out, and what the daemon tells of itself and of its users: its own API below /-/api. */

import { S3Error, Unreachable, json, send } from "./client";
import { DEFAULT_REGION, credentials, derive, keep } from "./session";

export interface Session {
  readonly user: string;
  readonly access_key: string;
  readonly admin: boolean;
  readonly role: "admin" | "writer" | "reader" | null;
  readonly account: string;
  readonly account_id: string;
  readonly region: string;
  /** The origin of the S3 API, for links and media; null if the daemon does not know where it is. */
  readonly s3_url: string | null;
  readonly users: "writable" | "read-only" | "none";
  readonly version: string;
}

export interface Disk {
  readonly total: number;
  readonly free: number;
  readonly inodes: number;
  readonly inodes_free: number;
  readonly read_only: boolean;
  readonly healthy: boolean;
}

export interface UserKey {
  readonly access_key: string;
  readonly enabled: boolean;
  readonly created: string | null;
}

export interface User {
  readonly name: string;
  readonly role: string | null;
  readonly account: string;
  readonly account_id: string;
  readonly buckets: readonly string[] | null;
  readonly policies: readonly string[] | null;
  readonly enabled: boolean;
  readonly keys: readonly UserKey[];
}

export interface Users {
  readonly writable: boolean;
  readonly secure: boolean;
  readonly policies: readonly string[];
  readonly users: readonly User[];
}

export interface NewKey {
  readonly access_key: string;
  readonly secret_key: string;
}

export interface NewUser {
  readonly name: string;
  readonly role?: string;
  readonly policies?: readonly string[];
  readonly buckets?: readonly string[];
}

const API = "/-/api";
const SKEW_MS = 30_000;

export const session = (signal?: AbortSignal): Promise<Session> => json({ path: `${API}/session`, signal });

/** By how much the clock of the server is ahead, in milliseconds; 0 where it is about the same. */
async function serverAhead(): Promise<number> {
  let answer: Response;
  try {
    answer = await fetch("/", { method: "HEAD", cache: "no-store", credentials: "omit" });
  } catch {
    throw new Unreachable();
  }
  const date = Date.parse(answer.headers.get("date") ?? "");
  const ahead = date - Date.now();
  return Number.isNaN(ahead) || Math.abs(ahead) < SKEW_MS ? 0 : ahead;
}

/**
 * Signs in.  The secret is turned into signing keys here and is not kept.
 *
 * @throws S3Error if the key pair is wrong; nobody is signed in then.
 */
export async function signIn(accessKey: string, secret: string): Promise<Session> {
  const ahead = await serverAhead();
  try {
    keep(derive(accessKey, secret, DEFAULT_REGION, ahead));
    let answer: Session;
    try {
      answer = await session();
    } catch (error) {
      const region = error instanceof S3Error ? error.details?.querySelector("Region")?.textContent : null;
      if (!region || region === DEFAULT_REGION) throw error;
      keep(derive(accessKey, secret, region, ahead));
      answer = await session();
    }
    const now = credentials();
    if (answer.region !== now?.region) keep(derive(accessKey, secret, answer.region, now?.ahead ?? ahead));
    return answer;
  } catch (error) {
    keep(null);
    throw error;
  }
}

export const disk = (signal?: AbortSignal): Promise<Disk> => json({ path: `${API}/disk`, signal });
export const users = (signal?: AbortSignal): Promise<Users> => json({ path: `${API}/users`, signal });

const userPath = (name: string): string => `${API}/users/${name}`;
const keyPath = (name: string, key: string): string => `${userPath(name)}/keys/${key}`;

export const addUser = (user: NewUser): Promise<NewKey & { name: string }> =>
  json({ method: "POST", path: `${API}/users`, body: JSON.stringify(user) });

export const addKey = (name: string): Promise<NewKey> => json({ method: "POST", path: `${userPath(name)}/keys` });

export async function enableUser(name: string, enabled: boolean): Promise<void> {
  await send({ method: "PUT", path: userPath(name), body: JSON.stringify({ enabled }) });
}

export async function removeUser(name: string): Promise<void> {
  await send({ method: "DELETE", path: userPath(name) });
}

export async function enableKey(name: string, key: string, enabled: boolean): Promise<void> {
  await send({ method: "PUT", path: keyPath(name, key), body: JSON.stringify({ enabled }) });
}

export async function removeKey(name: string, key: string): Promise<void> {
  await send({ method: "DELETE", path: keyPath(name, key) });
}
