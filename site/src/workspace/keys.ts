/** The keys that work wherever the focus is while an exercise is open, and what they are called here. */
import { showPane, type Pane } from "./pane.ts";
import type { Session } from "./session.ts";

const isMac = /Mac|iP/.test(navigator.platform);

/** Runs the tests. */
export const runKey = isMac ? "⌘S" : "Ctrl+S";

/**
 * Ctrl+S and Ctrl+Enter run the tests, and the browser's own dialogue stays shut; F6 goes from pane to pane. Caught
 * before the editors see them: they have keys of the same names, and one press is one run.
 */
export function wireKeys(session: Session, focusEditor: () => void): () => void {
  const onKeyDown = (event: KeyboardEvent): void => {
    const isRun = (event.ctrlKey || event.metaKey) && (event.key === "s" || event.key === "Enter");
    const isTurn = event.key === "F6" && !event.ctrlKey && !event.metaKey;
    if ((!isRun && !isTurn) || event.altKey || (isRun && event.shiftKey)) return;
    event.preventDefault();
    event.stopPropagation();
    if (isTurn) turn(event.shiftKey ? -1 : 1, focusEditor);
    else if (!event.repeat) void session.run();
  };
  addEventListener("keydown", onKeyDown, { capture: true });
  return () => removeEventListener("keydown", onKeyDown, { capture: true });
}

const panes: readonly Pane[] = ["prose", "code", "results"];

/** Moves the focus to the next pane, or to the one before. */
function turn(by: 1 | -1, focusEditor: () => void): void {
  const within = document.activeElement?.closest<HTMLElement>("[data-pane]")?.dataset["pane"];
  const at = panes.findIndex((name) => name === within);
  const next = panes[(Math.max(at, 0) + by + panes.length) % panes.length]!;
  showPane(next);
  if (next === "code") return focusEditor();
  const selector = next === "prose" ? "#main" : "#oz-panel";
  document.querySelector<HTMLElement>(selector)?.focus();
}
