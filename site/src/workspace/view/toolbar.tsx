/** The bar above the editor: run and stop, what is saved, and the choices that are made rarely, behind one button. */
import { useRef } from "preact/hooks";
import type { Depth } from "#exercises/lib/exercise.ts";
import type { CodeEditor, EditorChoice } from "../editor/editor.ts";
import { containerObstacle } from "#exercises/grader/webcontainer/obstacle.ts";
import { pane } from "../pane.ts";
import type { Session } from "../session.ts";
import { backendChoice, editorChoice, setEditorChoice, type BackendChoice } from "../settings.ts";

const depths: readonly { readonly depth: Depth; readonly text: string }[] = [
  { depth: "guided", text: "Guided: fill the blanks" },
  { depth: "skeleton", text: "Skeleton: steps given" },
  { depth: "blank", text: "Blank: signatures only" },
];

/** What the run key is called here. */
export const runKey = /Mac|iP/.test(navigator.platform) ? "⌘S" : "Ctrl+S";

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
          }}
        >
          {problems.length === 1 ? "1 type error" : `${problems.length} type errors`}
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
  if (saving === "refused") {
    return <span class="saved is-refused">Not saved: this browser refuses to store anything.</span>;
  }
  if (session.record.value.text === undefined) return null;
  return <span class="saved">{saving === "pending" ? "saving …" : "saved here"}</span>;
}

function MoreMenu({ session, editor }: Pick<ToolbarProps, "session" | "editor">) {
  const details = useRef<HTMLDetailsElement>(null);
  const shut = (): void => {
    if (details.current !== null) details.current.open = false;
  };
  const act = (action: () => void) => () => {
    shut();
    action();
  };
  const obstacle = containerObstacle();
  return (
    <details
      class="menu"
      ref={details}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        shut();
        details.current?.querySelector("summary")?.focus();
      }}
      onFocusOut={(event) => {
        if (!details.current?.contains(event.relatedTarget as Node | null) && event.relatedTarget !== null)
          shut();
      }}
    >
      <summary class="button">More</summary>
      <div class="menu-body">
        <label>
          How much is given
          <select
            value={session.record.value.depth}
            onChange={(event) => session.setDepth(event.currentTarget.value as Depth)}
          >
            {depths.map(({ depth, text }) => (
              <option key={depth} value={depth}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label>
          Editor
          <select
            value={editorChoice.value}
            onChange={(event) => setEditorChoice(event.currentTarget.value as EditorChoice)}
          >
            <option value="auto">Whichever fits this device</option>
            <option value="monaco">Full, with type checking</option>
            <option value="light">Light</option>
          </select>
        </label>
        {obstacle === undefined && (
          <label>
            Where the tests run
            <select
              value={backendChoice.value}
              onChange={(event) => (backendChoice.value = event.currentTarget.value as BackendChoice)}
            >
              <option value="embedded">In this page, also offline</option>
              <option value="webcontainer">WebContainer: a real Node, from stackblitz.com</option>
            </select>
          </label>
        )}
        {editor.value?.kind === "monaco" && (
          <button type="button" class="menu-item" onClick={act(() => void editor.value?.format())}>
            Format the code
          </button>
        )}
        <button type="button" class="menu-item" onClick={act(session.reset)}>
          Reset to the stub
        </button>
        <button type="button" class="menu-item" onClick={act(() => (session.panel.value = "history"))}>
          Earlier versions
        </button>
        <button type="button" class="menu-item is-quiet" onClick={act(session.openSolution)}>
          Compare with the solution
        </button>
        <p class="menu-note">
          Keys: {runKey} or {runKey.replace("S", "Enter")} runs the tests. Escape, then Tab, leaves the
          editor. F1 lists the editor’s commands.
        </p>
        {obstacle !== undefined && (
          <p class="menu-note">Tests run in this page, offline. A WebContainer is not offered: {obstacle}.</p>
        )}
      </div>
    </details>
  );
}
