/** The light editor: CodeMirror 6, which works with fingers and screen keyboards and weighs a fifteenth of Monaco. */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import {
  EditorState,
  StateEffect,
  StateField,
  type Extension,
  type TransactionSpec,
} from "@codemirror/state";
import {
  Decoration,
  EditorView,
  drawSelection,
  keymap,
  lineNumbers,
  type DecorationSet,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { CodeEditor, EditorOptions, Mark } from "./editor.ts";
import { compareInLight } from "./light-compare.ts";

const setMarks = StateEffect.define<readonly Mark[]>();

/** Lines that a failed test points at. They move with the text, and go with the next run. */
const markField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setMarks)) continue;
      const { doc } = transaction.state;
      const lines = [...new Set(effect.value.map(({ line }) => line))].toSorted((a, b) => a - b);
      next = Decoration.set(
        lines
          .filter((line) => line >= 1 && line <= doc.lines)
          .map((line) => Decoration.line({ class: "cm-failed-line" }).range(doc.line(line).from)),
      );
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const highlight = HighlightStyle.define([
  { tag: tags.comment, color: "var(--code-comment)" },
  { tag: [tags.keyword, tags.modifier, tags.self], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.regexp], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.typeName, tags.className], color: "var(--code-type)" },
  { tag: tags.function(tags.variableName), color: "var(--code-call)" },
  { tag: [tags.operator, tags.punctuation], color: "var(--code-punctuation)" },
]);

export function createLightEditor(options: EditorOptions): CodeEditor {
  const { editable, hooks, files, parent } = options;
  const shared: Extension = [
    lineNumbers(),
    drawSelection(),
    bracketMatching(),
    syntaxHighlighting(highlight),
    javascript({ typescript: true }),
    EditorState.tabSize.of(2),
    markField,
  ];
  const run = (): boolean => {
    hooks.onRun();
    return true;
  };
  // Tab indents; Escape makes the next Tab move on, which the editor does by itself.
  const keys = keymap.of([
    { key: "Mod-s", run },
    { key: "Mod-Enter", run },
    indentWithTab,
    ...defaultKeymap,
    ...historyKeymap,
  ]);
  const own: Extension = [
    history(),
    indentOnInput(),
    keys,
    EditorView.contentAttributes.of({
      "aria-label": "Your code. Escape, then Tab, leaves the editor.",
      autocapitalize: "off",
      spellcheck: "false",
    }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) hooks.onEdit(update.state.doc.toString());
    }),
  ];
  const readOnly: Extension = [
    EditorState.readOnly.of(true),
    EditorView.contentAttributes.of({ "aria-label": "A file for reading", tabindex: "0" }),
  ];
  const states = new Map(
    files.map(({ path, text }) => [
      path,
      EditorState.create({ doc: text, extensions: [shared, path === editable ? own : readOnly] }),
    ]),
  );
  const view = new EditorView({ parent, state: states.get(editable)! });
  revealTodo(view);
  let shown = editable;
  const show = (path: string): void => {
    const state = states.get(path);
    if (state === undefined || path === shown) return;
    states.set(shown, view.state);
    shown = path;
    view.setState(state);
  };
  /** Changes the learner's file whether or not it is the one on screen. */
  const dispatchOwn = (make: (state: EditorState) => TransactionSpec): void => {
    if (shown === editable) return view.dispatch(make(view.state));
    const state = states.get(editable)!;
    const next = state.update(make(state)).state;
    states.set(editable, next);
    if (next.doc !== state.doc) hooks.onEdit(next.doc.toString());
  };
  const ownState = (): EditorState => (shown === editable ? view.state : states.get(editable)!);
  const setOwnText = (text: string): void => {
    const { doc } = ownState();
    if (doc.toString() === text) return;
    dispatchOwn(() => ({ changes: { from: 0, to: doc.length, insert: text } }));
  };
  return {
    kind: "light",
    setText: setOwnText,
    show,
    reveal(path, line) {
      show(path);
      const at = view.state.doc.line(Math.min(Math.max(line, 1), view.state.doc.lines)).from;
      view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
      view.focus();
    },
    mark: (marks) => dispatchOwn(() => ({ effects: setMarks.of(marks) })),
    focus: () => view.focus(),
    compare: (comparison) =>
      compareInLight({
        ...comparison,
        mine: ownState().doc.toString(),
        extensions: [
          shared,
          history(),
          keys,
          EditorView.updateListener.of((update) => {
            if (update.docChanged) setOwnText(update.state.doc.toString());
          }),
        ],
      }),
    dispose: () => view.destroy(),
  };
}

/** Begins at the first place that waits for the learner's code, not at the file's header. */
function revealTodo(view: EditorView): void {
  const at = view.state.doc.toString().search(/(?<=\n *)(return )?todo\(/);
  if (at < 0) return;
  view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
}
