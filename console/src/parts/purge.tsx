/** Removes versions below a prefix for good: the older ones, or all there are, as before a bucket is deleted. */

import { useEffect, useState } from "preact/hooks";
import { bytes, counted } from "../format";
import { forgetListings } from "../model";
import { isAbort, told } from "../s3/client";
import { listVersions, type VersionEntry, type VersionPage } from "../s3/listing";
import { deleteMany } from "../s3/objects";
import { done } from "../state";
import { Button, Check, Dialog, Spinner, TextField } from "./basics";
import { Problems, Running, useRun } from "./jobs";

const BATCH = 1000;

interface Found {
  readonly versions: readonly VersionEntry[];
  readonly complete: boolean;
  readonly error: string;
}

function useAllVersions(bucket: string, prefix: string): Found {
  const [found, setFound] = useState<Found>({ versions: [], complete: false, error: "" });
  useEffect(() => {
    const controller = new AbortController();
    const versions: VersionEntry[] = [];
    const count = async (): Promise<void> => {
      let next: VersionPage["next"];
      do {
        const page = await listVersions(bucket, prefix, next, controller.signal);
        versions.push(...page.versions);
        next = page.next;
        setFound({ versions, complete: next === undefined, error: "" });
      } while (next !== undefined);
    };
    count().catch((error: unknown) => {
      if (!isAbort(error)) setFound({ versions, complete: false, error: told(error) });
    });
    return () => controller.abort();
  }, []);
  return found;
}

export function PurgeDialog({ bucket, prefix, onClose, onDone }: { bucket: string; prefix: string; onClose: () => void; onDone: () => void }) {
  const { versions, complete, error } = useAllVersions(bucket, prefix);
  const [all, setAll] = useState(false);
  const [typed, setTyped] = useState("");
  const [problems, setProblems] = useState<readonly string[]>([]);
  const job = useRun();
  const doomed = all ? versions : versions.filter((each) => !each.latest);
  const size = doomed.reduce((sum, each) => sum + each.size, 0);
  const ready = complete && doomed.length > 0 && typed.trim().toLowerCase() === "remove" && !job.running;

  const start = (): void =>
    job.start(async (signal, step) => {
      const wrong: string[] = [];
      for (let at = 0; at < doomed.length; at += BATCH) {
        signal.throwIfAborted();
        const batch = doomed.slice(at, at + BATCH).map(({ key, version }) => ({ key, version }));
        for (const left of await deleteMany(bucket, batch, signal)) wrong.push(`${left.key}: ${left.message || left.code}`);
        step(batch.length);
      }
      forgetListings();
      onDone();
      if (wrong.length > 0) {
        setProblems(wrong);
        return;
      }
      done(`Removed ${counted(doomed.length, "version")}.`);
      onClose();
    });

  return (
    <Dialog
      title={`Remove versions in “${bucket}/${prefix}”?`}
      onClose={onClose}
      fixed={job.running}
      onSubmit={() => ready && start()}
      actions={
        job.running ? (
          <Button onClick={job.stop}>Stop</Button>
        ) : (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button kind="danger" type="submit" icon="trash" disabled={!ready}>{`Remove ${complete ? counted(doomed.length, "version") : ""}`}</Button>
          </>
        )
      }
    >
      {error && <p class="error" role="alert">{error}</p>}
      {!complete && !error && <Spinner label={`Counting: ${counted(versions.length, "version")} so far`} />}
      {complete && (
        <p>
          <strong>{counted(doomed.length, all ? "version and delete marker" : "older version", all ? "versions and delete markers" : "older versions")}</strong>, {bytes(size)} in all.
          They are gone for good: this cannot be undone.
        </p>
      )}
      <Check checked={all} disabled={job.running} onChange={setAll} hint="Nothing is left then, and the bucket can be deleted.">The current ones, too</Check>
      {complete && !job.running && <TextField label="Type “remove” to go on" value={typed} onInput={setTyped} />}
      {job.running && <Running label="Removed" ended={job.ended} all={doomed.length} />}
      <Problems problems={problems} what="not removed" one="version" />
    </Dialog>
  );
}
