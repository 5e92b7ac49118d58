/** Users and their key pairs, for admins. */

import { useState } from "preact/hooks";
import { counted, day } from "../format";
import { Button, Check, Dialog, Failure, Field, MenuButton, Spinner, TextField, type MenuItem } from "../parts/basics";
import { PageHead } from "../parts/head";
import { useLoaded, useTitle } from "../parts/hooks";
import { copyText } from "../parts/share";
import * as admin from "../s3/admin";
import { told } from "../s3/client";
import { done, failed, session } from "../state";

type Asked =
  | { readonly what: "remove-user"; readonly user: admin.User }
  | { readonly what: "remove-key"; readonly user: admin.User; readonly key: string }
  | null;

interface Shown extends admin.NewKey {
  readonly name: string;
}

export function UsersPage() {
  useTitle("Users");
  if (session.value?.users === "none") {
    return (
      <div class="page">
        <PageHead title="Users" />
        <p class="note">The server takes its user from its environment: there is no file of users that could be shown or changed.</p>
      </div>
    );
  }
  return <UsersInFile />;
}

/** Nobody takes the own access away here. */
const isMe = (user: admin.User): boolean => user.name === session.value?.user;
const isMyKey = (key: admin.UserKey): boolean => key.access_key === session.value?.access_key;

function UsersInFile() {
  const users = useLoaded(admin.users, []);
  const [adding, setAdding] = useState(false);
  const [asked, setAsked] = useState<Asked>(null);
  const [shown, setShown] = useState<Shown | null>(null);
  const all = users.value;
  const can = all?.writable === true;
  const act = (doing: Promise<void>, text: string): void => {
    doing.then(
      () => {
        done(text);
        users.reload();
      },
      (error: unknown) => failed(error),
    );
  };
  const newKey = (user: admin.User): void => {
    admin.addKey(user.name).then(
      (key) => {
        setShown({ name: user.name, ...key });
        users.reload();
      },
      (error: unknown) => failed(error),
    );
  };
  return (
    <div class="page">
      <PageHead title="Users" facts={all && counted(all.users.length, "user")}>
        {can && <Button kind="primary" icon="plus" disabled={!all.secure} onClick={() => setAdding(true)}>New user</Button>}
      </PageHead>
      {all !== undefined && !can && <p class="note">These users cannot be changed here: they come from where the console may not write, as the environment of the server.</p>}
      {can && !all.secure && <p class="note">New secrets are shown over TLS or on the server itself only: over this connection anybody on the way could read them.</p>}
      {users.error && <Failure text={users.error} again={users.reload} />}
      {all === undefined && !users.error && <Spinner label="Loading the users" />}
      <ul class="users">
        {all?.users.map((user) => (
          <li class="card" key={user.name}>
            <div class="user-head">
              <div>
                <h2>{user.name}{isMe(user) && <span class="badge">you</span>}{!user.enabled && <span class="badge warn">disabled</span>}</h2>
                <p class="facts">{rightsOf(user)} · account {user.account}</p>
              </div>
              {can && (all.secure || !isMe(user)) && (
                <MenuButton
                  label={`Actions for ${user.name}`}
                  items={[
                    ...(all.secure ? [{ label: "New key pair", icon: "key" as const, action: () => newKey(user) }] : []),
                    ...(isMe(user) ? [] : ([
                      user.enabled
                        ? { label: "Disable", icon: "pause", action: () => act(admin.enableUser(user.name, false), `Disabled ${user.name}.`) }
                        : { label: "Enable", icon: "play", action: () => act(admin.enableUser(user.name, true), `Enabled ${user.name}.`) },
                      { label: "Remove", icon: "trash", danger: true, action: () => setAsked({ what: "remove-user", user }) },
                    ] satisfies MenuItem[])),
                  ]}
                />
              )}
            </div>
            <ul class="keys" aria-label={`Key pairs of ${user.name}`}>
              {user.keys.map((key) => (
                <li key={key.access_key}>
                  <code>{key.access_key}</code>
                  <span class="facts">{[key.created ? `since ${day(key.created)}` : "", key.enabled ? "" : "disabled", isMyKey(key) ? "in use here" : ""].filter(Boolean).join(" · ")}</span>
                  {can && !isMyKey(key) && (
                    <MenuButton
                      label={`Actions for the key ${key.access_key}`}
                      items={[
                        key.enabled
                          ? { label: "Disable", icon: "pause", action: () => act(admin.enableKey(user.name, key.access_key, false), `Disabled ${key.access_key}.`) }
                          : { label: "Enable", icon: "play", action: () => act(admin.enableKey(user.name, key.access_key, true), `Enabled ${key.access_key}.`) },
                        { label: "Remove", icon: "trash", danger: true, action: () => setAsked({ what: "remove-key", user, key: key.access_key }) },
                      ]}
                    />
                  )}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
      {adding && all !== undefined && (
        <NewUserDialog
          policies={all.policies}
          onClose={() => setAdding(false)}
          onAdded={(made) => {
            setAdding(false);
            setShown(made);
            users.reload();
          }}
        />
      )}
      {asked !== null && <RemoveDialog asked={asked} onClose={() => setAsked(null)} onRemoved={users.reload} />}
      {shown !== null && <KeyDialog shown={shown} onClose={() => setShown(null)} />}
    </div>
  );
}

function rightsOf(user: admin.User): string {
  const parts = [user.role ?? (user.policies === null ? "no role" : "")];
  if (user.policies !== null) parts.push(`policies ${user.policies.join(", ") || "none"}`);
  if (user.buckets !== null) parts.push(`only ${user.buckets.join(", ") || "no bucket"}`);
  return parts.filter(Boolean).join(" · ");
}

const ROLES: readonly (readonly [string, string])[] = [
  ["writer", "Writer: reads and writes objects and buckets"],
  ["reader", "Reader: reads and lists"],
  ["admin", "Admin: may do everything, users too"],
  ["", "By policies alone"],
];

function NewUserDialog({ policies, onClose, onAdded }: { policies: readonly string[]; onClose: () => void; onAdded: (made: Shown) => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("writer");
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [buckets, setBuckets] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const only = buckets.split(/[\s,]+/).filter(Boolean);
  const wrong = name !== "" && !/^[A-Za-z0-9_.@-]{1,64}$/.test(name) ? "Letters, digits and _ . @ -, at most 64." : "";
  const ready = name !== "" && wrong === "" && (role !== "" || chosen.length > 0);
  const add = async (): Promise<void> => {
    setBusy(true);
    setError("");
    try {
      onAdded(
        await admin.addUser({
          name,
          ...(role ? { role } : {}),
          ...(chosen.length > 0 ? { policies: chosen } : {}),
          ...(only.length > 0 ? { buckets: only } : {}),
        }),
      );
    } catch (problem) {
      setError(told(problem));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="New user"
      onClose={onClose}
      onSubmit={() => ready && void add()}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={busy} disabled={!ready}>Make the user</Button>
        </>
      }
    >
      <TextField label="Name" value={name} onInput={setName} error={wrong} />
      <Field label="Role">
        {(attributes) => (
          <select {...attributes} value={role} onChange={(event) => setRole(event.currentTarget.value)}>
            {ROLES.filter(([value]) => value !== "" || policies.length > 0).map(([value, text]) => <option key={value} value={value}>{text}</option>)}
          </select>
        )}
      </Field>
      {policies.length > 0 && (
        <fieldset>
          <legend>Policies</legend>
          {policies.map((each) => (
            <Check key={each} checked={chosen.includes(each)} onChange={(on) => setChosen(on ? [...chosen, each] : chosen.filter((other) => other !== each))}>{each}</Check>
          ))}
        </fieldset>
      )}
      {role !== "" && role !== "admin" && <TextField label="Only these buckets" hint="With commas; empty for all." value={buckets} onInput={setBuckets} />}
      {error && <p class="error" role="alert">{error}</p>}
    </Dialog>
  );
}

function RemoveDialog({ asked, onClose, onRemoved }: { asked: NonNullable<Asked>; onClose: () => void; onRemoved: () => void }) {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const { user } = asked;
  const remove = async (): Promise<void> => {
    setBusy(true);
    try {
      if (asked.what === "remove-user") await admin.removeUser(user.name);
      else await admin.removeKey(user.name, asked.key);
      done(asked.what === "remove-user" ? `Removed ${user.name}.` : `Removed ${asked.key}.`);
      onClose();
      onRemoved();
    } catch (problem) {
      setError(told(problem));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={asked.what === "remove-user" ? `Remove ${user.name}?` : `Remove the key ${asked.key}?`}
      onClose={onClose}
      onSubmit={() => void remove()}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" type="submit" busy={busy}>Remove</Button>
        </>
      }
    >
      <p>{asked.what === "remove-user" ? "Their keys are refused at once, also in links they shared. What they stored stays." : "What is signed with it is refused at once, also links that were shared."}</p>
      {error && <p class="error" role="alert">{error}</p>}
    </Dialog>
  );
}

/** A secret, for the only time that it is shown. */
function KeyDialog({ shown, onClose }: { shown: Shown; onClose: () => void }) {
  const copy = (event: MouseEvent): void => {
    const field = (event.currentTarget as Element).closest(".copied")?.querySelector("textarea");
    if (field) copyText(field).then(() => done("Copied."), (error: unknown) => failed(error));
  };
  const line = (label: string, value: string) => (
    <div class="copied">
      <Field label={label}>{(attributes) => <textarea {...attributes} class="link" rows={2} readOnly value={value} onFocus={(event) => event.currentTarget.select()} />}</Field>
      <Button icon="copy" label={`Copy the ${label.toLowerCase()}`} onClick={copy} />
    </div>
  );
  return (
    <Dialog title={`Key pair of ${shown.name}`} onClose={onClose} onSubmit={onClose} actions={<Button kind="primary" type="submit">I have kept it</Button>}>
      <p>The secret key is shown only now. Keep it where passwords are kept.</p>
      {line("Access key", shown.access_key)}
      {line("Secret key", shown.secret_key)}
    </Dialog>
  );
}
