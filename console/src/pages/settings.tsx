/** What is configured of a bucket. */

import { useState } from "preact/hooks";
import { counted, time } from "../format";
import { Button, Check, Dialog, Failure, Field, Spinner } from "../parts/basics";
import { Crumbs, PageHead } from "../parts/head";
import { useLoaded, useTitle } from "../parts/hooks";
import { CorsEditor, LifecycleEditor } from "../parts/rulesforms";
import { TagsEditor } from "../parts/tags";
import { SaveBar, TextEditor, useSaved } from "../parts/textrules";
import { SECTIONS, go, hrefOf, type Section as SectionName } from "../route";
import * as buckets from "../s3/buckets";
import { TEMPLATES, inspect } from "../s3/policy";
import { done, failed } from "../state";
import { DeleteBucketDialog } from "./buckets";
import { Section } from "./object";

const TITLES: Record<SectionName, string> = { general: "General", policy: "Policy", cors: "CORS", lifecycle: "Lifecycle", tags: "Tags" };
const MAX_TAGS = 50;

export function SettingsPage({ bucket, section }: { bucket: string; section: SectionName }) {
  useTitle(`${TITLES[section]} of ${bucket}`);
  return (
    <div class="page">
      <Crumbs bucket={bucket} path="" leaf="Settings" />
      <PageHead title={`Settings of ${bucket}`} />
      <nav class="tabs" aria-label="Settings">
        {SECTIONS.map((name) => (
          <a key={name} href={hrefOf({ page: "settings", bucket, section: name })} aria-current={name === section ? "page" : undefined}>{TITLES[name]}</a>
        ))}
      </nav>
      {section === "general" && <General bucket={bucket} />}
      {section === "policy" && <Policy bucket={bucket} />}
      {section === "cors" && <Cors bucket={bucket} />}
      {section === "lifecycle" && <Lifecycle bucket={bucket} />}
      {section === "tags" && <Tags bucket={bucket} />}
    </div>
  );
}

function General({ bucket }: { bucket: string }) {
  const [deleting, setDeleting] = useState(false);
  return (
    <>
      <Versions bucket={bucket} />
      <PublicAccess bucket={bucket} />
      <Facts bucket={bucket} />
      <UnfinishedUploads bucket={bucket} />
      <Section title="Delete this bucket">
        <p>Only an empty bucket can be deleted.</p>
        <Button kind="danger" icon="trash" onClick={() => setDeleting(true)}>Delete the bucket</Button>
      </Section>
      {deleting && <DeleteBucketDialog bucket={bucket} onClose={() => setDeleting(false)} onDeleted={() => go({ page: "buckets" })} />}
    </>
  );
}

function Versions({ bucket }: { bucket: string }) {
  const versioning = useLoaded((signal) => buckets.getVersioning(bucket, signal), [bucket]);
  const set = async (on: boolean): Promise<void> => {
    const status = on ? "Enabled" : "Suspended";
    try {
      await buckets.putVersioning(bucket, status);
      versioning.set(status);
      done(on ? "Versions are kept from now on." : "No new versions are kept; those there are stay.");
    } catch (error) {
      failed(error, "Versions");
    }
  };
  return (
    <Section title="Versions">
      {versioning.error && <Failure text={versioning.error} again={versioning.reload} />}
      {versioning.value === undefined && !versioning.error && <Spinner label="Loading" />}
      {versioning.value !== undefined && (
        <>
          <Check toggle checked={versioning.value === "Enabled"} onChange={(on) => void set(on)}
            hint={versioning.value === "Suspended" ? "Suspended: those that were kept stay." : "What is replaced or deleted stays as an older version, and takes room."}>
            Keep versions
          </Check>
          {versioning.value !== "Off" && <p><a href={hrefOf({ page: "versions", bucket, prefix: "" })}>All versions in this bucket</a></p>}
        </>
      )}
    </Section>
  );
}

const BLOCK_TEXTS: Record<(typeof buckets.BLOCKS)[number], string> = {
  BlockPublicAcls: "Refuse ACLs that make something public",
  IgnorePublicAcls: "Ignore ACLs that make something public",
  BlockPublicPolicy: "Refuse policies that make something public",
  RestrictPublicBuckets: "With a public policy, let in users of the own account only",
};
const NO_BLOCK: buckets.Block = { BlockPublicAcls: false, IgnorePublicAcls: false, BlockPublicPolicy: false, RestrictPublicBuckets: false };

function PublicAccess({ bucket }: { bucket: string }) {
  const block = useLoaded(() => buckets.getBlock(bucket), [bucket]);
  const set = async (name: (typeof buckets.BLOCKS)[number], on: boolean): Promise<void> => {
    const wanted = { ...(block.value ?? NO_BLOCK), [name]: on };
    try {
      await buckets.putBlock(bucket, wanted);
      block.set(wanted);
      done("Saved what is blocked.");
    } catch (error) {
      failed(error, "Public access");
    }
  };
  return (
    <Section title="Public access">
      <p class="hint">Without a policy nothing here is public. These hold whatever a policy or an ACL says.</p>
      {block.error && <Failure text={block.error} again={block.reload} />}
      {block.value === undefined && !block.error && <Spinner label="Loading" />}
      {block.value !== undefined &&
        buckets.BLOCKS.map((name) => (
          <Check key={name} toggle checked={block.value?.[name] === true} onChange={(on) => void set(name, on)}>{BLOCK_TEXTS[name]}</Check>
        ))}
    </Section>
  );
}

const OWNERSHIPS: Record<string, string> = {
  BucketOwnerEnforced: "The owner of the bucket owns all objects; ACLs are disabled",
  BucketOwnerPreferred: "The owner of the bucket, where an ACL gives it to them",
  ObjectWriter: "Whoever writes an object",
};

function Facts({ bucket }: { bucket: string }) {
  const lock = useLoaded(() => buckets.getLock(bucket), [bucket]);
  const ownership = useLoaded(() => buckets.getOwnership(bucket), [bucket]);
  return (
    <Section title="Ownership and locks">
      <dl class="details">
        <div>
          <dt>Objects belong to</dt>
          <dd>{ownership.error || (ownership.value === undefined ? "…" : (OWNERSHIPS[ownership.value ?? "BucketOwnerEnforced"] ?? ownership.value))}</dd>
        </div>
        <div>
          <dt>Object Lock</dt>
          <dd>{lock.error || (lock.value === undefined ? "…" : lock.value === null ? "off" : lock.value.mode ? `on; new versions for ${lock.value.period}, ${lock.value.mode.toLowerCase()}` : "on, without a default retention")}</dd>
        </div>
      </dl>
    </Section>
  );
}

/** Parts of these take room and are in no list of objects. */
function UnfinishedUploads({ bucket }: { bucket: string }) {
  const uploads = useLoaded((signal) => buckets.listUnfinished(bucket, signal), [bucket]);
  const [asking, setAsking] = useState(false);
  const abort = async (): Promise<void> => {
    setAsking(false);
    const found = uploads.value ?? [];
    try {
      for (const upload of found) await buckets.abortUpload(bucket, upload);
      done(`Aborted ${counted(found.length, "upload")}.`);
    } catch (error) {
      failed(error, "Unfinished uploads");
    }
    uploads.reload();
  };
  const some = uploads.value !== undefined && uploads.value.length > 0;
  return (
    <Section title="Unfinished uploads">
      <p class="hint">Parts of uploads that were broken off take room until they are completed, or aborted here or by a lifecycle rule.</p>
      {uploads.error && <Failure text={uploads.error} again={uploads.reload} />}
      {uploads.value === undefined && !uploads.error && <Spinner label="Loading" />}
      {uploads.value?.length === 0 && <p>None.</p>}
      {some && (
        <>
          <ul class="unfinished" tabIndex={0} aria-label="Unfinished uploads">
            {uploads.value?.map((upload) => (
              <li key={upload.id}><span dir="auto">{upload.key}</span> <span class="facts">begun {time(upload.begun)}</span></li>
            ))}
          </ul>
          <Button icon="trash" onClick={() => setAsking(true)}>Abort them</Button>
        </>
      )}
      {asking && (
        <Dialog
          title={`Abort ${counted(uploads.value?.length ?? 0, "upload")}?`}
          onClose={() => setAsking(false)}
          onSubmit={() => void abort()}
          actions={
            <>
              <Button onClick={() => setAsking(false)}>Cancel</Button>
              <Button kind="danger" type="submit">Abort them</Button>
            </>
          }
        >
          <p>What was sent of them is removed. One that a program is still sending fails.</p>
        </Dialog>
      )}
    </Section>
  );
}

function Policy({ bucket }: { bucket: string }) {
  const policy = useLoaded(() => buckets.getPolicy(bucket), [bucket]);
  if (policy.error) return <Failure text={policy.error} again={policy.reload} />;
  if (policy.value === undefined) return <Spinner label="Loading the policy" />;
  return <PolicyEditor bucket={bucket} initial={policy.value} />;
}

function pretty(text: string | null): string {
  try {
    return text === null ? "" : JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text ?? "";
  }
}

function PolicyEditor({ bucket, initial }: { bucket: string; initial: string | null }) {
  const [text, setText] = useState(() => pretty(initial));
  const block = useLoaded(() => buckets.getBlock(bucket), [bucket]);
  const look = (edited: string) => inspect(edited, bucket, block.value?.BlockPublicPolicy === true);
  const { saved, busy, error, setError, save } = useSaved(initial, (body) => buckets.putPolicy(bucket, body), "the policy");
  const edit = (value: string): void => {
    setError("");
    setText(value);
  };
  const fatal = look(text).some((each) => each.fatal);
  return (
    <Section title="Policy">
      <p class="hint">Who may do what in this bucket, besides what the users of its account may anyway.</p>
      <Field label="Begin with">
        {(attributes) => (
          <select {...attributes} value="" onChange={(event) => {
            const template = TEMPLATES[Number(event.currentTarget.value)];
            if (template !== undefined) edit(template.make(bucket));
            event.currentTarget.value = "";
          }}>
            <option value="">Choose a template…</option>
            {TEMPLATES.map(({ name }, i) => <option key={name} value={i}>{name}</option>)}
          </select>
        )}
      </Field>
      <TextEditor label="Policy (JSON)" text={text} onText={edit} inspect={look} serverError={error} />
      <SaveBar what="the policy" busy={busy} canSave={text.trim() !== "" && !fatal && text !== pretty(saved)} canRemove={saved !== null}
        onSave={() => void save(text)}
        onRemove={() => void save(null).then((ok) => {
          if (ok) setText("");
        })}
      />
    </Section>
  );
}

function Cors({ bucket }: { bucket: string }) {
  const cors = useLoaded(() => buckets.getCors(bucket), [bucket]);
  if (cors.error) return <Failure text={cors.error} again={cors.reload} />;
  if (cors.value === undefined) return <Spinner label="Loading the rules" />;
  return <Section title="CORS rules"><CorsEditor initial={cors.value} put={(text) => buckets.putCors(bucket, text)} /></Section>;
}

function Lifecycle({ bucket }: { bucket: string }) {
  const rules = useLoaded(() => buckets.getLifecycle(bucket), [bucket]);
  if (rules.error) return <Failure text={rules.error} again={rules.reload} />;
  if (rules.value === undefined) return <Spinner label="Loading the rules" />;
  return <Section title="Lifecycle rules"><LifecycleEditor initial={rules.value} put={(text) => buckets.putLifecycle(bucket, text)} /></Section>;
}

function Tags({ bucket }: { bucket: string }) {
  const tags = useLoaded(() => buckets.getBucketTags(bucket), [bucket]);
  if (tags.error) return <Failure text={tags.error} again={tags.reload} />;
  if (tags.value === undefined) return <Spinner label="Loading the tags" />;
  return <Section title="Tags of the bucket"><TagsEditor tags={tags.value} most={MAX_TAGS} save={(edited) => buckets.putBucketTags(bucket, edited)} /></Section>;
}
