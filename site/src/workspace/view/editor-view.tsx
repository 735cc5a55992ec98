/** The editor, whichever fits the device, bound to the session: text, file, marks, Vim keys. */
import { useSignal, useSignalEffect, type Signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import {
  editorKindFor,
  editorLinePx,
  editorPaddingPx,
  isTodo,
  type CodeEditor,
  type EditorHooks,
} from "../editor/editor.ts";
import type { Session } from "../session.ts";
import { findSourceErrors } from "../run.ts";
import { editorChoice, hasVimKeys, setEditorChoice } from "../settings.ts";

/** How long a learner pauses before the light editor's text is looked at: nobody wants to be told in mid-word. */
const checkAfterMs = 700;

export interface EditorProps {
  readonly session: Session;
  readonly editor: Signal<CodeEditor | undefined>;
  readonly onReveal: (path: string, line: number) => void;
}

export function EditorView({ session, editor, onReveal }: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const status = useRef<HTMLDivElement>(null);
  const problem = useSignal<string | undefined>(undefined);
  const kind = editorKindFor(editorChoice.value);
  useEffect(() => {
    let isGone = false;
    problem.value = undefined;
    void makeEditor(kind, session, host.current!, onReveal)
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
      session.problems.value = [];
      editor.value?.dispose();
      editor.value = undefined;
      host.current?.replaceChildren();
    };
  }, [session, kind]);
  useSignalEffect(() => editor.value?.show(session.file.value));
  useSignalEffect(() => editor.value?.setText(session.text.value));
  useSignalEffect(() => {
    // Monaco shows what its checker finds by itself.
    const problems = editor.value?.kind === "light" ? session.problems.value : [];
    editor.value?.mark([...problems, ...marksOf(session)]);
  });
  useSignalEffect(() => (editor.value?.kind === "light" ? checkLater(session) : undefined));
  useSignalEffect(() => {
    const isOn = hasVimKeys.value;
    void editor.value?.setVim?.(isOn, status.current!).catch((error: unknown) => {
      session.toast.value = { text: `The Vim keys could not be loaded: ${String(error)}` };
    });
  });
  return (
    <div class="editor-frame" id="oz-editor" role="tabpanel" aria-label={`Code: ${session.file.value}`}>
      {problem.value !== undefined && (
        <p class="editor-problem" role="alert">
          {problem.value}{" "}
          <button type="button" class="link-button" onClick={() => setEditorChoice("light")}>
            Use the light editor
          </button>
        </p>
      )}
      {editor.value === undefined && problem.value === undefined && <Waiting text={session.text.value} />}
      <div class="editor-host" ref={host} />
      <div class="vim-status" ref={status} hidden={!hasVimKeys.value || editor.value?.setVim === undefined} />
    </div>
  );
}

/** Looks for errors in the text when the learner has paused; a change before then puts it off. */
function checkLater(session: Session): () => void {
  const text = session.text.value;
  const timer = setTimeout(() => {
    void findSourceErrors(session.bundle, text).then((problems) => {
      if (session.text.peek() === text) session.problems.value = problems;
    });
  }, checkAfterMs);
  return () => clearTimeout(timer);
}

/** The text to read while the editor loads, at the lines where the editor will stand. */
function Waiting({ text }: { readonly text: string }) {
  const frame = useRef<HTMLPreElement>(null);
  const lines = text.split("\n");
  useLayoutEffect(() => {
    const first = lines.findIndex(isTodo);
    const { current } = frame;
    if (first === -1 || current === null) return;
    current.scrollTop = editorPaddingPx + (first + 0.5) * editorLinePx - current.clientHeight / 2;
  }, []);
  return (
    <pre ref={frame} class="editor-waiting" tabIndex={0} aria-label="Your code, while the editor loads">
      <span class="line-numbers" aria-hidden="true">
        {lines.map((_line, index) => `${index + 1}\n`).join("")}
      </span>
      {text}
    </pre>
  );
}

/** Lines of the learner's file that failures and refusals point at. */
function marksOf(session: Session) {
  const grade = session.grade.value;
  const own = session.bundle.editable;
  const marks = (grade?.tests ?? []).flatMap(({ name, failure }) => {
    const frame = failure?.stack.find(({ file }) => file === own);
    return frame === undefined ? [] : [{ line: frame.line, message: `${name}: ${failure?.message ?? ""}` }];
  });
  const errors = (grade?.diagnostics ?? [])
    .filter(({ file }) => file === own)
    .map(({ line, message }) => ({ line, message }));
  return [...errors, ...marks];
}

async function makeEditor(
  kind: CodeEditor["kind"],
  session: Session,
  parent: HTMLElement,
  onReveal: EditorProps["onReveal"],
): Promise<CodeEditor> {
  const { bundle } = session;
  const hooks: EditorHooks = {
    onEdit: session.edit,
    onRun: () => void session.run(),
    onProblems: (problems) => (session.problems.value = problems),
    onOpen: onReveal,
  };
  const files = { ...bundle.files, [bundle.editable]: session.text.peek() };
  const options = {
    parent,
    editable: bundle.editable,
    files: Object.entries(files).map(([path, text]) => ({ path, text })),
    hooks,
  };
  if (kind === "light") {
    const { createLightEditor } = await import("../editor/light.ts");
    return createLightEditor(options);
  }
  const { createMonacoEditor } = await import("../editor/monaco.ts");
  return createMonacoEditor(options);
}
