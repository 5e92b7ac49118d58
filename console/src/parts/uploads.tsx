/** What is being uploaded, at the bottom of every page. */

import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, counted, duration, number, percentOf } from "../format";
import {
  cancelUpload,
  forAll,
  pauseUpload,
  replaceExisting,
  resumeUpload,
  overview,
  type Overview,
  type State,
  type Upload,
} from "../s3/transfers";
import { spoken } from "../state";
import { Button, Progress } from "./basics";
import { Icon } from "./icons";

const SAMPLE_MS = 1000;
const FOLD_MS = 5000;

/** In bytes per second, over the last seconds. */
function useSpeed(active: boolean): number {
  const [speed, setSpeed] = useState(0);
  const before = useRef<{ at: number; sent: number } | null>(null);
  useEffect(() => {
    if (!active) {
      before.current = null;
      setSpeed(0);
      return undefined;
    }
    const timer = setInterval(() => {
      const now = { at: performance.now(), sent: overview.peek().sent };
      const last = before.current;
      before.current = now;
      if (last === null) return;
      const current = Math.max(0, ((now.sent - last.sent) * 1000) / (now.at - last.at));
      setSpeed((smooth) => (smooth === 0 ? current : 0.7 * smooth + 0.3 * current));
    }, SAMPLE_MS);
    return () => clearInterval(timer);
  }, [active]);
  return speed;
}

export function UploadDock() {
  const [open, setOpen] = useState(true);
  const sum = overview.value;
  const speed = useSpeed(sum.active > 0);
  const summary = summaryOf(sum, speed);
  // Ends are told, not each percent.
  useEffect(() => {
    if (sum.files > 0 && sum.active === 0) spoken.value = summary;
  }, [sum.active, sum.failed, sum.asking]);
  // Once all is well it makes room.
  const well = sum.files > 0 && sum.done === sum.files;
  useEffect(() => {
    if (!well) {
      setOpen(true);
      return undefined;
    }
    const timer = setTimeout(() => setOpen(false), FOLD_MS);
    return () => clearTimeout(timer);
  }, [well]);
  if (sum.files === 0) return null;
  return (
    <section class={`dock${open ? " open" : ""}`} aria-label="Uploads">
      <header>
        <button type="button" class="dock-toggle" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Icon name={open ? "down" : "up"} />
          <span>{summary}</span>
        </button>
        {sum.active > 0 && <Button kind="quiet" icon="pause" label="Pause all" onClick={() => forAll(pauseUpload, "running", "waiting")} />}
        {sum.paused + sum.failed > 0 && <Button kind="quiet" icon="play" label="Resume all" onClick={() => forAll(resumeUpload, "paused", "failed")} />}
        {sum.active + sum.paused + sum.failed + sum.asking > 0 ? (
          <Button kind="quiet" icon="close" label="Cancel all" onClick={() => forAll(cancelUpload, "running", "waiting", "paused", "failed", "exists")} />
        ) : (
          <Button kind="quiet" icon="close" label="Clear the list" onClick={() => forAll(cancelUpload, "done")} />
        )}
      </header>
      <Progress value={sum.sent} max={sum.bytes} label="All uploads" />
      {open && sum.asking > 0 && (
        <div class="dock-ask" role="alert">
          <p>{sum.asking === 1 ? "There is an object of that name already." : `There are ${number(sum.asking)} objects of these names already.`}</p>
          <Button onClick={() => forAll(replaceExisting, "exists")}>Replace {sum.asking > 1 ? "all" : "it"}</Button>
          <Button onClick={() => forAll(cancelUpload, "exists")}>Skip {sum.asking > 1 ? "all" : "it"}</Button>
        </div>
      )}
      {open && (
        <ul tabIndex={0} aria-label="Files being uploaded">
          {sum.shown.map((upload) => <UploadRow key={upload.id} upload={upload} />)}
          {sum.files > sum.shown.length && <li class="more">and {number(sum.files - sum.shown.length)} more</li>}
        </ul>
      )}
    </section>
  );
}

function summaryOf(sum: Overview, speed: number): string {
  if (sum.files === 0) return "No uploads";
  const parts = [`${number(sum.done)} of ${counted(sum.files, "file")}`];
  if (sum.active > 0) {
    parts.push(`${percentOf(sum.sent, sum.bytes)} %`);
    if (speed > 0) parts.push(`${bytes(speed)}/s`, `${duration((sum.bytes - sum.sent) / speed)} left`);
  }
  if (sum.paused > 0 && sum.active === 0) parts.push("paused");
  if (sum.failed > 0) parts.push(`${number(sum.failed)} failed`);
  return parts.join(" · ");
}

const STATES: Record<State, string> = {
  waiting: "waiting",
  running: "",
  paused: "paused",
  exists: "is there already",
  failed: "failed",
  done: "done",
  skipped: "skipped",
};

function UploadRow({ upload }: { upload: Upload }) {
  const state = upload.state.value;
  const sent = upload.sent.value;
  const name = upload.key.split("/").at(-1) ?? upload.key;
  const told = state === "running" ? `${bytes(sent)} of ${bytes(upload.size)}` : STATES[state];
  return (
    <li class={state}>
      <div class="upload-text">
        <span class="upload-name" title={`${upload.bucket}/${upload.key}`} dir="auto">{name}</span>
        <span class="facts">{told}{upload.message.value && `: ${upload.message.value}`}</span>
      </div>
      {state === "exists" && <Button kind="quiet" onClick={() => replaceExisting(upload)}>Replace<span class="visually-hidden"> {name}</span></Button>}
      {(state === "running" || state === "waiting") && <Button kind="quiet" icon="pause" label={`Pause ${name}`} onClick={() => pauseUpload(upload)} />}
      {(state === "paused" || state === "failed") && <Button kind="quiet" icon="play" label={`Resume ${name}`} onClick={() => resumeUpload(upload)} />}
      <Button kind="quiet" icon="close" label={state === "done" ? `Take ${name} off the list` : `Cancel ${name}`} onClick={() => cancelUpload(upload)} />
      {(state === "running" || state === "paused") && <Progress value={sent} max={upload.size} label={name} />}
    </li>
  );
}
