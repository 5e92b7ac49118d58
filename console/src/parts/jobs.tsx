/** What is done to many objects at once: deleting, moving and copying, each after it is known what that means. */

import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, counted, number } from "../format";
import { objectMade, objectsGone, type Entry } from "../model";
import { S3Error, isAbort, told } from "../s3/client";
import { getVersioning, listBuckets } from "../s3/buckets";
import { walk, type ObjectEntry } from "../s3/listing";
import { copy, deleteMany, move } from "../s3/objects";
import { done, failed } from "../state";
import { Button, Check, Dialog, Field, Progress, Spinner, TextField } from "./basics";
import { useLoaded } from "./hooks";

const BATCH = 1000;
/** From so many objects on, a word has to be typed. */
const MANY = 100;
const AT_ONCE = 4;

/** An object, and where it is within what was chosen. */
interface Found {
  readonly entry: ObjectEntry;
  /** Its name below the place that was chosen in, with the folders that were chosen. */
  readonly path: string;
}

interface Counted {
  readonly found: readonly Found[];
  readonly size: number;
  readonly complete: boolean;
}

/** All objects in what was chosen, counted while somebody reads on. */
function useCounted(bucket: string, base: string, chosen: readonly Entry[]): Counted & { error: string } {
  const [state, setState] = useState<Counted & { error: string }>({ found: [], size: 0, complete: false, error: "" });
  useEffect(() => {
    const controller = new AbortController();
    const found: Found[] = [];
    let size = 0;
    const take = (entries: readonly ObjectEntry[]): void => {
      for (const entry of entries) {
        found.push({ entry, path: entry.key.slice(base.length) });
        size += entry.size;
      }
    };
    const count = async (): Promise<void> => {
      for (const entry of chosen) {
        if (entry.kind === "object") take([entry]);
        else {
          for await (const page of walk(bucket, entry.key, controller.signal)) {
            take(page);
            setState({ found, size, complete: false, error: "" });
          }
        }
      }
      setState({ found, size, complete: true, error: "" });
    };
    count().catch((error: unknown) => {
      if (!isAbort(error)) setState({ found, size, complete: false, error: told(error) });
    });
    return () => controller.abort();
  }, []);
  return state;
}

/** What is being done, and its end by a button. */
export function useRun(): { running: boolean; ended: number; start: (work: (signal: AbortSignal, step: (count: number) => void) => Promise<void>) => void; stop: () => void } {
  const [running, setRunning] = useState(false);
  const [ended, setEnded] = useState(0);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  return {
    running,
    ended,
    stop: () => controller.current?.abort(),
    start: (work) => {
      controller.current = new AbortController();
      setRunning(true);
      setEnded(0);
      const step = (count: number): void => setEnded((before) => before + count);
      work(controller.current.signal, step)
        .catch((error: unknown) => failed(error))
        .finally(() => setRunning(false));
    },
  };
}

const nameOfAll = (chosen: readonly Entry[], base: string): string =>
  chosen.length === 1 ? `“${chosen[0]?.key.slice(base.length) ?? ""}”` : counted(chosen.length, "entry", "entries");

interface JobProps {
  readonly bucket: string;
  readonly base: string;
  readonly chosen: readonly Entry[];
  readonly onClose: () => void;
  /** Told after `onClose` if it was done. */
  readonly onDone?: () => void;
}

export function DeleteDialog({ bucket, base, chosen, onClose, onDone }: JobProps) {
  const { found, size, complete, error } = useCounted(bucket, base, chosen);
  const versioning = useLoaded((signal) => getVersioning(bucket, signal), [bucket]);
  const [typed, setTyped] = useState("");
  const [problems, setProblems] = useState<readonly string[]>([]);
  const job = useRun();
  const must = found.length >= MANY;
  const ready = complete && found.length > 0 && (!must || typed.trim().toLowerCase() === "delete");

  const start = (): void =>
    job.start(async (signal, step) => {
      const wrong: string[] = [];
      for (let at = 0; at < found.length; at += BATCH) {
        signal.throwIfAborted();
        const batch = found.slice(at, at + BATCH).map(({ entry }) => entry.key);
        const left = await deleteMany(bucket, batch.map((key) => ({ key })), signal);
        const gone = new Set(batch);
        for (const each of left) {
          gone.delete(each.key);
          wrong.push(`${each.key}: ${each.message || each.code}`);
        }
        objectsGone(bucket, gone);
        step(batch.length);
      }
      if (wrong.length > 0) {
        setProblems(wrong);
        return;
      }
      objectsGone(bucket, new Set(chosen.map((entry) => entry.key)));
      done(`Deleted ${counted(found.length, "object")}.`);
      onClose();
      onDone?.();
    });

  return (
    <Dialog
      title={`Delete ${nameOfAll(chosen, base)}?`}
      onClose={onClose}
      fixed={job.running}
      onSubmit={() => ready && !job.running && start()}
      actions={
        job.running ? (
          <Button onClick={job.stop}>Stop</Button>
        ) : (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button kind="danger" type="submit" icon="trash" disabled={!ready}>{`Delete ${complete ? counted(found.length, "object") : ""}`}</Button>
          </>
        )
      }
    >
      {error && <p class="error" role="alert">{error}</p>}
      {!complete && !error && <Spinner label={`Counting: ${counted(found.length, "object")} so far`} />}
      {complete && !job.running && (
        <p>
          {found.length === 0 ? "There is nothing in it any more." : <><strong>{counted(found.length, "object")}</strong>, {bytes(size)} in all.</>}
        </p>
      )}
      {versioning.value !== undefined && <p>{consequence(versioning.value)}</p>}
      {complete && must && !job.running && (
        <TextField label="Type “delete” to go on" value={typed} onInput={setTyped} />
      )}
      {job.running && <Running label="Deleted" ended={job.ended} all={found.length} />}
      <Problems problems={problems} what="not deleted" />
    </Dialog>
  );
}

function consequence(versioning: string): string {
  if (versioning === "Enabled") return "This bucket keeps versions: they stay, and can be brought back from the page of versions.";
  if (versioning === "Suspended") return "Versions of before stay; what came after versions were suspended is gone for good.";
  return "This cannot be undone.";
}

export function Running({ label, ended, all }: { label: string; ended: number; all: number }) {
  return (
    <div role="status">
      <p>{label} {number(ended)} of {number(all)}</p>
      <Progress value={ended} max={all} label={label} />
    </div>
  );
}

export function Problems({ problems, what, one = "object" }: { problems: readonly string[]; what: string; one?: string }) {
  if (problems.length === 0) return null;
  return (
    <div role="alert" class="problems">
      <p class="error">{counted(problems.length, one)} {problems.length === 1 ? "was" : "were"} {what}:</p>
      <ul tabIndex={0} aria-label={`What was ${what}`}>
        {problems.slice(0, 200).map((text) => <li key={text}>{text}</li>)}
      </ul>
    </div>
  );
}

/** Moves or copies what was chosen to another folder, or another bucket. */
export function MoveDialog({ bucket, base, chosen, keep, onClose, onDone }: JobProps & { readonly keep: boolean }) {
  const { found, size, complete, error } = useCounted(bucket, base, chosen);
  const buckets = useLoaded((signal) => listBuckets(signal).catch(() => []), []);
  const versioning = useLoaded((signal) => getVersioning(bucket, signal), [bucket]);
  const [toBucket, setToBucket] = useState(bucket);
  const [folder, setFolder] = useState(base);
  const [replace, setReplace] = useState(false);
  const [problems, setProblems] = useState<readonly string[]>([]);
  const job = useRun();
  const prefix = folder === "" || folder.endsWith("/") ? folder : `${folder}/`;
  const verb = keep ? "Copy" : "Move";
  const into = chosen.find((entry) => entry.kind === "prefix" && toBucket === bucket && prefix.startsWith(entry.key));
  const same = toBucket === bucket && prefix === base;
  const names = [...new Set([bucket, ...(buckets.value ?? []).map((each) => each.name)])];

  const start = (): void =>
    job.start(async (signal, step) => {
      const to = (path: string) => ({ bucket: toBucket, key: prefix + path });
      const wrong = await transfer(bucket, found, to, { keep, replace, signal, step });
      if (wrong.length > 0) setProblems(wrong);
      else {
        if (!keep) objectsGone(bucket, new Set(chosen.map((entry) => entry.key)));
        done(`${keep ? "Copied" : "Moved"} ${counted(found.length, "object")}.`);
        onClose();
        onDone?.();
      }
    });

  return (
    <Dialog
      title={`${verb} ${nameOfAll(chosen, base)}`}
      onClose={onClose}
      fixed={job.running}
      onSubmit={() => complete && !same && into === undefined && !job.running && start()}
      actions={
        job.running ? (
          <Button onClick={job.stop}>Stop</Button>
        ) : (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button kind="primary" type="submit" icon={keep ? "copy" : "move"} disabled={!complete || same || into !== undefined || found.length === 0}>
              {`${verb} ${complete ? counted(found.length, "object") : ""}`}
            </Button>
          </>
        )
      }
    >
      {error && <p class="error" role="alert">{error}</p>}
      {!complete && !error && <Spinner label={`Counting: ${counted(found.length, "object")} so far`} />}
      {complete && <p><strong>{counted(found.length, "object")}</strong>, {bytes(size)} in all.</p>}
      <Field label="To the bucket">
        {(attributes) => (
          <select {...attributes} value={toBucket} disabled={job.running} onChange={(event) => setToBucket(event.currentTarget.value)}>
            {names.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        )}
      </Field>
      <TextField
        label="In the folder"
        hint="With slashes; empty for the top of the bucket. It need not be there yet."
        {...(into === undefined ? {} : { error: "A folder cannot go into itself." })}
        value={folder}
        onInput={setFolder}
      />
      <Check checked={replace} onChange={setReplace}>Replace what is there by the same name</Check>
      {!keep && versioning.value === "Enabled" && <p class="hint">This bucket keeps versions: the older ones stay where they are, and the originals leave delete markers.</p>}
      {job.running && <Running label={keep ? "Copied" : "Moved"} ended={job.ended} all={found.length} />}
      <Problems problems={problems} what={keep ? "not copied" : "not moved"} />
    </Dialog>
  );
}

interface TransferOptions {
  readonly keep: boolean;
  readonly replace: boolean;
  readonly signal: AbortSignal;
  readonly step: (count: number) => void;
}

/** Several at once; gives what went wrong, an object each. */
async function transfer(
  bucket: string,
  found: readonly Found[],
  to: (path: string) => { bucket: string; key: string },
  { keep, replace, signal, step }: TransferOptions,
): Promise<string[]> {
  const wrong: string[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let each = found[next++]; each !== undefined; each = found[next++]) {
      signal.throwIfAborted();
      const { entry, path } = each;
      const target = to(path);
      try {
        const from = { bucket, key: entry.key };
        const options = { replace, signal, etag: entry.etag };
        if (keep) await copy(from, null, target, options);
        else await move(from, target, options);
        objectMade(target.bucket, target.key, entry.size);
        if (!keep) objectsGone(bucket, new Set([entry.key]));
      } catch (error) {
        if (!(error instanceof S3Error)) throw error;
        wrong.push(`${path}: ${error.code === "PreconditionFailed" ? "something is there by that name, or it was changed meanwhile" : told(error)}`);
      }
      step(1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return wrong;
}

/** A new name for an object or a folder; a slash in it moves it. */
export function RenameDialog({ bucket, base, entry, onClose, onRenamed }: { bucket: string; base: string; entry: Entry; onClose: () => void; onRenamed?: (key: string) => void }) {
  const isFolder = entry.kind === "prefix";
  const old = entry.key.slice(base.length, isFolder ? -1 : undefined);
  const [name, setName] = useState(old);
  const [problems, setProblems] = useState<readonly string[]>([]);
  const { found, size, complete } = useCounted(bucket, base, [entry]);
  const versioning = useLoaded((signal) => getVersioning(bucket, signal), [bucket]);
  const job = useRun();
  const wanted = base + name + (isFolder ? "/" : "");
  const wrong = wrongName(name, wanted) || (isFolder && wanted.startsWith(entry.key) && wanted !== entry.key ? "A folder cannot go into itself." : "");
  const ready = complete && name !== old && wrong === "" && !job.running;

  const start = (): void =>
    job.start(async (signal, step) => {
      const to = (path: string) => ({ bucket, key: wanted + path.slice(entry.key.length - base.length) });
      const left = await transfer(bucket, found, to, { keep: false, replace: false, signal, step });
      if (left.length > 0) {
        setProblems(left);
        return;
      }
      objectsGone(bucket, new Set([entry.key]));
      done(`Renamed to ${name}.`);
      onClose();
      onRenamed?.(wanted);
    });

  return (
    <Dialog
      title={`Rename “${old}”`}
      onClose={onClose}
      fixed={job.running}
      onSubmit={() => ready && start()}
      actions={
        job.running ? (
          <Button onClick={job.stop}>Stop</Button>
        ) : (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button kind="primary" type="submit" disabled={!ready}>Rename</Button>
          </>
        )
      }
    >
      <TextField label="New name" hint="A slash makes a folder." value={name} onInput={setName} {...(wrong && name !== old ? { error: wrong } : {})} />
      {isFolder && (complete
        ? <p>{counted(found.length, "object")}, {bytes(size)}: each is copied and deleted.</p>
        : <Spinner label={`Counting: ${counted(found.length, "object")} so far`} />)}
      {versioning.value === "Enabled" && <p class="hint">This bucket keeps versions: the older ones stay under the old name, and a delete marker comes over them.</p>}
      {job.running && <Running label="Renamed" ended={job.ended} all={found.length} />}
      <Problems problems={problems} what="not renamed" />
    </Dialog>
  );
}

/** Why something cannot be called that, or "". */
function wrongName(name: string, key: string): string {
  if (name === "") return "It has to be called something.";
  if (new TextEncoder().encode(key).length > 1024) return "A key has at most 1,024 bytes.";
  if (/(^|\/)\.{1,2}(\/|$)/.test(key)) return "Not “.” or “..” between slashes: no browser could ask for it.";
  return "";
}
