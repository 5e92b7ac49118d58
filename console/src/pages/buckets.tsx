/** The buckets that somebody may see. */

import { useState } from "preact/hooks";
import { counted, day } from "../format";
import { Button, Check, Dialog, Empty, Failure, MenuButton, Spinner, TextField } from "../parts/basics";
import { useLoaded, useTitle } from "../parts/hooks";
import { Icon } from "../parts/icons";
import { PageHead } from "../parts/head";
import { go, hrefOf } from "../route";
import { createBucket, deleteBucket, listBuckets, wrongBucketName, type Bucket } from "../s3/buckets";
import { S3Error, told } from "../s3/client";
import { done, session } from "../state";

/** From so many on, there is a field to search in. */
const MANY = 8;

export function BucketsPage() {
  useTitle("Buckets");
  const buckets = useLoaded(listBuckets, []);
  const [making, setMaking] = useState(false);
  const [removing, setRemoving] = useState<string | null>(null);
  const [filter, setFilter] = useState("");
  const all = buckets.value;
  const shown = all?.filter((bucket) => bucket.name.includes(filter.trim().toLowerCase()));
  return (
    <div class="page">
      <PageHead title="Buckets" facts={all && counted(all.length, "bucket")}>
        <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>New bucket</Button>
      </PageHead>
      {buckets.error && (
        <>
          <Failure text={buckets.error} again={buckets.reload} />
          <GoToBucket />
        </>
      )}
      {all === undefined && !buckets.error && <Spinner label="Loading the buckets" />}
      {all !== undefined && all.length > MANY && <TextField label="Find a bucket" type="search" value={filter} onInput={setFilter} />}
      {all?.length === 0 && (
        <Empty icon="bucket" title="No buckets yet">
          <p>A bucket is a directory on the server. Make one here, or there with <code>mkdir</code>.</p>
        </Empty>
      )}
      {shown !== undefined && shown.length > 0 && (
        <ul class="cards">
          {shown.map((bucket) => <BucketCard key={bucket.name} bucket={bucket} onDelete={() => setRemoving(bucket.name)} />)}
        </ul>
      )}
      {shown?.length === 0 && all !== undefined && all.length > 0 && <p>No bucket has that in its name.</p>}
      {making && <NewBucket onClose={() => setMaking(false)} />}
      {removing !== null && (
        <DeleteBucketDialog bucket={removing} onClose={() => setRemoving(null)} onDeleted={() => {
          setRemoving(null);
          buckets.reload();
        }} />
      )}
    </div>
  );
}

/** For who may use a bucket, and not list all of them. */
function GoToBucket() {
  const [name, setName] = useState("");
  return (
    <form class="card" onSubmit={(event) => {
      event.preventDefault();
      if (name.trim() !== "") go({ page: "browse", bucket: name.trim(), prefix: "" });
    }}>
      <TextField label="Open a bucket by its name" value={name} onInput={setName} />
      <Button kind="primary" type="submit" disabled={name.trim() === ""}>Open</Button>
    </form>
  );
}

function BucketCard({ bucket, onDelete }: { bucket: Bucket; onDelete: () => void }) {
  const { name } = bucket;
  return (
    <li class="card bucket-card">
      <a href={hrefOf({ page: "browse", bucket: name, prefix: "" })}>
        <span class="kind prefix"><Icon name="bucket" /></span>
        <span>
          <strong>{name}</strong>
          <span class="facts">since {day(bucket.created)}</span>
        </span>
      </a>
      <MenuButton
        label={`Actions for ${name}`}
        items={[
          { label: "Settings", icon: "settings", action: () => go({ page: "settings", bucket: name, section: "general" }) },
          { label: "Versions", icon: "clock", action: () => go({ page: "versions", bucket: name, prefix: "" }) },
          { label: "Delete", icon: "trash", danger: true, action: onDelete },
        ]}
      />
    </li>
  );
}

function NewBucket({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [locked, setLocked] = useState(false);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const wrong = name === "" ? "" : wrongBucketName(name);
  const make = async (): Promise<void> => {
    setBusy(true);
    try {
      await createBucket(name, session.value?.region ?? "us-east-1", locked);
      done(`Made the bucket ${name}.`);
      onClose();
      go({ page: "browse", bucket: name, prefix: "" });
    } catch (problem) {
      setError(told(problem));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="New bucket"
      onClose={onClose}
      onSubmit={() => name && !wrong && void make()}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={busy} disabled={name === "" || wrong !== ""}>Make it</Button>
        </>
      }
    >
      <TextField
        label="Name"
        hint="Lower-case letters, digits, hyphens and dots, 3 to 63 of them."
        error={error || wrong}
        value={name}
        onInput={(value) => {
          setName(value.toLowerCase());
          setError("");
        }}
      />
      <Check checked={locked} onChange={setLocked} hint="Versions can be protected from being removed. It keeps versions, and cannot be undone.">With Object Lock</Check>
    </Dialog>
  );
}

export function DeleteBucketDialog({ bucket, onClose, onDeleted }: { bucket: string; onClose: () => void; onDeleted: () => void }) {
  const [error, setError] = useState("");
  const [full, setFull] = useState(false);
  const [busy, setBusy] = useState(false);
  const remove = async (): Promise<void> => {
    setBusy(true);
    setError("");
    try {
      await deleteBucket(bucket);
      done(`Deleted the bucket ${bucket}.`);
      onDeleted();
    } catch (problem) {
      const isFull = problem instanceof S3Error && problem.code === "BucketNotEmpty";
      setFull(isFull);
      setError(isFull ? "It is not empty." : told(problem));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`Delete the bucket “${bucket}”?`}
      onClose={onClose}
      onSubmit={() => void remove()}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" type="submit" icon="trash" busy={busy}>Delete the bucket</Button>
        </>
      }
    >
      <p>Only an empty bucket can be deleted. Its policy, rules and tags go with it.</p>
      {error && <p class="error" role="alert">{error}</p>}
      {full && <p>What it holds can be removed <a href={hrefOf({ page: "versions", bucket, prefix: "" })}>on the page of its versions</a>, all at once.</p>}
    </Dialog>
  );
}
