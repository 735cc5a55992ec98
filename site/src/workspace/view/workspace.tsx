/** The workspace as a whole: bar, files, editor, and the panel below it. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { CodeEditor } from "../editor/editor.ts";
import { wireKeys } from "../keys.ts";
import { showPane } from "../pane.ts";
import type { Session } from "../session.ts";
import { ComparisonView } from "./comparison.tsx";
import { EditorView } from "./editor-view.tsx";
import { PanelView } from "./panel.tsx";
import { PhoneTabs } from "./phone-tabs.tsx";
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
  useEffect(() => wireKeys(session, () => editor.value?.focus()), [session]);
  useEffect(() => root.current?.focus(), []);
  // Wherever it was asked for: on a phone it would open out of sight.
  useSignalEffect(() => {
    if (session.comparison.value !== undefined) showPane("code");
  });
  const reveal = (path: string, line: number): void => {
    showPane("code");
    session.file.value = path;
    editor.value?.reveal(path, line);
  };
  const { exercise } = session.bundle;
  const comparison = session.comparison.value;
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
          <div class="code-beneath" inert={comparison !== undefined}>
            <FileTabs session={session} />
            <EditorView session={session} editor={editor} onReveal={reveal} />
          </div>
          {comparison !== undefined && (
            <ComparisonView session={session} comparison={comparison} editor={editor} />
          )}
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
