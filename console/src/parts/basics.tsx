/** Buttons, fields, dialogs and menus. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icons";

interface ButtonProps {
  readonly icon?: IconName;
  readonly kind?: "primary" | "danger" | "quiet";
  readonly label?: string;
  readonly disabled?: boolean;
  readonly busy?: boolean;
  readonly type?: "button" | "submit";
  readonly onClick?: (event: MouseEvent) => void;
  readonly children?: ComponentChildren;
  readonly class?: string;
  readonly hasPopup?: boolean;
}

/** With children a button with text; without, an icon that has its `label` as a name and a tip. */
export function Button({ icon, kind, label, disabled, busy, type = "button", onClick, children, hasPopup, ...rest }: ButtonProps) {
  const classes = ["button", kind, children === undefined ? "icon-only" : "", rest.class].filter(Boolean).join(" ");
  return (
    <button
      type={type}
      class={classes}
      aria-label={label}
      title={children === undefined ? label : undefined}
      disabled={disabled === true || busy === true}
      aria-busy={busy === true ? "true" : undefined}
      aria-haspopup={hasPopup === true ? "menu" : undefined}
      onClick={onClick}
    >
      {icon !== undefined && <Icon name={icon} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

interface FieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly error?: string;
  readonly children: (attributes: { id: string; "aria-describedby"?: string; "aria-invalid"?: "true" }) => ComponentChildren;
}

/** A label above a control, and what there is to say of it below. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const attributes: { id: string; "aria-describedby"?: string; "aria-invalid"?: "true" } = { id };
  const described = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  if (described) attributes["aria-describedby"] = described;
  if (error) attributes["aria-invalid"] = "true";
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(attributes)}
      {hint && <p class="hint" id={`${id}-hint`}>{hint}</p>}
      {error && <p class="error" id={`${id}-error`} role="alert">{error}</p>}
    </div>
  );
}

interface TextProps extends Omit<FieldProps, "children"> {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly type?: "text" | "password" | "number" | "date" | "search";
  readonly placeholder?: string;
  readonly required?: boolean;
  readonly autocomplete?: string;
  readonly name?: string;
  readonly inputMode?: "numeric" | "text";
  readonly list?: string;
}

export function TextField({ label, hint, error, value, onInput, type = "text", autocomplete = "off", ...rest }: TextProps) {
  return (
    <Field label={label} hint={hint} {...(error === undefined ? {} : { error })}>
      {(attributes) => (
        <input
          type={type as "text"}
          autocomplete={autocomplete}
          autocapitalize="none"
          spellcheck={false}
          {...rest}
          {...attributes}
          value={value}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

interface CheckProps {
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly children: ComponentChildren;
  readonly hint?: ComponentChildren;
  readonly disabled?: boolean;
  readonly toggle?: boolean;
}

export function Check({ checked, onChange, children, hint, disabled, toggle }: CheckProps) {
  const id = useId();
  return (
    <div class="check">
      <label>
        <input
          type="checkbox"
          class={toggle === true ? "toggle" : undefined}
          role={toggle === true ? "switch" : undefined}
          checked={checked}
          disabled={disabled}
          aria-describedby={hint ? id : undefined}
          onChange={(event) => {
            const wanted = event.currentTarget.checked;
            // It shows what is, and that changes when it is done.
            event.currentTarget.checked = checked;
            onChange(wanted);
          }}
        />
        <span>{children}</span>
      </label>
      {hint && <p class="hint" id={id}>{hint}</p>}
    </div>
  );
}

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  /** The buttons; the one that goes on comes last. */
  readonly actions?: ComponentChildren;
  readonly onSubmit?: () => void;
  /** It cannot be closed while something is being done. */
  readonly fixed?: boolean;
}

/** The browser's own modal dialog: it keeps the focus, and gives it back. */
export function Dialog({ title, onClose, children, actions, onSubmit, fixed }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    const fields = "input:not([type=checkbox]), select, textarea:not([readonly])";
    const first =
      element.current?.querySelector<HTMLElement>(`.dialog-body :is(${fields})`) ??
      element.current?.querySelector<HTMLElement>("footer button");
    first?.focus();
    if (first instanceof HTMLInputElement) first.select();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (fixed !== true) onClose();
      }}
      onClose={onClose}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit?.();
        }}
      >
        <header>
          <h2 id={id}>{title}</h2>
          {fixed !== true && <Button kind="quiet" icon="close" label="Close" onClick={onClose} />}
        </header>
        <div class="dialog-body">{children}</div>
        {actions !== undefined && <footer>{actions}</footer>}
      </form>
    </dialog>
  );
}

export interface MenuItem {
  readonly label: string;
  readonly icon: IconName;
  readonly action: () => void;
  readonly danger?: boolean;
}

interface MenuProps {
  readonly label: string;
  readonly items: readonly MenuItem[];
  /** Where it opens. */
  readonly anchor: Element;
  readonly onClose: () => void;
}

/** Over everything, beside its anchor; arrows, letters and Escape work in it. */
export function Menu({ label, items, anchor, onClose }: MenuProps) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const menu = element.current;
    if (menu === null) return undefined;
    menu.showPopover();
    const at = anchor.getBoundingClientRect();
    const { width, height } = menu.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.right - width, innerWidth - width - 8));
    const below = at.bottom + 4;
    menu.style.left = `${left}px`;
    menu.style.top = `${below + height > innerHeight - 8 ? Math.max(8, at.top - height - 4) : below}px`;
    menu.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    return () => {
      if (anchor instanceof HTMLElement && (document.activeElement === document.body || menu.contains(document.activeElement))) anchor.focus();
    };
  }, [anchor]);
  const onKeyDown = (event: KeyboardEvent): void => {
    const all = [...(element.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to =
      event.key === "ArrowDown" ? at + 1
      : event.key === "ArrowUp" ? at - 1
      : event.key === "Home" ? 0
      : event.key === "End" ? all.length - 1
      : event.key.length === 1 ? all.findIndex((each) => each.textContent?.toLowerCase().startsWith(event.key.toLowerCase()))
      : -2;
    if (event.key === "Tab") {
      event.preventDefault();
      onClose();
    } else if (to !== -2 && event.key !== " ") {
      event.preventDefault();
      all[(to + all.length) % all.length]?.focus();
    }
    event.stopPropagation();
  };
  return (
    <div
      ref={element}
      popover="auto"
      class="menu"
      role="menu"
      aria-label={label}
      onKeyDown={onKeyDown}
      onToggle={(event) => {
        if ((event as unknown as ToggleEvent).newState === "closed") onClose();
      }}
    >
      {items.map((item) => (
        <button
          key={item.label}
          type="button"
          role="menuitem"
          tabIndex={-1}
          class={item.danger === true ? "danger" : undefined}
          onClick={() => {
            onClose();
            item.action();
          }}
        >
          <Icon name={item.icon} />
          <span>{item.label}</span>
        </button>
      ))}
    </div>
  );
}

/** A button that opens a menu. */
export function MenuButton({ label, items, icon = "more", children }: { label: string; items: readonly MenuItem[]; icon?: IconName; children?: ComponentChildren }) {
  const [anchor, setAnchor] = useState<Element | null>(null);
  return (
    <>
      <Button icon={icon} kind="quiet" label={label} hasPopup onClick={(event) => setAnchor(event.currentTarget as Element)}>
        {children}
      </Button>
      {anchor !== null && <Menu label={label} items={items} anchor={anchor} onClose={() => setAnchor(null)} />}
    </>
  );
}

export function Spinner({ label }: { label: string }) {
  return (
    <p class="spinner" role="status">
      <span class="spin" aria-hidden="true" />
      {label}
    </p>
  );
}

export function Progress({ value, max, label }: { value: number; max: number; label: string }) {
  return <progress value={max > 0 ? value : 0} max={max > 0 ? max : 1} aria-label={label} />;
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Failure({ text, again }: { text: string; again?: () => void }) {
  return (
    <div class="failure" role="alert">
      <Icon name="warning" />
      <p>{text}</p>
      {again !== undefined && <Button icon="refresh" onClick={again}>Try again</Button>}
    </div>
  );
}
