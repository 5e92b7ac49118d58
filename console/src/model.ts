/**
 * The list of a prefix as it is shown: pages are added as somebody comes near its end, and what this tab changes is put
 * right in it without asking for all anew.
 */

import { batch, computed, signal } from "@preact/signals";
import { isAbort, told } from "./s3/client";
import { compareKeys, list, type Entry, type ObjectEntry } from "./s3/listing";

const REMEMBERED = 12;
/** A list is taken for what is there for so long. */
const FRESH_MS = 3000;

export type Column = "name" | "size" | "modified";

export interface Order {
  readonly by: Column;
  readonly down: boolean;
}

/** As S3 lists. */
const NATURAL: Order = { by: "name", down: false };

function ordered(entries: readonly Entry[], order: Order): readonly Entry[] {
  if (order.by === "name") return order.down ? [...entries].reverse() : entries;
  const valueOf = (entry: Entry): number | string => (entry.kind === "prefix" ? "" : order.by === "size" ? entry.size : entry.modified);
  // Folders, of which neither is known, stay together and first.
  const folders = entries.filter((entry) => entry.kind === "prefix");
  const objects = entries.filter((entry) => entry.kind === "object");
  const sign = order.down ? -1 : 1;
  objects.sort((a, b) => (valueOf(a) < valueOf(b) ? -sign : valueOf(a) > valueOf(b) ? sign : 0));
  return [...folders, ...objects];
}

export class Listing {
  /** In the order of keys. */
  readonly entries = signal<readonly Entry[]>([]);
  readonly complete = signal(false);
  readonly order = signal(NATURAL);
  /** In the order in which they are shown: what is not all there yet has one only. */
  readonly rows = computed(() => ordered(this.entries.value, this.complete.value ? this.order.value : NATURAL));
  readonly loading = signal(false);
  readonly error = signal("");
  readonly selected = signal<ReadonlySet<string>>(new Set());
  /** The row that keys are for. */
  readonly active = signal(0);
  scrollTop = 0;
  private token: string | undefined;
  private loadedAt = 0;
  private controller = new AbortController();

  /** @param filter what the names in the prefix begin with. */
  constructor(
    readonly bucket: string,
    readonly prefix: string,
    readonly filter: string,
  ) {}

  async more(): Promise<void> {
    if (this.loading.value || this.complete.value) return;
    this.loading.value = true;
    this.error.value = "";
    const { signal: aborted } = this.controller;
    try {
      const page = await list(this.bucket, this.prefix + this.filter, { delimiter: "/", token: this.token, signal: aborted });
      this.entries.value = this.token === undefined ? page.entries : this.entries.value.concat(page.entries);
      this.token = page.next;
      this.loadedAt = performance.now();
      this.complete.value = page.next === undefined;
    } catch (error) {
      if (!isAbort(error)) this.error.value = told(error);
    } finally {
      if (!aborted.aborted) this.loading.value = false;
    }
  }

  /** Begins anew; what is shown stays until there is something else. */
  async reload(): Promise<void> {
    this.controller.abort();
    this.controller = new AbortController();
    this.loading.value = false;
    this.token = undefined;
    this.complete.value = false;
    this.selected.value = new Set();
    this.active.value = 0;
    await this.more();
  }

  /** Of a list of one page that is not of this moment: looks what has changed meanwhile, with the rows staying in place. */
  async refresh(): Promise<void> {
    if (this.loading.value || !this.complete.value || this.entries.value.length > 1000 || performance.now() - this.loadedAt < FRESH_MS) return;
    try {
      const page = await list(this.bucket, this.prefix + this.filter, { delimiter: "/", signal: this.controller.signal });
      if (page.next !== undefined) {
        await this.reload();
        return;
      }
      const active = this.rows.value[this.active.value]?.key;
      const there = new Set(page.entries.map((entry) => entry.key));
      batch(() => {
        this.entries.value = page.entries;
        this.selected.value = new Set([...this.selected.value].filter((key) => there.has(key)));
        this.active.value = Math.max(0, this.rows.value.findIndex((entry) => entry.key === active));
      });
      this.loadedAt = performance.now();
    } catch {
      // What is shown stays; who reloads is told.
    }
  }

  /** The name of an entry in this list, as it is shown. */
  nameOf(entry: Entry): string {
    const name = entry.key.slice(this.prefix.length);
    // Some programs store an object by the name of the folder, slash and all.
    return name === "" ? "(the folder itself)" : name === "/" ? "/ (no name)" : name;
  }

  /** An object was made: it has a row now, or its folder has. */
  insert(bucket: string, key: string, size: number): void {
    if (bucket !== this.bucket || !key.startsWith(this.prefix + this.filter)) return;
    const slash = key.indexOf("/", this.prefix.length);
    const entry: Entry =
      slash < 0
        ? { kind: "object", key, size, modified: new Date().toISOString(), etag: "" }
        : { kind: "prefix", key: key.slice(0, slash + 1) };
    const entries = this.entries.value;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareKeys(entries[middle]?.key ?? "", entry.key) < 0) low = middle + 1;
      else high = middle;
    }
    const there = entries[low]?.key === entry.key;
    if (there && entry.kind === "prefix") return;
    if (low === entries.length && !this.complete.value) return; // It comes with its page.
    this.entries.value = [...entries.slice(0, low), entry, ...entries.slice(there ? low + 1 : low)];
  }

  /** Objects are no more. */
  remove(bucket: string, gone: ReadonlySet<string>): void {
    if (bucket !== this.bucket) return;
    this.entries.value = this.entries.value.filter((entry) => !gone.has(entry.key));
    this.selected.value = new Set([...this.selected.value].filter((key) => !gone.has(key)));
    this.active.value = Math.max(0, Math.min(this.active.value, this.entries.value.length - 1));
  }

  /** By that column; once more, the other way round. */
  sortBy(by: Column): void {
    const { value: before } = this.order;
    // What is large or new is what people look for.
    this.order.value = before.by === by ? { by, down: !before.down } : { by, down: by !== "name" };
    this.active.value = 0;
  }

  toggle(key: string): void {
    const selected = new Set(this.selected.value);
    if (!selected.delete(key)) selected.add(key);
    this.selected.value = selected;
  }

  selectRange(from: number, to: number): void {
    const selected = new Set(this.selected.value);
    for (const entry of this.rows.value.slice(Math.min(from, to), Math.max(from, to) + 1)) selected.add(entry.key);
    this.selected.value = selected;
  }

  selectAll(): void {
    this.selected.value = new Set(this.entries.value.map((entry) => entry.key));
  }

  clear(): void {
    this.selected.value = new Set();
  }

  /** What is selected, in order; else the row that keys are for. */
  chosen(): Entry[] {
    const { value: selected } = this.selected;
    if (selected.size > 0) return this.entries.value.filter((entry) => selected.has(entry.key));
    const entry = this.rows.value[this.active.value];
    return entry === undefined ? [] : [entry];
  }
}

/** Those that were shown last, so that going back finds the same row; the youngest last. */
let remembered: Listing[] = [];

export function listingOf(bucket: string, prefix: string, filter: string): Listing {
  const is = (each: Listing): boolean => each.bucket === bucket && each.prefix === prefix && each.filter === filter;
  const found = remembered.find(is) ?? new Listing(bucket, prefix, filter);
  remembered = [...remembered.filter((each) => each !== found), found].slice(-REMEMBERED);
  void found.refresh();
  if (found.entries.value.length === 0 && !found.loading.value) {
    if (found.complete.value) void found.reload();
    else void found.more();
  }
  return found;
}

export function objectMade(bucket: string, key: string, size: number): void {
  for (const listing of remembered) listing.insert(bucket, key, size);
}

export function objectsGone(bucket: string, keys: ReadonlySet<string>): void {
  for (const listing of remembered) listing.remove(bucket, keys);
}

export function forgetListings(): void {
  remembered = [];
}

export type { Entry, ObjectEntry };
