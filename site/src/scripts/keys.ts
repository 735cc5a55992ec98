/**
 * Keys that work without Ctrl or Alt, everywhere on the site: `?` and `/`. They never fire where text is typed, and
 * whoever dictates to their computer, or has a cat, can switch them off (WCAG 2.1.4).
 */
import { readStored, writeStored } from "./storage.ts";

const settingKey = "oz:single-keys";

/** Whether keys without Ctrl or Alt do anything. */
export function hasSingleKeys(): boolean {
  return readStored(settingKey) !== false;
}

/** Whether the event is this key, pressed alone and not while typing. */
export function isSingleKey(event: KeyboardEvent, key: string): boolean {
  if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented)
    return false;
  const where = event.target instanceof Element ? event.target : document.body;
  const isTyping =
    where.closest("input, textarea, select, [contenteditable], .monaco-editor, .cm-editor") !== null;
  return !isTyping && hasSingleKeys();
}

/** The list of all keys: a dialogue that every page carries, opened by `?` and by whatever has `data-shortcuts`. */
export function wireShortcuts(): void {
  const sheet = document.querySelector<HTMLDialogElement>("dialog.shortcuts");
  const setting = sheet?.querySelector<HTMLInputElement>("[data-single-keys]");
  if (sheet === null || setting === null || setting === undefined) return;
  if (/Mac|iP/.test(navigator.platform)) {
    for (const key of sheet.querySelectorAll("[data-ctrl]")) key.textContent = "⌘";
  }
  const open = (): void => {
    setting.checked = hasSingleKeys();
    if (!sheet.open) sheet.showModal();
  };
  setting.addEventListener("change", () => writeStored(settingKey, setting.checked));
  sheet.addEventListener("click", (event) => {
    // The backdrop is part of the dialogue, what is shown is inside its form.
    if (event.target === sheet) sheet.close();
  });
  addEventListener("keydown", (event) => {
    if (!isSingleKey(event, "?")) return;
    event.preventDefault();
    open();
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-shortcuts]") !== null) open();
  });
}
