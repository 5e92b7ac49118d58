/** A document of a bucket that is edited as a text: what is wrong with it is told below, by the page and by the server. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { told } from "../s3/client";
import type { Finding } from "../s3/policy";
import { done } from "../state";
import { Button, Dialog, Field } from "./basics";

interface EditorProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly inspect: (text: string) => readonly Finding[];
  readonly serverError: string;
}

export function TextEditor({ label, hint, text, onText, inspect, serverError }: EditorProps) {
  const findings = text.trim() === "" ? [] : inspect(text);
  const fatal = findings.filter((each) => each.fatal);
  const error = serverError ? `The server refused it: ${serverError}` : fatal.map(worded).join(" ");
  return (
    <>
      <Field label={label} hint={hint} error={error}>
        {(attributes) => (
          <textarea {...attributes} class="code" rows={18} spellcheck={false} autocapitalize="none" value={text} onInput={(event) => onText(event.currentTarget.value)} />
        )}
      </Field>
      {findings.filter((each) => !each.fatal).map((each) => <p class="note" role="status" key={each.text}>{each.text}</p>)}
    </>
  );
}

const worded = (finding: Finding): string => (finding.line === undefined ? finding.text : `Line ${finding.line}: ${finding.text}`);

/** The state of a document that is being edited: what was saved, and saving and removing it. */
export function useSaved(initial: string | null, put: (text: string | null) => Promise<void>, what: string) {
  const [saved, setSaved] = useState(initial);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const save = async (text: string | null): Promise<boolean> => {
    setBusy(true);
    setError("");
    try {
      await put(text);
      setSaved(text);
      done(text === null ? `Removed ${what}.` : `Saved ${what}.`);
      return true;
    } catch (problem) {
      setError(told(problem));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { saved, busy, error, setError, save };
}

interface SaveBarProps {
  readonly what: string;
  readonly busy: boolean;
  readonly canSave: boolean;
  readonly canRemove: boolean;
  readonly onSave: () => void;
  readonly onRemove: () => void;
}

export function SaveBar({ what, busy, canSave, canRemove, onSave, onRemove }: SaveBarProps) {
  const [asking, setAsking] = useState(false);
  return (
    <div class="actions save-bar">
      {canRemove && <Button icon="trash" busy={busy} onClick={() => setAsking(true)}>{`Remove ${what}`}</Button>}
      <Button kind="primary" busy={busy} disabled={!canSave} onClick={onSave}>Save</Button>
      {asking && (
        <Dialog
          title={`Remove ${what}?`}
          onClose={() => setAsking(false)}
          onSubmit={() => {
            setAsking(false);
            onRemove();
          }}
          actions={
            <>
              <Button onClick={() => setAsking(false)}>Cancel</Button>
              <Button kind="danger" type="submit">Remove</Button>
            </>
          }
        >
          <p>It does not count any more at once.</p>
        </Dialog>
      )}
    </div>
  );
}
