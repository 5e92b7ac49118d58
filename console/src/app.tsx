/** The frame of all pages: where one can go, what is told, and what is on its way. */

import { useEffect, useRef } from "preact/hooks";
import { Button, Failure, Spinner } from "./parts/basics";
import { Icon, type IconName } from "./parts/icons";
import { UploadDock } from "./parts/uploads";
import { BrowsePage } from "./pages/browse";
import { BucketsPage } from "./pages/buckets";
import { DiskPage } from "./pages/disk";
import { ObjectPage } from "./pages/object";
import { SettingsPage } from "./pages/settings";
import { SignInAgain, SignInPage, Logo } from "./pages/signin";
import { UsersPage } from "./pages/users";
import { VersionsPage } from "./pages/versions";
import { hrefOf, route, type Route } from "./route";
import { overview } from "./s3/transfers";
import { dismiss, ended, notices, resume, session, signOut, spoken, startFailure, starting } from "./state";

function Page({ at }: { at: Route }) {
  switch (at.page) {
    case "buckets":
      return <BucketsPage />;
    case "browse":
      return <BrowsePage key={`${at.bucket}/${at.prefix}`} bucket={at.bucket} prefix={at.prefix} />;
    case "versions":
      return <VersionsPage key={`${at.bucket}/${at.prefix}`} bucket={at.bucket} prefix={at.prefix} />;
    case "object":
      return <ObjectPage key={`${at.bucket}/${at.key}?${at.version ?? ""}`} bucket={at.bucket} name={at.key} version={at.version} />;
    case "settings":
      return <SettingsPage key={at.bucket} bucket={at.bucket} section={at.section} />;
    case "users":
      return <UsersPage />;
    case "disk":
      return <DiskPage />;
  }
}

function NavLink({ to, icon, children, current }: { to: Route; icon: IconName; children: string; current: boolean }) {
  return (
    <a href={hrefOf(to)} aria-current={current ? "page" : undefined}>
      <Icon name={icon} />
      <span>{children}</span>
    </a>
  );
}

function Notices() {
  return (
    <>
      <div class="notices" role="region" aria-label="Messages">
        <div role="alert">
          {notices.value.filter((each) => each.kind === "error").map((each) => (
            <div class="notice failed" key={each.id}>
              <Icon name="warning" />
              <p>{each.text}</p>
              <Button kind="quiet" icon="close" label="Dismiss" onClick={() => dismiss(each.id)} />
            </div>
          ))}
        </div>
        <div role="status">
          {notices.value.filter((each) => each.kind === "done").map((each) => (
            <div class="notice" key={each.id}>
              <Icon name="check" />
              <p>{each.text}</p>
              <Button kind="quiet" icon="close" label="Dismiss" onClick={() => dismiss(each.id)} />
            </div>
          ))}
        </div>
      </div>
      <div class="visually-hidden" role="status">{spoken.value}</div>
    </>
  );
}

export function App() {
  const at = route.value;
  const who = session.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    void resume();
    const leaving = (event: BeforeUnloadEvent): void => {
      if (session.value !== null && overview.value.active + overview.value.paused > 0) event.preventDefault();
    };
    addEventListener("beforeunload", leaving);
    return () => removeEventListener("beforeunload", leaving);
  }, []);
  // A new page is told by its heading, unless what it opens with takes the focus.
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    if (main.current !== null && !main.current.contains(document.activeElement)) main.current.focus({ preventScroll: true });
    if (at.page !== "browse") scrollTo(0, 0);
  }, [at]);

  if (who === null) {
    if (starting.value) return <main id="main" class="sign-in-page"><Spinner label="Signing in" /></main>;
    if (startFailure.value) {
      return (
        <main id="main" class="sign-in-page">
          <div class="card"><h1><Logo /> zs3</h1><Failure text={startFailure.value} again={() => void resume()} /></div>
        </main>
      );
    }
    return <SignInPage />;
  }
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        main.current?.focus();
      }}>Skip to the content</a>
      <div class="frame">
        <header class="side">
          <a class="brand" href={hrefOf({ page: "buckets" })}><Logo /> zs3</a>
          <nav aria-label="Main">
            <NavLink to={{ page: "buckets" }} icon="bucket" current={at.page !== "users" && at.page !== "disk"}>Buckets</NavLink>
            {who.admin && <NavLink to={{ page: "users" }} icon="users" current={at.page === "users"}>Users</NavLink>}
            <NavLink to={{ page: "disk" }} icon="disk" current={at.page === "disk"}>Disk</NavLink>
          </nav>
          <div class="who">
            <p><strong>{who.user}</strong><span>{who.admin ? "admin" : (who.role ?? "by policies")}</span></p>
            <Button kind="quiet" icon="out" label="Sign out" onClick={signOut} />
          </div>
        </header>
        <main id="main" ref={main} tabIndex={-1}>
          <Page at={at} />
        </main>
      </div>
      <UploadDock />
      <Notices />
      {ended.value && <SignInAgain />}
    </>
  );
}
