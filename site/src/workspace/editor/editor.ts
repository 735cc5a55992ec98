/**
 * What the workspace asks of an editor. Two fill it in: Monaco where there is a keyboard and room, CodeMirror
 * on phones, where Monaco is not supported and would cost two megabytes for nothing.
 */
export interface EditorFile {
  /** Path from the project's root. */
  readonly path: string;
  readonly text: string;
}

/** A place to point at in the learner's file, with what went wrong there. */
export interface Mark {
  readonly line: number;
  readonly message: string;
}

/** A problem that the editor's own type checker sees in the learner's file. */
export interface Problem {
  readonly line: number;
  readonly message: string;
}

export interface EditorHooks {
  readonly onEdit: (text: string) => void;
  readonly onRun: () => void;
  /** The type checker's errors in the learner's file; the light editor has no type checker and never calls it. */
  readonly onProblems: (problems: readonly Problem[]) => void;
  /** Asks for another file of the exercise, as "go to definition" does. */
  readonly onOpen: (path: string, line: number) => void;
}

/** Another text beside the learner's own, which stays theirs to edit. */
export interface CompareOptions {
  readonly parent: HTMLElement;
  /** What to call the other text, for screen readers: "the solution". */
  readonly name: string;
  readonly text: string;
  /** Told how many differences there are and which one the cursor is at, counted from one; 0 when at none. */
  readonly onCount: (count: number, current: number) => void;
}

/** A comparison that is open. */
export interface Comparing {
  go(to: "next" | "previous"): void;
  /** Puts the other text's lines in place of the learner's, in the difference that the cursor is at. */
  take(): void;
  /** Follows a change of the learner's text that did not come from here. */
  setText(text: string): void;
  close(): void;
}

export interface EditorOptions {
  readonly parent: HTMLElement;
  /** The path of the file that may be edited. All others are read-only. */
  readonly editable: string;
  readonly files: readonly EditorFile[];
  readonly hooks: EditorHooks;
}

export interface CodeEditor {
  readonly kind: EditorKind;
  /** Puts another text into the learner's file, in one step that the editor's own undo takes back. */
  setText(text: string): void;
  /** Shows a file of the exercise; the place in the one shown before is kept. */
  show(path: string): void;
  /** Shows a line of a file and puts the cursor there. */
  reveal(path: string, line: number): void;
  mark(marks: readonly Mark[]): void;
  focus(): void;
  compare(options: CompareOptions): Comparing;
  /** Switches Vim keys on or off; `status` shows the mode and takes commands. Absent where there are none. */
  setVim?(isOn: boolean, status: HTMLElement): Promise<void>;
  dispose(): void;
}

export type EditorKind = "monaco" | "light";

/** What the reader chose, or "auto": the light editor for fingers and small windows, Monaco otherwise. */
export type EditorChoice = "auto" | EditorKind;

export function editorKindFor(choice: EditorChoice): EditorKind {
  if (choice !== "auto") return choice;
  const isSmall = matchMedia("(width < 48rem)").matches;
  const isTouch = matchMedia("(pointer: coarse) and (hover: none)").matches;
  return isSmall || isTouch ? "light" : "monaco";
}

/** The height of a line of code and the room above the first, in both editors and in what stands there before them. */
export const editorLinePx = 21;
export const editorPaddingPx = 10;

/** Whether a line waits for the learner's code: an exercise opens at the first of them. */
export function isTodo(line: string): boolean {
  return /\btodo\(/.test(line);
}
