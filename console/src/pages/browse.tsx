/** What is in a prefix: its list, and what can be done with what is in it. */

import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, counted, number } from "../format";
import { Button, Dialog, Empty, Failure, Menu, MenuButton, TextField, type MenuItem } from "../parts/basics";
import { Grid } from "../parts/grid";
import { Crumbs } from "../parts/head";
import { useTitle } from "../parts/hooks";
import { Icon } from "../parts/icons";
import { DeleteDialog, MoveDialog, RenameDialog } from "../parts/jobs";
import { ShareDialog } from "../parts/share";
import { save } from "../parts/save";
import { listingOf, type Entry } from "../model";
import { go, parentOf } from "../route";
import { add, filesOf, filesOfInput, type Dropped } from "../s3/transfers";
import { failed, session, spoken } from "../state";

type Open =
  | { readonly what: "delete" | "move" | "copy"; readonly chosen: readonly Entry[] }
  | { readonly what: "rename" | "share"; readonly entry: Entry }
  | { readonly what: "folder" }
  | null;

const TYPING_MS = 250;

export function BrowsePage({ bucket, prefix }: { bucket: string; prefix: string }) {
  useTitle(`${bucket}/${prefix}`);
  const [filter, setFilter] = useState("");
  const [asked, setAsked] = useState("");
  const [listing, setListing] = useState(() => listingOf(bucket, prefix, ""));
  const [open, setOpen] = useState<Open>(null);
  const [menu, setMenu] = useState<{ entry: Entry; anchor: Element } | null>(null);
  const [over, setOver] = useState(false);
  const find = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const timer = setTimeout(() => setAsked(filter), TYPING_MS);
    return () => clearTimeout(timer);
  }, [filter]);
  useEffect(() => setListing(listingOf(bucket, prefix, asked)), [bucket, prefix, asked]);
  // Who has signed in again need not ask again.
  useEffect(() => {
    if (listing.error.value) void listing.more();
  }, [session.value]);
  // With the keyboard one goes on from folder to folder.
  useEffect(() => {
    document.querySelector<HTMLElement>("[role=grid]")?.focus({ preventScroll: true });
  }, []);

  const entries = listing.entries.value;
  const complete = listing.complete.value;
  const selected = listing.selected.value.size;
  const close = (): void => setOpen(null);
  const openEntry = (entry: Entry): void =>
    go(entry.kind === "prefix" ? { page: "browse", bucket, prefix: entry.key } : { page: "object", bucket, key: entry.key, version: null });
  const up = (): void => go(prefix === "" ? { page: "buckets" } : { page: "browse", bucket, prefix: parentOf(prefix) });

  useEffect(() => {
    if (listing.loading.value) return;
    spoken.value = complete ? `${counted(entries.length, "entry", "entries")}` : `${counted(entries.length, "entry", "entries")} loaded, more follow`;
  }, [entries.length, complete]);

  const upload = (dropped: readonly Dropped[]): void => {
    if (dropped.length > 0) add(bucket, prefix, dropped);
  };
  const itemsOf = (entry: Entry): MenuItem[] => {
    const chosen = listing.selected.value.has(entry.key) ? listing.chosen() : [entry];
    const many = chosen.length > 1;
    const single: MenuItem[] = many
      ? []
      : [
          { label: "Open", icon: entry.kind === "prefix" ? "folder" : "file", action: () => openEntry(entry) },
          ...(entry.kind === "object"
            ? ([
                { label: "Download", icon: "download", action: () => save(bucket, [entry]) },
                { label: "Share", icon: "link", action: () => setOpen({ what: "share", entry }) },
              ] satisfies MenuItem[])
            : []),
          { label: "Rename", icon: "edit", action: () => setOpen({ what: "rename", entry }) },
        ];
    return [
      ...single,
      { label: "Move", icon: "move", action: () => setOpen({ what: "move", chosen }) },
      { label: "Copy", icon: "copy", action: () => setOpen({ what: "copy", chosen }) },
      ...(entry.kind === "prefix" && !many ? [{ label: "Versions", icon: "clock" as const, action: () => go({ page: "versions", bucket, prefix: entry.key }) }] : []),
      { label: many ? `Delete ${number(chosen.length)}` : "Delete", icon: "trash", danger: true, action: () => setOpen({ what: "delete", chosen }) },
    ];
  };

  return (
    <div
      class={`page browse${over ? " over" : ""}`}
      onDragOver={(event) => {
        if (event.dataTransfer?.types.includes("Files") !== true) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = "copy";
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false);
      }}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer !== null) filesOf(event.dataTransfer).then(upload, (error: unknown) => failed(error, "Reading what was dropped"));
      }}
    >
      <h1 class="visually-hidden">{bucket}/{prefix}</h1>
      <Crumbs bucket={bucket} path={prefix} />
      <div class="toolbar">
        <div class="find">
          <Icon name="search" />
          <input
            ref={find}
            type="search"
            aria-label="Names that begin with"
            placeholder="Begins with…"
            autocomplete="off"
            spellcheck={false}
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "ArrowDown" || event.key === "Enter") {
                event.preventDefault();
                document.querySelector<HTMLElement>("[role=grid]")?.focus();
              }
            }}
          />
        </div>
        <Button kind="quiet" icon="refresh" label="Reload the list" onClick={() => void listing.reload()} />
        <MenuButton
          label="More"
          items={[
            { label: "New folder", icon: "folder", action: () => setOpen({ what: "folder" }) },
            { label: "Upload a folder", icon: "upload", action: () => folder.current?.click() },
            { label: "Versions", icon: "clock", action: () => go({ page: "versions", bucket, prefix }) },
            { label: "Settings of the bucket", icon: "settings", action: () => go({ page: "settings", bucket, section: "general" }) },
          ]}
        />
        <Button kind="primary" icon="upload" onClick={() => files.current?.click()}>Upload</Button>
        <input ref={files} type="file" multiple hidden aria-label="Files to upload" onChange={(event) => {
          upload(filesOfInput(event.currentTarget));
          event.currentTarget.value = "";
        }} />
        <input ref={folder} type="file" hidden aria-label="A folder to upload" {...{ webkitdirectory: true }} onChange={(event) => {
          upload(filesOfInput(event.currentTarget));
          event.currentTarget.value = "";
        }} />
      </div>
      {selected > 0 && (
        <div class="selection" role="toolbar" aria-label="What is selected">
          <p>{number(selected)} selected{sizeOf(listing.chosen())}</p>
          <Button icon="download" onClick={() => save(bucket, listing.chosen())}>Download</Button>
          <Button icon="move" onClick={() => setOpen({ what: "move", chosen: listing.chosen() })}>Move</Button>
          <Button icon="copy" onClick={() => setOpen({ what: "copy", chosen: listing.chosen() })}>Copy</Button>
          <Button icon="trash" kind="danger" onClick={() => setOpen({ what: "delete", chosen: listing.chosen() })}>Delete</Button>
          <Button kind="quiet" icon="close" label="Select nothing" onClick={() => listing.clear()} />
        </div>
      )}
      {listing.error.value && <Failure text={listing.error.value} again={() => void listing.more()} />}
      <Grid
        listing={listing}
        onOpen={openEntry}
        onMenu={(entry, anchor) => setMenu({ entry, anchor })}
        onDelete={() => listing.chosen().length > 0 && setOpen({ what: "delete", chosen: listing.chosen() })}
        onRename={(entry) => setOpen({ what: "rename", entry })}
        onUp={up}
        onType={(text) => {
          setFilter(filter + text);
          find.current?.focus();
        }}
        empty={
          asked ? <p>Nothing here begins with “{asked}”.</p> : (
            <Empty icon="upload" title="Nothing here yet">
              <p>Drop files or folders anywhere on this page, or choose Upload.</p>
            </Empty>
          )
        }
      />
      <p class="status-line facts">
        {counted(entries.length, "entry", "entries")}{complete ? "" : listing.loading.value ? " so far, loading more…" : " so far; scroll for more"}
      </p>
      <div class="drop-hint" aria-hidden="true"><Icon name="upload" /> Drop to upload to {bucket}/{prefix}</div>
      {menu !== null && <Menu label={`Actions for ${listing.nameOf(menu.entry)}`} items={itemsOf(menu.entry)} anchor={menu.anchor} onClose={() => setMenu(null)} />}
      {open?.what === "delete" && <DeleteDialog bucket={bucket} base={prefix} chosen={open.chosen} onClose={close} />}
      {(open?.what === "move" || open?.what === "copy") && <MoveDialog bucket={bucket} base={prefix} chosen={open.chosen} keep={open.what === "copy"} onClose={close} />}
      {open?.what === "rename" && <RenameDialog bucket={bucket} base={prefix} entry={open.entry} onClose={close} />}
      {open?.what === "share" && <ShareDialog bucket={bucket} name={open.entry.key} version={null} onClose={close} />}
      {open?.what === "folder" && <NewFolder bucket={bucket} prefix={prefix} onClose={close} />}
    </div>
  );
}

function sizeOf(chosen: readonly Entry[]): string {
  let size = 0;
  for (const entry of chosen) {
    if (entry.kind === "prefix") return "";
    size += entry.size;
  }
  return `, ${bytes(size)}`;
}

function NewFolder({ bucket, prefix, onClose }: { bucket: string; prefix: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const wrong = /(^|\/)\.{1,2}(\/|$)/.test(name) ? "Not “.” or “..”: no browser could ask for it." : "";
  return (
    <Dialog
      title="New folder"
      onClose={onClose}
      onSubmit={() => {
        if (name === "" || wrong) return;
        onClose();
        go({ page: "browse", bucket, prefix: `${prefix}${name}/` });
      }}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={name === "" || wrong !== ""}>Go there</Button>
        </>
      }
    >
      <TextField label="Name" hint="S3 has no empty folders: it is there once something is in it." error={wrong} value={name} onInput={setName} />
    </Dialog>
  );
}
