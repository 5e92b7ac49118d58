/** All uploads of this tab: which run, which wait, and what became of each. */

import { signal, type Signal } from "@preact/signals";
import { S3Error, isAbort, told } from "./client";
import { FileUpload, Turns } from "./upload";

const FILES_AT_ONCE = 3;
const REQUESTS_AT_ONCE = 3;

/** `exists`: somebody has to say whether what is there is to be replaced. */
export type State = "waiting" | "running" | "paused" | "exists" | "failed" | "done" | "skipped";

export interface Upload {
  readonly id: number;
  readonly bucket: string;
  readonly key: string;
  readonly size: number;
  readonly type: string;
  readonly state: Signal<State>;
  /** In bytes. */
  readonly sent: Signal<number>;
  readonly message: Signal<string>;
}

interface Own extends Upload {
  readonly work: FileUpload;
  replace: boolean;
  controller: AbortController | null;
  /** The run that was stopped last, until it has come to its end. */
  ending: Promise<void>;
}

export interface Dropped {
  readonly file: File;
  /** With slashes, below the place where it was dropped. */
  readonly path: string;
}

export interface Overview {
  readonly files: number;
  readonly done: number;
  readonly bytes: number;
  readonly sent: number;
  readonly active: number;
  readonly asking: number;
  readonly failed: number;
  readonly paused: number;
  /** The first of them, those that need somebody before those that run, and those before the rest. */
  readonly shown: readonly Upload[];
}

const NOTHING: Overview = { files: 0, done: 0, bytes: 0, sent: 0, active: 0, asking: 0, failed: 0, paused: 0, shown: [] };
const SHOWN = 60;
const ORDER: readonly State[] = ["exists", "failed", "running", "paused", "waiting", "done"];
/** A folder may have many thousand files: they are counted some times a second, not whenever one of them moves. */
const COUNTING_MS = 120;

export const overview = signal<Overview>(NOTHING);

const turns = new Turns(REQUESTS_AT_ONCE);
let running = 0;
let count = 0;
const own = new Map<number, Own>();
/** Those that wait, in order, among some that do not any more. */
const queue: Own[] = [];
let first = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

function changed(): void {
  timer ??= setTimeout(() => {
    timer = undefined;
    overview.value = counted();
  }, COUNTING_MS);
}

function counted(): Overview {
  let done = 0, bytes = 0, sent = 0, active = 0, asking = 0, failed = 0, paused = 0;
  const byState = new Map<State, Upload[]>(ORDER.map((state) => [state, []]));
  for (const upload of own.values()) {
    const state = upload.state.peek();
    bytes += upload.size;
    sent += upload.sent.peek();
    if (state === "done") done++;
    else if (state === "running" || state === "waiting") active++;
    else if (state === "exists") asking++;
    else if (state === "failed") failed++;
    else paused++;
    const same = byState.get(state);
    if (same !== undefined && same.length < SHOWN) same.push(upload);
  }
  const shown = [...byState.values()].flat().slice(0, SHOWN);
  return { files: own.size, done, bytes, sent, active, asking, failed, paused, shown };
}

function setState(upload: Own, state: State): void {
  upload.state.value = state;
  changed();
}

type Listener = (upload: Upload) => void;
let finished: Listener = () => undefined;

export function whenUploaded(listener: Listener): void {
  finished = listener;
}

export function add(bucket: string, prefix: string, dropped: readonly Dropped[]): void {
  const made = dropped.map(({ file, path }): Own => {
    const sent = signal(0);
    const progress = (bytes: number): void => {
      sent.value = bytes;
      changed();
    };
    const key = prefix + path;
    return {
      id: ++count,
      bucket,
      key,
      size: file.size,
      type: file.type,
      state: signal<State>("waiting"),
      sent,
      message: signal(""),
      work: new FileUpload(file, bucket, key, turns, progress),
      replace: false,
      controller: null,
      ending: Promise.resolve(),
    };
  });
  for (const each of made) {
    own.set(each.id, each);
    queue.push(each);
  }
  overview.value = counted();
  pump();
}

function pump(): void {
  while (running < FILES_AT_ONCE && first < queue.length) {
    const next = queue[first++];
    if (next?.state.peek() !== "waiting") continue;
    running++;
    next.state.value = "running";
    next.ending = next.ending.then(() => run(next));
  }
  if (first === queue.length) {
    queue.length = 0;
    first = 0;
  }
}

async function run(upload: Own): Promise<void> {
  const controller = new AbortController();
  upload.controller = controller;
  try {
    // It may have been stopped again before the run before it had ended.
    if (upload.state.peek() !== "running") return;
    upload.message.value = "";
    await upload.work.run(upload.replace, controller.signal);
    upload.sent.value = upload.size;
    setState(upload, "done");
    finished(upload);
  } catch (error) {
    // Who stopped it has set the state.
    if (!(controller.signal.aborted && isAbort(controller.signal.reason))) fail(upload, error);
  } finally {
    upload.controller = null;
    running--;
    pump();
  }
}

function fail(upload: Own, error: unknown): void {
  if (error instanceof S3Error && error.code === "PreconditionFailed" && !upload.replace) {
    setState(upload, "exists");
    return;
  }
  const unreadable = error instanceof DOMException && error.name === "NotReadableError";
  upload.message.value = unreadable ? "The file cannot be read: it was moved, changed or removed." : told(error);
  setState(upload, "failed");
}

function stop(upload: Own, state: State): void {
  setState(upload, state);
  upload.controller?.abort();
}

function start(upload: Own): void {
  setState(upload, "waiting");
  queue.push(upload);
  pump();
}

const ownOf = (upload: Upload): Own | undefined => own.get(upload.id);

export function pauseUpload(upload: Upload): void {
  const mine = ownOf(upload);
  const state = mine?.state.value;
  if (mine !== undefined && (state === "running" || state === "waiting")) stop(mine, "paused");
}

/** Also after a failure: what was sent whole is not sent again. */
export function resumeUpload(upload: Upload): void {
  const mine = ownOf(upload);
  const state = mine?.state.value;
  if (mine !== undefined && (state === "paused" || state === "failed")) start(mine);
}

export function replaceExisting(upload: Upload): void {
  const mine = ownOf(upload);
  if (mine?.state.value !== "exists") return;
  mine.replace = true;
  start(mine);
}

/** Takes it off the list; parts that were sent are removed from the server. */
export function cancelUpload(upload: Upload): void {
  const mine = ownOf(upload);
  if (mine === undefined) return;
  own.delete(mine.id);
  if (mine.state.value !== "done") {
    stop(mine, "skipped");
    // A rule for incomplete uploads removes what stays.
    void mine.ending.then(() => mine.work.abandon()).catch(() => undefined);
  }
  changed();
}

export const forAll = (action: (upload: Upload) => void, ...states: State[]): void => {
  for (const upload of [...own.values()]) if (states.includes(upload.state.value)) action(upload);
};

/** Files that were dropped, with those in folders; call it while the event is being handled. */
export async function filesOf(transfer: DataTransfer): Promise<Dropped[]> {
  const entries = [...transfer.items].map((item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const plain = [...transfer.files];
  if (entries.every((entry) => entry === null)) return plain.map((file) => ({ file, path: file.name }));
  const found: Dropped[] = [];
  for (const entry of entries) if (entry !== null) await collect(entry, "", found);
  return found;
}

async function collect(entry: FileSystemEntry, above: string, found: Dropped[]): Promise<void> {
  const path = above + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ file, path });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const each of some) await collect(each, `${path}/`, found);
  }
}

/** Files that were chosen, with their folders if a folder was. */
export const filesOfInput = (input: HTMLInputElement): Dropped[] =>
  [...(input.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
