/** Versions and delete markers as a table, and what can be done with each. */

import { useState } from "preact/hooks";
import { bytes, time } from "../format";
import { objectMade, objectsGone } from "../model";
import { hrefOf } from "../route";
import { told } from "../s3/client";
import type { VersionEntry } from "../s3/listing";
import { copy, deleteMany } from "../s3/objects";
import { done } from "../state";
import { Button, Dialog, MenuButton, type MenuItem } from "./basics";
import { saveOne } from "./save";

interface VersionListProps {
  readonly bucket: string;
  readonly versions: readonly VersionEntry[];
  /** Taken off each key; null where all are of one key. */
  readonly prefix: string | null;
  readonly onChanged: () => void;
}

type Asked = { readonly what: "restore" | "remove"; readonly entry: VersionEntry } | null;

export function VersionList({ bucket, versions, prefix, onChanged }: VersionListProps) {
  const [asked, setAsked] = useState<Asked>(null);
  const itemsOf = (entry: VersionEntry): MenuItem[] => [
    ...(entry.marker ? [] : ([
      { label: "Download", icon: "download", action: () => saveOne(bucket, entry.key, entry.version) },
      ...(entry.latest ? [] : [{ label: "Restore", icon: "clock" as const, action: () => setAsked({ what: "restore", entry }) }]),
    ] satisfies MenuItem[])),
    { label: entry.marker ? "Remove the marker" : "Remove for good", icon: "trash", danger: true, action: () => setAsked({ what: "remove", entry }) },
  ];
  return (
    <>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Table of versions">
        <table class="versions">
          <thead>
            <tr>
              {prefix !== null && <th scope="col">Name</th>}
              <th scope="col">Made</th>
              <th scope="col">Size</th>
              <th scope="col">Version</th>
              <th scope="col"><span class="visually-hidden">Actions</span></th>
            </tr>
          </thead>
          <tbody>
            {versions.map((entry) => (
              <tr key={`${entry.key}?${entry.version}`} class={entry.latest ? "latest" : undefined}>
                {prefix !== null && <td dir="auto">{entry.key.slice(prefix.length)}</td>}
                <td>
                  {entry.marker ? time(entry.modified) : <a href={hrefOf({ page: "object", bucket, key: entry.key, version: entry.version })}>{time(entry.modified)}</a>}
                  {entry.latest && <span class="badge">current</span>}
                  {entry.marker && <span class="badge warn">delete marker</span>}
                </td>
                <td>{entry.marker ? "" : bytes(entry.size)}</td>
                <td><code>{entry.version}</code></td>
                <td><MenuButton label={`Actions for the version ${entry.version} of ${entry.key}`} items={itemsOf(entry)} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {asked !== null && <VersionDialog bucket={bucket} asked={asked} onClose={() => setAsked(null)} onChanged={onChanged} />}
    </>
  );
}

/** What is to be done with a version, once more asked for. */
function VersionDialog({ bucket, asked, onClose, onChanged }: { bucket: string; asked: NonNullable<Asked>; onClose: () => void; onChanged: () => void }) {
  const { entry, what } = asked;
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const act = async (): Promise<void> => {
    setBusy(true);
    setError("");
    try {
      if (what === "restore") {
        const place = { bucket, key: entry.key };
        await copy(place, entry.version, place, { replace: true });
        objectMade(bucket, entry.key, entry.size);
        done("Restored: that version is the current one again.");
      } else {
        const [left] = await deleteMany(bucket, [{ key: entry.key, version: entry.version }]);
        if (left !== undefined) throw new Error(left.message || left.code);
        if (entry.latest && !entry.marker) objectsGone(bucket, new Set([entry.key]));
        done(entry.marker ? "Removed the delete marker." : "Removed the version.");
      }
      onClose();
      onChanged();
    } catch (problem) {
      setError(told(problem));
      setBusy(false);
    }
  };
  const texts =
    what === "restore"
      ? { title: "Restore this version?", text: "It is copied over the current one, which stays as an older version.", button: "Restore" }
      : entry.marker
        ? { title: "Remove the delete marker?", text: entry.latest ? "The object is there again as it was before it was deleted." : "It is one of the past: nothing else changes.", button: "Remove the marker" }
        : { title: "Remove this version?", text: "It is gone for good: this cannot be undone.", button: "Remove for good" };
  return (
    <Dialog
      title={texts.title}
      onClose={onClose}
      onSubmit={() => void act()}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind={what === "restore" ? "primary" : "danger"} type="submit" busy={busy}>{texts.button}</Button>
        </>
      }
    >
      <p><strong dir="auto">{entry.key}</strong>, {time(entry.modified)}</p>
      <p>{texts.text}</p>
      {error && <p class="error" role="alert">{error}</p>}
    </Dialog>
  );
}
