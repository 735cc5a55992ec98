/** The workspace as a whole: bar, files, editor, and the panel below it. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { editorKindFor, type CodeEditor } from "../editor/editor.ts";
import { pane, showPane, type Pane } from "../pane.ts";
import type { Session } from "../session.ts";
import { editorChoice } from "../settings.ts";
import { PanelView } from "./panel.tsx";
import { Splitter } from "./splitter.tsx";
import { Tabs } from "./tabs.tsx";
import { Toolbar } from "./toolbar.tsx";

export interface WorkspaceProps {
  readonly session: Session;
  readonly onClose: () => void;
}

export function Workspace({ session, onClose }: WorkspaceProps) {
  const root = useRef<HTMLElement>(null);
  const editor = useSignal<CodeEditor | undefined>(undefined);
  useEffect(() => wireShortcuts(session), [session]);
  useEffect(() => root.current?.focus(), []);
  const reveal = (path: string, line: number): void => {
    showPane("code");
    session.file.value = path;
    editor.value?.reveal(path, line);
  };
  const { exercise } = session.bundle;
  return (
    <section
      class="workspace"
      ref={root}
      tabIndex={-1}
      aria-label={`Exercise ${exercise.number}: ${exercise.title}`}
    >
      <Splitter
        name="lesson"
        label="Width of the text beside the workspace"
        direction="row"
        usual={44}
        container={() => document.querySelector(".lesson")}
      />
      <Toolbar session={session} editor={editor} onClose={onClose} />
      <div class="work-area">
        <div class="code-area" data-pane="code">
          <FileTabs session={session} />
          <EditorView session={session} editor={editor} />
          {session.isComparing.value && <Comparison session={session} editor={editor} />}
        </div>
        <Splitter
          name="panel"
          label="Height of the editor"
          direction="column"
          usual={58}
          container={() => root.current?.querySelector<HTMLElement>(".work-area") ?? null}
        />
        <PanelView session={session} onReveal={reveal} />
      </div>
      <PhoneTabs session={session} />
      <ToastView session={session} />
    </section>
  );
}

/** Ctrl+S and Ctrl+Enter run the tests wherever the focus is; the browser's own dialogue stays shut. */
function wireShortcuts(session: Session): () => void {
  const onKeyDown = (event: KeyboardEvent): void => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    if (event.key !== "s" && event.key !== "Enter") return;
    event.preventDefault();
    // The editors have the same keys; one press is one run.
    event.stopPropagation();
    if (!event.repeat) void session.run();
  };
  addEventListener("keydown", onKeyDown, { capture: true });
  return () => removeEventListener("keydown", onKeyDown, { capture: true });
}

function FileTabs({ session }: { readonly session: Session }) {
  const { bundle, file } = session;
  const tabs = shownFiles(session).map((path) => ({
    name: path,
    text: path.split("/").at(-1)!,
    ...(path === bundle.editable && { note: "yours" }),
    ...(path === bundle.suite && { note: "tests" }),
  }));
  return (
    <Tabs
      className="file-tabs"
      label="Files"
      tabs={tabs}
      active={file.value}
      onSelect={(path) => (file.value = path)}
      controls="oz-editor"
    />
  );
}

/** The learner's file, the suite, then what either imports, nearest first. */
function shownFiles({ bundle }: Session): string[] {
  const others = Object.keys(bundle.files).filter(
    (path) => path !== bundle.editable && path !== bundle.suite,
  );
  const rank = (path: string): number => (path.startsWith("reference/") ? 0 : 1);
  return [bundle.editable, bundle.suite, ...others.toSorted((a, b) => rank(a) - rank(b))];
}

interface EditorProps {
  readonly session: Session;
  readonly editor: { value: CodeEditor | undefined };
}

function EditorView({ session, editor }: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const problem = useSignal<string | undefined>(undefined);
  const kind = editorKindFor(editorChoice.value);
  useEffect(() => {
    let isGone = false;
    problem.value = undefined;
    void makeEditor(kind, session, host.current!)
      .then((made) => {
        if (isGone) return made.dispose();
        editor.value = made;
        made.show(session.file.value);
        if (document.activeElement?.classList.contains("workspace") === true) made.focus();
      })
      .catch((error: unknown) => {
        problem.value = `The editor could not be loaded: ${String(error)}`;
      });
    return () => {
      isGone = true;
      editor.value?.dispose();
      editor.value = undefined;
      host.current?.replaceChildren();
    };
  }, [session, kind]);
  useSignalEffect(() => editor.value?.show(session.file.value));
  useSignalEffect(() => editor.value?.setText(session.text.value));
  useSignalEffect(() => {
    const grade = session.grade.value;
    const own = session.bundle.editable;
    const marks = (grade?.tests ?? []).flatMap(({ name, failure }) => {
      const frame = failure?.stack.find(({ file }) => file === own);
      return frame === undefined ? [] : [{ line: frame.line, message: `${name}: ${failure?.message ?? ""}` }];
    });
    const errors = (grade?.diagnostics ?? []).map(({ line, message }) => ({ line, message }));
    editor.value?.mark([...errors, ...marks]);
  });
  return (
    <div class="editor-frame" id="oz-editor" role="tabpanel" aria-label="Code">
      {problem.value !== undefined && (
        <p class="editor-problem" role="alert">
          {problem.value}{" "}
          <button type="button" class="link-button" onClick={() => (editorChoice.value = "light")}>
            Use the light editor
          </button>
        </p>
      )}
      {editor.value === undefined && problem.value === undefined && (
        <pre class="editor-waiting" tabIndex={0} aria-label="Your code, while the editor loads">
          {session.text.value}
        </pre>
      )}
      <div class="editor-host" ref={host} />
    </div>
  );
}

async function makeEditor(
  kind: CodeEditor["kind"],
  session: Session,
  parent: HTMLElement,
): Promise<CodeEditor> {
  const { bundle } = session;
  const options = {
    parent,
    editable: bundle.editable,
    files: Object.entries({ ...bundle.files, [bundle.editable]: session.text.peek() }).map(
      ([path, text]) => ({
        path,
        text,
      }),
    ),
    hooks: {
      onEdit: session.edit,
      onRun: () => void session.run(),
      onProblems: (problems: Session["problems"]["value"]) => {
        session.problems.value = problems;
      },
    },
  };
  if (kind === "light") {
    const { createLightEditor } = await import("../editor/light.ts");
    return createLightEditor(options);
  }
  const { createMonacoEditor } = await import("../editor/monaco.ts");
  return createMonacoEditor(options);
}

function Comparison({ session, editor }: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const current = editor.value;
  useEffect(() => current?.compare(host.current!, session.bundle.solution), [current]);
  const isLight = current?.kind === "light";
  return (
    <div class="comparison" role="region" aria-label="Solution beside your code">
      <p class="comparison-bar">
        <span>
          {isLight
            ? "Minus is yours, plus is the solution’s. Nothing is taken over."
            : "Left: the solution. Right: yours, still editable; an arrow takes one difference over."}
        </span>
        <button type="button" class="button" onClick={session.closeSolution}>
          Back to your code
        </button>
      </p>
      <div class="comparison-host" ref={host} />
    </div>
  );
}

const panes: readonly { readonly name: Pane; readonly text: string }[] = [
  { name: "prose", text: "Text" },
  { name: "code", text: "Code" },
  { name: "results", text: "Results" },
];

function PhoneTabs({ session }: { readonly session: Session }) {
  useSignalEffect(() => {
    if (session.running.value !== undefined && pane.peek() !== "results") showPane("results");
  });
  const grade = session.grade.value;
  const note = grade === undefined ? undefined : `${grade.points.earned}/${grade.points.possible}`;
  return (
    <nav class="phone-tabs" aria-label="Panes">
      {panes.map(({ name, text }) => (
        <button
          key={name}
          type="button"
          aria-current={pane.value === name ? "true" : undefined}
          onClick={() => showPane(name)}
        >
          {text}
          {name === "results" && note !== undefined && <span class="tab-note">{note}</span>}
        </button>
      ))}
    </nav>
  );
}

function ToastView({ session }: { readonly session: Session }) {
  const toast = session.toast.value;
  if (toast === undefined) return null;
  return (
    <p class="toast">
      <span>{toast.text}</span>
      {toast.undo !== undefined && (
        <button type="button" class="link-button" onClick={toast.undo}>
          Undo
        </button>
      )}
      <button
        type="button"
        class="toast-close"
        aria-label="Dismiss"
        onClick={() => (session.toast.value = undefined)}
      >
        ×
      </button>
    </p>
  );
}
