/** Tags of an object or of a bucket, to be edited and saved. */

import { useState } from "preact/hooks";
import type { Tag } from "../s3/objects";
import { told } from "../s3/client";
import { done } from "../state";
import { Button } from "./basics";

interface TagsProps {
  readonly tags: readonly Tag[];
  readonly most: number;
  readonly save: (tags: readonly Tag[]) => Promise<void>;
}

/** What S3 takes in names and values. */
const ALLOWED = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** Why these cannot be saved, or "". */
export function wrongTags(tags: readonly Tag[], most: number): string {
  const names = tags.map(([name]) => name);
  if (tags.length > most) return `At most ${most} tags.`;
  if (names.some((name) => name === "")) return "A tag has a name.";
  if (new Set(names).size < names.length) return "Two tags have the same name.";
  if (names.some((name) => name.length > 128)) return "A name has at most 128 characters.";
  if (tags.some(([, value]) => value.length > 256)) return "A value has at most 256 characters.";
  const odd = tags.flat().find((text) => !ALLOWED.test(text));
  if (odd !== undefined) return `“${odd}”: letters, digits, spaces and _ . : / = + - @ only.`;
  return "";
}

export function TagsEditor({ tags, most, save }: TagsProps) {
  const [edited, setEdited] = useState<readonly Tag[]>(tags);
  const [saved, setSaved] = useState<readonly Tag[]>(tags);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const changed = JSON.stringify(edited) !== JSON.stringify(saved);
  const wrong = changed ? wrongTags(edited, most) : "";
  const put = (at: number, tag: Tag): void => setEdited(edited.map((each, i) => (i === at ? tag : each)));
  const submit = async (): Promise<void> => {
    setBusy(true);
    setError("");
    try {
      await save(edited);
      setSaved(edited);
      done("Saved the tags.");
    } catch (problem) {
      setError(told(problem));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="tags"
      onSubmit={(event) => {
        event.preventDefault();
        if (!wrong && changed) void submit();
      }}
    >
      {edited.length === 0 && <p class="facts">No tags.</p>}
      <ul>
        {edited.map(([name, value], i) => (
          <li key={i}>
            <input type="text" aria-label={`Name of tag ${i + 1}`} placeholder="Name" value={name} onInput={(event) => put(i, [event.currentTarget.value, value])} />
            <input type="text" aria-label={`Value of tag ${i + 1}`} placeholder="Value" value={value} onInput={(event) => put(i, [name, event.currentTarget.value])} />
            <Button kind="quiet" icon="close" label={`Remove tag ${name || i + 1}`} onClick={() => setEdited(edited.filter((_, j) => j !== i))} />
          </li>
        ))}
      </ul>
      {(error || wrong) && <p class="error" role="alert">{error || wrong}</p>}
      <div class="actions">
        <Button icon="plus" disabled={edited.length >= most} onClick={() => setEdited([...edited, ["", ""]])}>Add a tag</Button>
        {changed && <Button kind="primary" type="submit" busy={busy} disabled={wrong !== ""}>Save the tags</Button>}
      </div>
    </form>
  );
}
