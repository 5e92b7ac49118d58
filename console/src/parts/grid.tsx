/**
 * The rows of a list, of which only those in sight are in the document.
 *
 * The focus stays on the grid as a whole and `aria-activedescendant` says which row is meant, so that no row that goes
 * out of sight takes the focus with it.
 */

import { useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { bytes, time } from "../format";
import type { Column, Entry, Listing } from "../model";
import { hrefOf } from "../route";
import { useMedia } from "./hooks";
import { Icon, iconOf } from "./icons";

const OVERSCAN = 8;
/** Rows before the end at which the next page is asked for. */
const AHEAD = 400;
/** Browsers draw nothing that is higher than some millions of pixels. */
const MOST_ROWS = 250_000;

interface GridProps {
  readonly listing: Listing;
  readonly onOpen: (entry: Entry) => void;
  readonly onMenu: (entry: Entry, anchor: Element) => void;
  readonly onDelete: () => void;
  readonly onRename: (entry: Entry) => void;
  readonly onUp: () => void;
  readonly onType: (text: string) => void;
  readonly empty: ComponentChildren;
}

export const entryHref = (bucket: string, entry: Entry): string =>
  entry.kind === "prefix"
    ? hrefOf({ page: "browse", bucket, prefix: entry.key })
    : hrefOf({ page: "object", bucket, key: entry.key, version: null });

export function Grid(props: GridProps) {
  const { listing, onOpen } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const compact = useMedia("(max-width: 640px)");
  const rowHeight = compact ? 60 : 44;
  const [top, setTop] = useState(listing.scrollTop);
  const [height, setHeight] = useState(600);
  const [anchorRow, setAnchorRow] = useState(0);

  const entries = listing.rows.value;
  const active = listing.active.value;
  const selected = listing.selected.value;
  const complete = listing.complete.value;
  const shown = Math.min(entries.length, MOST_ROWS);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    element.scrollTop = listing.scrollTop;
    setTop(element.scrollTop);
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, [listing]);

  const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
  const last = Math.min(shown, Math.ceil((top + height) / rowHeight) + OVERSCAN);

  // A page more when the end comes near, as long as there is one.
  useEffect(() => {
    if (!complete && listing.error.value === "" && last + AHEAD >= entries.length && entries.length < MOST_ROWS) void listing.more();
  }, [listing, last, entries.length, complete]);

  useSignalEffect(() => {
    const row = listing.active.value;
    const element = scroller.current;
    if (element === null || document.activeElement !== element) return;
    // The head of the grid lies over its first row.
    const at = row * rowHeight;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + rowHeight * 2 > element.scrollTop + element.clientHeight) element.scrollTop = at + rowHeight * 2 - element.clientHeight;
  });

  const moveTo = (row: number, extend: boolean): void => {
    const to = Math.max(0, Math.min(shown - 1, row));
    if (extend) listing.selectRange(anchorRow, to);
    else setAnchorRow(to);
    listing.active.value = to;
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    // What has the focus inside of it has these keys.
    if (event.target !== event.currentTarget && (event.key === "Enter" || event.key === " ")) return;
    const page = Math.max(1, Math.floor(height / rowHeight) - 1);
    const entry = entries[active];
    const steps: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: shown - 1 };
    const step = event.altKey || event.metaKey ? undefined : steps[event.key];
    const rowElement = (): Element => scroller.current?.querySelector(`#${rowId(active)}`) ?? document.body;
    if (step !== undefined) moveTo(step, event.shiftKey);
    else if ((event.key === "ArrowUp" && event.altKey) || event.key === "Backspace") props.onUp();
    else if (event.key === "Enter" && entry !== undefined) onOpen(entry);
    else if (event.key === " " && entry !== undefined) listing.toggle(entry.key);
    else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) listing.selectAll();
    else if (event.key === "Escape" && selected.size > 0) listing.clear();
    else if (event.key === "Delete") props.onDelete();
    else if (event.key === "F2" && entry !== undefined) props.onRename(entry);
    else if ((event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) && entry !== undefined) props.onMenu(entry, rowElement());
    else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) props.onType(event.key === "/" ? "" : event.key);
    else return;
    event.preventDefault();
  };

  const rows: number[] = [];
  for (let row = first; row < last; row++) rows.push(row);
  if (active < shown && (active < first || active >= last)) rows.push(active);
  const all = selected.size > 0 && selected.size === entries.length;

  return (
    <div
      ref={scroller}
      class="grid"
      role="grid"
      aria-label={`Objects in ${listing.bucket}/${listing.prefix}`}
      aria-multiselectable="true"
      aria-rowcount={complete ? entries.length + 1 : -1}
      aria-colcount={5}
      aria-busy={listing.loading.value}
      aria-activedescendant={shown > 0 ? rowId(active) : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onScroll={(event) => {
        listing.scrollTop = event.currentTarget.scrollTop;
        setTop(event.currentTarget.scrollTop);
      }}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        <span role="columnheader" class="cell-check">
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label="Select all that are loaded"
            checked={all}
            onChange={() => (all ? listing.clear() : listing.selectAll())}
          />
        </span>
        <ColumnHead listing={listing} by="name" label="Name" />
        <ColumnHead listing={listing} by="size" label="Size" />
        <ColumnHead listing={listing} by="modified" label="Modified" />
        <span role="columnheader" class="cell-more"><span class="visually-hidden">Actions</span></span>
      </div>
      <div role="rowgroup" class="rows" style={{ height: `${shown * rowHeight}px` }}>
        {rows.map((row) => {
          const entry = entries[row];
          if (entry === undefined) return null;
          return (
            <Row
              key={entry.key}
              {...props}
              entry={entry}
              row={row}
              top={row * rowHeight}
              active={row === active}
              selected={selected.has(entry.key)}
              onPick={(event) => {
                if (event.shiftKey) listing.selectRange(anchorRow, row);
                else listing.toggle(entry.key);
                if (!event.shiftKey) setAnchorRow(row);
                listing.active.value = row;
              }}
              onPoint={() => (listing.active.value = row)}
            />
          );
        })}
      </div>
      {shown === 0 && complete && <div role="row"><div role="gridcell" class="grid-empty">{props.empty}</div></div>}
    </div>
  );
}

/** Sorts by its column, once all is there that is to be sorted. */
function ColumnHead({ listing, by, label }: { listing: Listing; by: Column; label: string }) {
  const { value: order } = listing.order;
  const complete = listing.complete.value;
  const sorted = !complete || order.by !== by ? "none" : order.down ? "descending" : "ascending";
  return (
    <span role="columnheader" class={`cell-${by}`} aria-sort={sorted}>
      {complete ? (
        <button type="button" class="sort" onClick={() => listing.sortBy(by)}>
          {label}
          <span class="arrow" aria-hidden="true">{sorted === "ascending" ? "↑" : sorted === "descending" ? "↓" : ""}</span>
        </button>
      ) : label}
    </span>
  );
}

const rowId = (row: number): string => `row-${row}`;

interface RowProps extends GridProps {
  readonly entry: Entry;
  readonly row: number;
  readonly top: number;
  readonly active: boolean;
  readonly selected: boolean;
  readonly onPick: (event: MouseEvent) => void;
  readonly onPoint: () => void;
}

function Row({ listing, entry, row, top, active, selected, onPick, onPoint, onMenu, onOpen }: RowProps) {
  const name = listing.nameOf(entry);
  const size = entry.kind === "object" ? bytes(entry.size) : "";
  const modified = entry.kind === "object" ? time(entry.modified) : "";
  return (
    <div
      class={`row${active ? " active" : ""}${selected ? " selected" : ""}`}
      id={rowId(row)}
      role="row"
      aria-rowindex={row + 2}
      aria-selected={selected}
      style={{ transform: `translateY(${top}px)` }}
      onClick={(event) => {
        if ((event.target as Element).closest("a, button, input, label") !== null) return;
        if (event.ctrlKey || event.metaKey || event.shiftKey) onPick(event);
        else onPoint();
      }}
      onDblClick={(event) => {
        if ((event.target as Element).closest("button, input, label") === null) onOpen(entry);
      }}
      onContextMenu={(event) => {
        const element = event.currentTarget.querySelector(".cell-more button");
        if (element === null || (event.target as Element).closest("a") !== null) return;
        event.preventDefault();
        onPoint();
        onMenu(entry, element);
      }}
    >
      <span class="cell-check" role="gridcell">
        <label>
          <input type="checkbox" tabIndex={-1} aria-label={`Select ${name}`} checked={selected} onClick={onPick} />
        </label>
      </span>
      <span role="gridcell" class="cell-name">
        <span class={`kind ${entry.kind}`}><Icon name={entry.kind === "prefix" ? "folder" : iconOf(entry.key)} /></span>
        <span class="name-and-facts">
          <a href={entryHref(listing.bucket, entry)} tabIndex={-1} dir="auto">{name}</a>
          {size && <span class="facts" aria-hidden="true">{size} · {modified}</span>}
        </span>
      </span>
      <span role="gridcell" class="cell-size">{size}</span>
      <span role="gridcell" class="cell-modified">{modified}</span>
      <span role="gridcell" class="cell-more">
        <MoreButton name={name} onMenu={(anchor) => {
          onPoint();
          onMenu(entry, anchor);
        }} />
      </span>
    </div>
  );
}

function MoreButton({ name, onMenu }: { name: string; onMenu: (anchor: Element) => void }) {
  return (
    <button type="button" class="button quiet icon-only" tabIndex={-1} aria-haspopup="menu" aria-label={`Actions for ${name}`}
      onClick={(event) => onMenu(event.currentTarget)}>
      <Icon name="more" />
    </button>
  );
}

