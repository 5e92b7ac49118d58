/** All uploads of this tab: which run, which wait, and what became of each. */

import { computed, signal, type Signal } from "@preact/signals";
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
}

export interface Dropped {
  readonly file: File;
  /** With slashes, below the place where it was dropped. */
  readonly path: string;
}

export const uploads = signal<readonly Upload[]>([]);

const turns = new Turns(REQUESTS_AT_ONCE);
let running = 0;
let count = 0;
const own = new Map<number, Own>();
/** Those that wait, in order. */
let queue: Own[] = [];

type Listener = (upload: Upload) => void;
let finished: Listener = () => undefined;

export function whenUploaded(listener: Listener): void {
  finished = listener;
}

export const totals = computed(() => {
  let files = 0, done = 0, bytes = 0, sent = 0, active = 0, asking = 0, failed = 0, paused = 0;
  for (const upload of uploads.value) {
    const state = upload.state.value;
    if (state === "skipped") continue;
    files++;
    bytes += upload.size;
    sent += upload.sent.value;
    if (state === "done") done++;
    else if (state === "running" || state === "waiting") active++;
    else if (state === "exists") asking++;
    else if (state === "failed") failed++;
    else paused++;
  }
  return { files, done, bytes, sent, active, asking, failed, paused };
});

export function add(bucket: string, prefix: string, dropped: readonly Dropped[]): void {
  const made = dropped.map(({ file, path }): Own => {
    const sent = signal(0);
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
      work: new FileUpload(file, bucket, key, turns, (bytes) => (sent.value = bytes)),
      replace: false,
      controller: null,
    };
  });
  for (const each of made) own.set(each.id, each);
  uploads.value = [...uploads.value, ...made];
  queue.push(...made);
  pump();
}

function pump(): void {
  while (running < FILES_AT_ONCE) {
    const next = queue.shift();
    if (next === undefined) return;
    if (next.state.value === "waiting") void run(next);
  }
}

async function run(upload: Own): Promise<void> {
  running++;
  const controller = new AbortController();
  upload.controller = controller;
  upload.state.value = "running";
  upload.message.value = "";
  try {
    await upload.work.run(upload.replace, controller.signal);
    upload.sent.value = upload.size;
    upload.state.value = "done";
    finished(upload);
  } catch (error) {
    fail(upload, controller.signal.aborted && isAbort(controller.signal.reason), error);
  } finally {
    upload.controller = null;
    running--;
    pump();
  }
}

function fail(upload: Own, stopped: boolean, error: unknown): void {
  if (stopped) return; // Who stopped it has set the state.
  if (error instanceof S3Error && error.code === "PreconditionFailed" && !upload.replace) {
    upload.state.value = "exists";
    return;
  }
  upload.state.value = "failed";
  const unreadable = error instanceof DOMException && error.name === "NotReadableError";
  upload.message.value = unreadable ? "The file cannot be read: it was moved, changed or removed." : told(error);
}

function stop(upload: Own, state: State): void {
  upload.state.value = state;
  queue = queue.filter((each) => each !== upload);
  upload.controller?.abort();
}

function start(upload: Own): void {
  upload.state.value = "waiting";
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
  if (mine.state.value !== "done") {
    stop(mine, "skipped");
    mine.work.abandon().catch(() => undefined); // A rule for incomplete uploads removes it then.
  }
  own.delete(mine.id);
  uploads.value = uploads.value.filter((each) => each.id !== mine.id);
}

export const forAll = (action: (upload: Upload) => void, ...states: State[]): void => {
  for (const upload of uploads.value) if (states.includes(upload.state.value)) action(upload);
};

export function clearFinished(): void {
  uploads.value = uploads.value.filter((each) => each.state.value !== "done");
}

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
