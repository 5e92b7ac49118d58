/** What is loaded when a page is shown, and whether a condition of the screen holds. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { isAbort, told } from "../s3/client";
import { SessionExpired } from "../s3/session";
import { session } from "../state";

export interface Loaded<Value> {
  readonly value: Value | undefined;
  readonly error: string;
  readonly reload: () => void;
  /** Puts what is known to be so now, without asking. */
  readonly set: (value: Value) => void;
}

/** Loads anew when `keys` change, on demand, and after signing in again. */
export function useLoaded<Value>(load: (signal: AbortSignal) => Promise<Value>, keys: readonly unknown[]): Loaded<Value> {
  const [state, setState] = useState<{ value: Value | undefined; error: string }>({ value: undefined, error: "" });
  const [turn, setTurn] = useState(0);
  const first = useRef("");
  const all = [...keys, turn, session.value];
  useEffect(() => {
    const controller = new AbortController();
    const same = JSON.stringify(keys);
    if (first.current !== same) setState({ value: undefined, error: "" });
    first.current = same;
    load(controller.signal).then(
      (value) => {
        if (!controller.signal.aborted) setState({ value, error: "" });
      },
      (error: unknown) => {
        if (controller.signal.aborted || isAbort(error) || error instanceof SessionExpired) return;
        setState((before) => ({ ...before, error: told(error) }));
      },
    );
    return () => controller.abort();
  }, all);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const set = useCallback((value: Value) => setState({ value, error: "" }), []);
  return { ...state, reload, set };
}

export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const changed = (): void => setMatches(list.matches);
    list.addEventListener("change", changed);
    return () => list.removeEventListener("change", changed);
  }, [query]);
  return matches;
}

/** The title of the tab, which a screen reader tells first. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} – zs3` : "zs3";
  }, [title]);
}
