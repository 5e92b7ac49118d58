/** Lifecycle and CORS rules as forms; what a form has no field for is edited as a text. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { METHODS, newCorsRule, newLifecycleRule, readCors, readLifecycle, writeCors, writeLifecycle, wrongInCors, wrongInLifecycle, type CorsRule, type LifecycleRule } from "../s3/rules";
import type { Finding } from "../s3/policy";
import { told } from "../s3/client";
import { brokenXml } from "../s3/wellformed";
import { parseXml } from "../s3/xml";
import { Button, Check, Field, TextField } from "./basics";
import { SaveBar, TextEditor, useSaved } from "./textrules";

interface Kind<Rule> {
  readonly what: string;
  readonly root: string;
  readonly read: (text: string) => Rule[];
  readonly write: (rules: readonly Rule[]) => string;
  readonly wrong: (rule: Rule) => string[];
  readonly make: () => Rule;
  readonly Form: (props: { rule: Rule; set: (change: Partial<Rule>) => void }) => ComponentChildren;
  readonly intro: string;
}

interface RulesProps {
  readonly initial: string | null;
  readonly put: (text: string | null) => Promise<void>;
}

function RulesEditor<Rule>({ kind, initial, put }: RulesProps & { kind: Kind<Rule> }) {
  const first = startOf(kind, initial);
  const [rules, setRules] = useState<Rule[] | null>(first.rules);
  const [text, setText] = useState(first.text);
  const [reason, setReason] = useState(first.reason);
  const { saved, busy, error, setError, save } = useSaved(initial, put, kind.what);
  const problems = rules?.map((rule) => kind.wrong(rule)) ?? [];
  const current = rules === null ? text : kind.write(rules);
  const inspect = (edited: string): Finding[] => {
    const broken = brokenXml(edited);
    if (broken !== undefined) return [{ fatal: true, ...broken }];
    return parseXml(edited).localName === kind.root ? [] : [{ fatal: true, text: `The document is a ${kind.root}.` }];
  };
  const valid = rules === null ? text.trim() !== "" && inspect(text).length === 0 : rules.length > 0 && problems.every((each) => each.length === 0);
  const asForm = (): void => {
    if (text.trim() !== "" && brokenXml(text) !== undefined) {
      setReason("This is no well-formed XML.");
      return;
    }
    try {
      setRules(kind.read(text.trim() === "" ? kind.write([]) : text));
      setReason("");
    } catch (problem) {
      setReason(told(problem));
    }
  };
  const change = (at: number, part: Partial<Rule>): void => {
    setError("");
    setRules((rules ?? []).map((rule, i) => (i === at ? { ...rule, ...part } : rule)));
  };
  return (
    <>
      <p class="hint">{kind.intro}</p>
      <div class="actions">
        {rules === null ? (
          <Button onClick={asForm}>Edit as a form</Button>
        ) : (
          <Button onClick={() => {
            setText(rules.length > 0 ? kind.write(rules) : "");
            setRules(null);
          }}>Edit as XML</Button>
        )}
      </div>
      {reason && <p class="note" role="status">{reason}</p>}
      {rules === null ? (
        <TextEditor label={`${kind.root} (XML)`} text={text} onText={(edited) => {
          setError("");
          setText(edited);
        }} inspect={inspect} serverError={error} />
      ) : (
        <>
          {rules.length === 0 && <p class="facts">No rules.</p>}
          {rules.map((rule, i) => (
            <fieldset class="rule" key={i}>
              <legend>Rule {i + 1}</legend>
              <kind.Form rule={rule} set={(part) => change(i, part)} />
              <div role="status">
                {(problems[i] ?? []).length > 0 && <ul class="error">{problems[i]?.map((each) => <li key={each}>{each}</li>)}</ul>}
              </div>
              <Button kind="quiet" icon="trash" onClick={() => setRules(rules.filter((_, j) => j !== i))}>{`Remove rule ${i + 1}`}</Button>
            </fieldset>
          ))}
          <Button icon="plus" onClick={() => setRules([...rules, kind.make()])}>Add a rule</Button>
          {error && <p class="error" role="alert">The server refused it: {error}</p>}
        </>
      )}
      <SaveBar
        what={kind.what}
        busy={busy}
        canSave={valid && current.trim() !== (saved ?? "").trim()}
        canRemove={saved !== null}
        onSave={() => void save(current)}
        onRemove={() => void save(null).then((ok) => {
          if (ok) {
            setRules([]);
            setText("");
          }
        })}
      />
    </>
  );
}

function startOf<Rule>(kind: Kind<Rule>, initial: string | null): { rules: Rule[] | null; text: string; reason: string } {
  if (initial === null) return { rules: [], text: "", reason: "" };
  try {
    return { rules: kind.read(initial), text: initial, reason: "" };
  } catch (problem) {
    return { rules: null, text: initial, reason: problem instanceof Error ? problem.message : "" };
  }
}

const numeric = { inputMode: "numeric" } as const;

function LifecycleForm({ rule, set }: { rule: LifecycleRule; set: (change: Partial<LifecycleRule>) => void }) {
  return (
    <>
      <Check toggle checked={rule.enabled} onChange={(enabled) => set({ enabled })}>In force</Check>
      <div class="columns">
        <TextField label="Name" hint="Made up by the server if it is empty." value={rule.id} onInput={(id) => set({ id })} />
        <TextField label="For keys that begin with" hint="Empty: for all." value={rule.prefix} onInput={(prefix) => set({ prefix })} />
        <TextField label="Larger than (bytes)" value={rule.larger} onInput={(larger) => set({ larger })} {...numeric} />
        <TextField label="Smaller than (bytes)" value={rule.smaller} onInput={(smaller) => set({ smaller })} {...numeric} />
      </div>
      <TagFields tags={rule.tags} set={(tags) => set({ tags })} />
      <h3>What is done</h3>
      <div class="columns">
        <TextField label="Objects expire after (days)" value={rule.expireDays} onInput={(expireDays) => set({ expireDays })} {...numeric} />
        <TextField label="or on" type="date" value={rule.expireDate} onInput={(expireDate) => set({ expireDate })} />
        <TextField label="Older versions are removed after (days)" value={rule.noncurrentDays} onInput={(noncurrentDays) => set({ noncurrentDays })} {...numeric} />
        <TextField label="but these many newer ones stay" value={rule.noncurrentKeep} onInput={(noncurrentKeep) => set({ noncurrentKeep })} {...numeric} />
        <TextField label="Unfinished uploads are aborted after (days)" value={rule.abortDays} onInput={(abortDays) => set({ abortDays })} {...numeric} />
      </div>
      <Check checked={rule.expireMarkers} onChange={(expireMarkers) => set({ expireMarkers })}>Delete markers without older versions are removed</Check>
    </>
  );
}

function TagFields({ tags, set }: { tags: [string, string][]; set: (tags: [string, string][]) => void }) {
  const put = (at: number, tag: [string, string]): void => set(tags.map((each, i) => (i === at ? tag : each)));
  return (
    <div class="tags">
      <ul>
        {tags.map(([name, value], i) => (
          <li key={i}>
            <input type="text" aria-label={`Name of tag ${i + 1}`} placeholder="Name of a tag" value={name} onInput={(event) => put(i, [event.currentTarget.value, value])} />
            <input type="text" aria-label={`Value of tag ${i + 1}`} placeholder="Its value" value={value} onInput={(event) => put(i, [name, event.currentTarget.value])} />
            <Button kind="quiet" icon="close" label={`Remove tag ${i + 1}`} onClick={() => set(tags.filter((_, j) => j !== i))} />
          </li>
        ))}
      </ul>
      <Button kind="quiet" icon="tag" onClick={() => set([...tags, ["", ""]])}>Only with a tag</Button>
    </div>
  );
}

const lines = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);

/** Words, one a line; what is being typed is left as it is. */
function ListField({ label, hint, values, set }: { label: string; hint: string; values: readonly string[]; set: (values: string[]) => void }) {
  const [text, setText] = useState(values.join("\n"));
  return (
    <Field label={label} hint={hint}>
      {(attributes) => (
        <textarea {...attributes} rows={2} spellcheck={false} autocapitalize="none" value={text} onInput={(event) => {
          setText(event.currentTarget.value);
          set(lines(event.currentTarget.value));
        }} />
      )}
    </Field>
  );
}

function CorsForm({ rule, set }: { rule: CorsRule; set: (change: Partial<CorsRule>) => void }) {
  const other = rule.methods.filter((each) => !METHODS.some((method) => method === each));
  return (
    <>
      <ListField label="Origins" hint="One a line, as https://example.org; * for all." values={rule.origins} set={(origins) => set({ origins })} />
      <div class="methods" role="group" aria-label="Methods">
        {METHODS.map((method) => (
          <Check key={method} checked={rule.methods.includes(method)}
            onChange={(on) => set({ methods: [...METHODS.filter((each) => (each === method ? on : rule.methods.includes(each))), ...other] })}>{method}</Check>
        ))}
      </div>
      <div class="columns">
        <ListField label="Headers that a page may send" hint="One a line; * for all." values={rule.headers} set={(headers) => set({ headers })} />
        <ListField label="Headers that a page may read" hint="One a line, as ETag." values={rule.exposed} set={(exposed) => set({ exposed })} />
        <TextField label="Remembered for (seconds)" value={rule.maxAge} onInput={(maxAge) => set({ maxAge })} {...numeric} />
        <TextField label="Name" value={rule.id} onInput={(id) => set({ id })} />
      </div>
    </>
  );
}

const LIFECYCLE: Kind<LifecycleRule> = {
  what: "the lifecycle rules",
  root: "LifecycleConfiguration",
  read: readLifecycle,
  write: writeLifecycle,
  wrong: wrongInLifecycle,
  make: newLifecycleRule,
  Form: LifecycleForm,
  intro: "Once a day, shortly after midnight UTC, the server does what these rules say: objects expire, older versions and unfinished uploads are removed.",
};

const CORS: Kind<CorsRule> = {
  what: "the CORS rules",
  root: "CORSConfiguration",
  read: readCors,
  write: writeCors,
  wrong: wrongInCors,
  make: newCorsRule,
  Form: CorsForm,
  intro: "Which pages of other origins may use this bucket from a browser. The first rule that fits is the one that counts.",
};

export const LifecycleEditor = (props: RulesProps) => <RulesEditor kind={LIFECYCLE} {...props} />;
export const CorsEditor = (props: RulesProps) => <RulesEditor kind={CORS} {...props} />;
