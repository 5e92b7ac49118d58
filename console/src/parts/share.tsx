/** A link by which anybody can read an object, for a while. */

import { useRef, useState } from "preact/hooks";
import { time } from "../format";
import { told } from "../s3/client";
import { fileName, link } from "../s3/objects";
import { done, session, spoken } from "../state";
import { Button, Check, Dialog, Field } from "./basics";

const HOUR = 3600;
const PERIODS: readonly (readonly [number, string])[] = [
  [HOUR, "1 hour"],
  [8 * HOUR, "8 hours"],
  [24 * HOUR, "1 day"],
  [3 * 24 * HOUR, "3 days"],
  [7 * 24 * HOUR, "7 days"],
];

/** Over plain http on a LAN browsers have no clipboard for pages; the older way is left. */
export async function copyText(field: HTMLTextAreaElement): Promise<void> {
  if (navigator.clipboard !== undefined) {
    await navigator.clipboard.writeText(field.value);
    return;
  }
  field.select();
  if (!document.execCommand("copy")) throw new Error("The browser lets no page copy here: select the link and copy it yourself.");
}

export function ShareDialog({ bucket, name, version, onClose }: { bucket: string; name: string; version: string | null; onClose: () => void }) {
  const [period, setPeriod] = useState(24 * HOUR);
  const [download, setDownload] = useState(false);
  const [problem, setProblem] = useState("");
  const [made, setMade] = useState(() => Date.now());
  const field = useRef<HTMLTextAreaElement>(null);
  let url = "";
  let error = problem;
  try {
    url = link(session.value?.s3_url, bucket, name, version, period, download ? fileName(name) : null);
  } catch (failure) {
    error = told(failure);
  }
  const local = /^https?:\/\/(localhost|127\.|\[::1\])/.test(url);
  return (
    <Dialog
      title={`Share “${fileName(name)}”`}
      onClose={onClose}
      onSubmit={() => {
        if (field.current === null) return;
        copyText(field.current).then(
          () => {
            done("Copied the link.");
            spoken.value = "Copied the link.";
            onClose();
          },
          (failure: unknown) => setProblem(told(failure)),
        );
      }}
      actions={
        <>
          <Button onClick={onClose}>Close</Button>
          <Button kind="primary" type="submit" icon="copy">Copy the link</Button>
        </>
      }
    >
      <Field label="Good for">
        {(attributes) => (
          <select {...attributes} value={String(period)} onChange={(event) => {
            setPeriod(Number(event.currentTarget.value));
            setMade(Date.now());
          }}>
            {PERIODS.map(([seconds, text]) => <option key={seconds} value={seconds}>{text}</option>)}
          </select>
        )}
      </Field>
      <Check checked={download} onChange={setDownload}>Save it as a file instead of showing it</Check>
      <Field label="Link" hint={`Until ${time(made + period * 1000)} whoever has it can read the object, as long as your key pair is valid and may.`} error={error}>
        {(attributes) => <textarea ref={field} class="link" rows={4} readOnly {...attributes} value={url} onFocus={(event) => event.currentTarget.select()} />}
      </Field>
      {local && <p class="hint">This address is of this machine alone: open the console by a name that others can reach, and the link is for them, too.</p>}
    </Dialog>
  );
}
