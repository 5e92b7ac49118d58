/** How full the disk is, and what of it each bucket takes. */

import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, counted, number, percentOf } from "../format";
import { Button, Failure, Spinner } from "../parts/basics";
import { PageHead } from "../parts/head";
import { useLoaded, useTitle } from "../parts/hooks";
import { hrefOf } from "../route";
import { disk as getDisk, type Disk } from "../s3/admin";
import { listBuckets } from "../s3/buckets";
import { isAbort, told } from "../s3/client";
import { walk } from "../s3/listing";
import { session } from "../state";
import { Section } from "./object";

export function DiskPage() {
  useTitle("Disk");
  const admin = session.value?.admin === true;
  const buckets = useLoaded(listBuckets, []);
  return (
    <div class="page">
      <PageHead title="Disk" />
      {admin && <DiskCard />}
      <Section title="Buckets">
        <p class="hint">To measure a bucket is to list all of it: current objects, without older versions and unfinished uploads.</p>
        {buckets.error && <Failure text={buckets.error} again={buckets.reload} />}
        {buckets.value === undefined && !buckets.error && <Spinner label="Loading the buckets" />}
        {buckets.value !== undefined && (
          <ul class="measures">
            {buckets.value.map((bucket) => <Measure key={bucket.name} bucket={bucket.name} />)}
          </ul>
        )}
      </Section>
    </div>
  );
}

function DiskCard() {
  const disk = useLoaded(getDisk, []);
  if (disk.error) return <Failure text={disk.error} again={disk.reload} />;
  if (disk.value === undefined) return <Spinner label="Asking the server" />;
  return <Gauges disk={disk.value} reload={disk.reload} />;
}

function Gauges({ disk, reload }: { disk: Disk; reload: () => void }) {
  const used = disk.total - disk.free;
  const files = disk.inodes - disk.inodes_free;
  return (
    <Section title="The file system of the data">
      {!disk.healthy && <Failure text="The disk had an error: see the log of the server. It may refuse to write until it is started anew." />}
      {disk.read_only && <p class="note">It is mounted read-only: nothing can be written.</p>}
      <div class="gauges">
        <Gauge label="Space" used={used} all={disk.total} text={`${bytes(disk.free)} free of ${bytes(disk.total)}`} />
        {disk.inodes > 0 && <Gauge label="Files" used={files} all={disk.inodes} text={`${number(disk.inodes_free)} free of ${number(disk.inodes)} inodes`} />}
      </div>
      <Button icon="refresh" onClick={reload}>Ask again</Button>
    </Section>
  );
}

function Gauge({ label, used, all, text }: { label: string; used: number; all: number; text: string }) {
  const part = percentOf(used, all);
  return (
    <div class="gauge">
      <p><strong>{label}</strong> <span>{part} % used</span></p>
      <meter min={0} max={100} low={80} high={92} optimum={0} value={part} aria-label={`${label}: ${part} % used`} />
      <p class="facts">{text}</p>
    </div>
  );
}

interface Sum {
  readonly objects: number;
  readonly size: number;
}

function Measure({ bucket }: { bucket: string }) {
  const [sum, setSum] = useState<Sum | null>(null);
  const [running, setRunning] = useState(false);
  const [error, setError] = useState("");
  const [cut, setCut] = useState(false);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  const run = async (): Promise<void> => {
    controller.current = new AbortController();
    setRunning(true);
    setError("");
    setCut(false);
    let objects = 0;
    let size = 0;
    setSum({ objects, size });
    try {
      for await (const page of walk(bucket, "", controller.current.signal)) {
        objects += page.length;
        for (const entry of page) size += entry.size;
        setSum({ objects, size });
      }
    } catch (problem) {
      if (isAbort(problem)) setCut(true);
      else setError(told(problem));
    } finally {
      setRunning(false);
    }
  };
  return (
    <li>
      <a href={hrefOf({ page: "browse", bucket, prefix: "" })}>{bucket}</a>
      <span class="facts" role="status">
        {sum !== null && `${running || cut ? "at least " : ""}${bytes(sum.size)} in ${counted(sum.objects, "object")}${running ? "…" : ""}`}
        {error}
      </span>
      {running ? (
        <Button onClick={() => controller.current?.abort()}>Stop<span class="visually-hidden"> measuring {bucket}</span></Button>
      ) : (
        <Button onClick={() => void run()}>Measure<span class="visually-hidden"> {bucket}</span></Button>
      )}
    </li>
  );
}
