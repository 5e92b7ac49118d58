/** The way in: a key pair, of which only the signatures ever leave the page. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../parts/basics";
import { Icon } from "../parts/icons";
import { useTitle } from "../parts/hooks";
import { S3Error, told } from "../s3/client";
import { session, signIn, signOut } from "../state";

function SignInForm({ button }: { button: string }) {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLInputElement>("input:not([value])")?.focus(), []);
  const submit = async (): Promise<void> => {
    const fields = form.current?.elements;
    const accessKey = fields?.namedItem("username") as HTMLInputElement;
    const secret = fields?.namedItem("password") as HTMLInputElement;
    setBusy(true);
    setError("");
    try {
      await signIn(accessKey.value.trim(), secret.value.trim());
      secret.value = "";
    } catch (problem) {
      const refused = problem instanceof S3Error && ["InvalidAccessKeyId", "SignatureDoesNotMatch"].includes(problem.code);
      setError(refused ? "There is no such pair of keys. Look for a character too few or too many." : told(problem));
      secret.focus();
      secret.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      ref={form}
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <div class="field">
        <label for="username">Access key</label>
        <input id="username" name="username" type="text" autocomplete="username" autocapitalize="none" spellcheck={false} required defaultValue={session.value?.access_key ?? ""} />
      </div>
      <div class="field">
        <label for="password">Secret key</label>
        <input id="password" name="password" type="password" autocomplete="current-password" required aria-describedby="sign-in-error sign-in-hint" aria-invalid={error ? "true" : undefined} />
      </div>
      <p class="error" role="alert" id="sign-in-error">{error}</p>
      <Button kind="primary" type="submit" busy={busy}>{button}</Button>
      <p class="hint" id="sign-in-hint">The secret key does not leave this page: requests are signed here, and it is forgotten once you are in.</p>
    </form>
  );
}

export function SignInPage() {
  useTitle("Sign in");
  return (
    <main class="sign-in-page" id="main">
      <div class="card">
        <h1><Logo /> zs3</h1>
        <SignInForm button="Sign in" />
      </div>
    </main>
  );
}

/** Over a page whose session has come to its end. */
export function SignInAgain() {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-labelledby="again-title" onCancel={(event) => event.preventDefault()}>
      <div class="dialog-form">
        <header><h2 id="again-title">Sign in again</h2></header>
        <div class="dialog-body">
          <p>The session has ended. What you were at stays as it is.</p>
          <SignInForm button="Go on" />
        </div>
        <footer><Button icon="out" onClick={signOut}>Sign out instead</Button></footer>
      </div>
    </dialog>
  );
}

export const Logo = () => <span class="logo"><Icon name="bucket" /></span>;
