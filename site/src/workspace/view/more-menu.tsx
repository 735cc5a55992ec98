/** The choices that are made rarely: how much is given, which editor, where the tests run, what to keep. */
import { useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import type { Depth } from "#exercises/lib/exercise.ts";
import { containerObstacle } from "#exercises/grader/webcontainer/obstacle.ts";
import { chooseProgress, downloadProgress } from "../../scripts/progress-file.ts";
import type { CodeEditor, EditorChoice } from "../editor/editor.ts";
import { runKey } from "../keys.ts";
import { showPane } from "../pane.ts";
import type { Session } from "../session.ts";
import {
  backendChoice,
  editorChoice,
  hasVimKeys,
  setEditorChoice,
  setVimKeys,
  type BackendChoice,
} from "../settings.ts";

const depths: readonly (readonly [Depth, string])[] = [
  ["guided", "Guided: fill the blanks"],
  ["skeleton", "Skeleton: steps given"],
  ["blank", "Blank: signatures only"],
];

const editors: readonly (readonly [EditorChoice, string])[] = [
  ["auto", "Whichever fits this device"],
  ["monaco", "Full, with type checking"],
  ["light", "Light"],
];

const backends: readonly (readonly [BackendChoice, string])[] = [
  ["embedded", "In this page, also offline"],
  ["webcontainer", "WebContainer: a real Node, from stackblitz.com"],
];

interface MenuProps {
  readonly session: Session;
  readonly editor: { readonly value: CodeEditor | undefined };
}

export function MoreMenu({ session, editor }: MenuProps) {
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
        <Item onClick={act(() => void formatText(session))}>Format the code</Item>
        <Item onClick={act(session.reset)}>Reset to the stub</Item>
        <Item onClick={act(() => showHistory(session))}>Earlier versions</Item>
        <Item onClick={act(session.openSolution)}>Compare with the solution</Item>
        <Item onClick={act(() => exportAll(session))}>Export all exercises to a file</Item>
        <Item onClick={act(() => void importAll(session))}>Bring back an exported file</Item>
        <hr />
        <Choice
          label="How much is given"
          value={session.record.value.depth}
          choices={depths}
          onChoose={session.setDepth}
        />
        <Choice label="Editor" value={editorChoice.value} choices={editors} onChoose={setEditorChoice} />
        {editor.value?.kind === "light" && (
          <p class="menu-note">
            The light editor finds code that cannot be run, such as syntax errors. It does not check types;
            the full editor does.
          </p>
        )}
        {obstacle === undefined && (
          <Choice
            label="Where the tests run"
            value={backendChoice.value}
            choices={backends}
            onChoose={(choice) => (backendChoice.value = choice)}
          />
        )}
        {editor.value?.setVim !== undefined && (
          <label class="menu-check">
            <input
              type="checkbox"
              checked={hasVimKeys.value}
              onChange={(event) => setVimKeys(event.currentTarget.checked)}
            />{" "}
            Vim keys
          </label>
        )}
        <p class="menu-note">
          {runKey} runs the tests. Escape, then Tab, leaves the editor.{" "}
          <button type="button" class="link-button" data-shortcuts>
            All keys
          </button>
        </p>
        {obstacle !== undefined && (
          <p class="menu-note">Tests run in this page, offline. A WebContainer is not offered: {obstacle}.</p>
        )}
      </div>
    </details>
  );
}

function Item(props: { readonly onClick: () => void; readonly children: ComponentChildren }) {
  return (
    <button type="button" class="menu-item" onClick={props.onClick}>
      {props.children}
    </button>
  );
}

interface ChoiceProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly choices: readonly (readonly [Value, string])[];
  readonly onChoose: (value: Value) => void;
}

function Choice<Value extends string>({ label, value, choices, onChoose }: ChoiceProps<Value>) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChoose(event.currentTarget.value as Value)}>
        {choices.map(([choice, text]) => (
          <option key={choice} value={choice}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function showHistory(session: Session): void {
  session.panel.value = "history";
  showPane("results");
}

/** Formats the learner's text; what cannot be read stays as it is. */
async function formatText(session: Session): Promise<void> {
  const before = session.text.value;
  const say = (text: string): void => {
    session.toast.value = { text };
    session.announce(text);
  };
  try {
    const { formatCode } = await import("../format.ts");
    const result = await formatCode(before);
    // Whoever goes on typing while Prettier loads keeps what they typed.
    if (session.text.value !== before) return say("The code changed meanwhile, so it was not formatted.");
    if (result.kind === "unreadable") return say(`Not formatted: line ${result.line}: ${result.reason}.`);
    if (result.text === before) return say("The code is formatted already.");
    session.replace(result.text, "format", "Formatted.");
  } catch (error) {
    say(`The formatter could not be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Hands over everything that is kept, this exercise's last words included. */
export function exportAll(session: Session): void {
  downloadProgress();
  const text = "Everything is exported to one file.";
  session.toast.value = { text };
  session.announce(text);
}

async function importAll(session: Session): Promise<void> {
  const result = await chooseProgress();
  if (result === undefined) return;
  const text = result.kind === "refused" ? result.problem : result.note;
  session.announce(text);
  if (result.kind === "refused") {
    session.toast.value = { text };
    return;
  }
  session.toast.value = {
    text,
    undo() {
      result.undo();
      session.toast.value = { text: "The import is undone: everything is as it was." };
    },
  };
}
