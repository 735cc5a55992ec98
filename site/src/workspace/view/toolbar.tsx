/** The bar above the editor: run and stop, what is saved, and the choices that are made rarely, behind one button. */
import type { CodeEditor } from "../editor/editor.ts";
import { runKey } from "../keys.ts";
import { pane } from "../pane.ts";
import type { Session } from "../session.ts";
import { exportAll, MoreMenu } from "./more-menu.tsx";

export interface ToolbarProps {
  readonly session: Session;
  readonly editor: { readonly value: CodeEditor | undefined };
  readonly onClose: () => void;
}

export function Toolbar({ session, editor, onClose }: ToolbarProps) {
  const { exercise } = session.bundle;
  const isRunning = session.running.value !== undefined;
  const problems = session.problems.value;
  const first = problems[0];
  const isLight = editor.value?.kind === "light";
  // On a phone the text, and its heading with it, is not on screen.
  const isAlone = pane.value !== "prose" && matchMedia("(width < 62rem)").matches;
  return (
    <div class="toolbar">
      <div class="toolbar-title" role="heading" aria-level={isAlone ? 1 : 2}>
        <span class="eyebrow">{exercise.number}</span> {exercise.title}
      </div>
      <SavedNote session={session} />
      {first !== undefined && (
        <button
          type="button"
          class="link-button problems"
          title={first.message}
          onClick={() => {
            session.file.value = session.bundle.editable;
            editor.value?.reveal(session.bundle.editable, first.line);
            // Monaco shows the message at the place; a finger finds no tooltip.
            if (isLight) session.toast.value = { text: `Line ${first.line}: ${first.message}` };
          }}
        >
          {problems.length} {isLight ? "" : "type "}
          {problems.length === 1 ? "error" : "errors"}
        </button>
      )}
      <span class="toolbar-space" />
      <MoreMenu session={session} editor={editor} />
      {isRunning ? (
        <button type="button" class="button is-stop" onClick={session.stop}>
          Stop
        </button>
      ) : (
        <button
          type="button"
          class="button is-primary"
          onClick={() => void session.run()}
          aria-keyshortcuts="Control+S"
        >
          Run <kbd>{runKey}</kbd>
        </button>
      )}
      <button type="button" class="button is-quiet" aria-label="Close the workspace" onClick={onClose}>
        ×
      </button>
    </div>
  );
}

function SavedNote({ session }: { readonly session: Session }) {
  const saving = session.saving.value;
  if (saving === "off" || saving === "full") {
    const why =
      saving === "full" ? "this browser’s storage is full" : "this browser stores nothing for this page";
    return (
      <span class="saved is-refused" role="status">
        Not saved: {why}.{" "}
        <button type="button" class="link-button" onClick={() => exportAll(session)}>
          Export your code
        </button>
      </span>
    );
  }
  if (session.record.value.text === undefined) return null;
  return <span class="saved">{saving === "pending" ? "saving …" : "saved here"}</span>;
}
