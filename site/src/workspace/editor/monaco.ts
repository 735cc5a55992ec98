/** The full editor: Monaco with a model for each file of the exercise. */
import { addPackageTypes, loadMonaco, shownLanguage, type Monaco } from "./monaco-loader.ts";
import type { CodeEditor, EditorFile, EditorOptions, Mark } from "./editor.ts";

type Model = ReturnType<Monaco["editor"]["createModel"]>;
type StandaloneEditor = ReturnType<Monaco["editor"]["create"]>;

export async function createMonacoEditor(options: EditorOptions): Promise<CodeEditor> {
  const monaco = await loadMonaco();
  const models = new Map(options.files.map((file) => [file.path, modelOf(monaco, file)]));
  const own = models.get(options.editable)!;
  const editor = monaco.editor.create(options.parent, {
    model: own,
    ...appearance,
    ariaLabel: "Your code. Escape, then Tab, leaves the editor.",
  });
  wireKeys(monaco, editor, options);
  own.onDidChangeContent(() => options.hooks.onEdit(own.getValue()));
  const problems = monaco.editor.onDidChangeMarkers((changed) => {
    if (changed.some((uri) => uri.toString() === own.uri.toString())) reportProblems(monaco, own, options);
  });
  revealTodo(editor, own);
  requestIdleCallbackOr(() => void addPackageTypes(monaco).catch(() => undefined));

  const places = new Map<string, ReturnType<StandaloneEditor["saveViewState"]>>();
  let closeComparison = (): void => undefined;
  let shown = options.editable;
  const show = (path: string): void => {
    const model = models.get(path);
    if (model === undefined || path === shown) return;
    places.set(shown, editor.saveViewState());
    shown = path;
    editor.setModel(model);
    const isOwn = path === options.editable;
    editor.updateOptions({
      readOnly: !isOwn,
      readOnlyMessage: { value: "This file is for reading. Yours is the first tab." },
    });
    editor.restoreViewState(places.get(path) ?? null);
  };
  return {
    kind: "monaco",
    setText: (text) => replaceAll(own, text),
    show,
    reveal(path, line) {
      show(path);
      editor.revealLineInCenter(line);
      editor.setPosition({
        lineNumber: line,
        column: editor.getModel()?.getLineFirstNonWhitespaceColumn(line) || 1,
      });
      editor.focus();
    },
    mark: (marks) => markFailures(monaco, own, marks),
    async format() {
      await editor.getAction("editor.action.formatDocument")?.run();
      return true;
    },
    focus: () => editor.focus(),
    compare(parent, solution) {
      closeComparison();
      closeComparison = compare(monaco, parent, own, solution);
      return closeComparison;
    },
    dispose() {
      // First, because it shows the learner's model too.
      closeComparison();
      problems.dispose();
      editor.dispose();
      for (const model of models.values()) model.dispose();
    },
  };
}

const appearance = {
  automaticLayout: true,
  bracketPairColorization: { enabled: false },
  fixedOverflowWidgets: true,
  fontFamily: '"JetBrains Mono Variable", ui-monospace, monospace',
  fontSize: 13.5,
  lineHeight: 21,
  guides: { indentation: false },
  lineNumbersMinChars: 3,
  occurrencesHighlight: "off",
  minimap: { enabled: false },
  overviewRulerBorder: false,
  padding: { top: 10, bottom: 10 },
  renderLineHighlight: "none",
  scrollBeyondLastLine: false,
  stickyScroll: { enabled: false },
  tabSize: 2,
  unicodeHighlight: { ambiguousCharacters: false },
} as const;

function modelOf(monaco: Monaco, file: EditorFile): Model {
  const uri = monaco.Uri.parse(`file:///${file.path}`);
  monaco.editor.getModel(uri)?.dispose();
  const model = monaco.editor.createModel(file.text, "typescript", uri);
  model.updateOptions({
    tabSize: 2,
    bracketColorizationOptions: { enabled: false, independentColorPoolPerBracketType: false },
  });
  return model;
}

/** Begins at the first place that waits for the learner's code, not at the file's header. */
function revealTodo(editor: StandaloneEditor, model: Model): void {
  const at = model.getLinesContent().findIndex((line) => /\btodo\(/.test(line)) + 1;
  if (at === 0) return;
  editor.setPosition({ lineNumber: at, column: model.getLineFirstNonWhitespaceColumn(at) || 1 });
  editor.revealLineInCenter(at);
}

/** One edit, so that the editor's undo takes all of it back at once. */
function replaceAll(model: Model, text: string): void {
  if (model.getValue() === text) return;
  model.pushStackElement();
  model.pushEditOperations(null, [{ range: model.getFullModelRange(), text }], () => null);
  model.pushStackElement();
}

function wireKeys(monaco: Monaco, editor: StandaloneEditor, { hooks }: EditorOptions): void {
  const { KeyMod, KeyCode } = monaco;
  // Monaco would insert a line below on Ctrl+Enter.
  editor.addCommand(KeyMod.CtrlCmd | KeyCode.Enter, hooks.onRun);
  editor.addCommand(KeyMod.CtrlCmd | KeyCode.KeyS, hooks.onRun);
  // Escape makes the next Tab move on, as in a text field; any other key makes Tab indent again.
  editor.onKeyDown((event) => {
    if (event.keyCode === KeyCode.Escape) editor.updateOptions({ tabFocusMode: true });
    else if (event.keyCode !== KeyCode.Tab && event.keyCode !== KeyCode.Shift) {
      editor.updateOptions({ tabFocusMode: false });
    }
  });
  editor.onDidBlurEditorText(() => editor.updateOptions({ tabFocusMode: false }));
}

function reportProblems(monaco: Monaco, model: Model, { hooks }: EditorOptions): void {
  const errors = monaco.editor
    .getModelMarkers({ resource: model.uri, owner: "typescript" })
    .filter(({ severity }) => severity === monaco.MarkerSeverity.Error);
  hooks.onProblems(errors.map(({ startLineNumber, message }) => ({ line: startLineNumber, message })));
}

function markFailures(monaco: Monaco, model: Model, marks: readonly Mark[]): void {
  const markers = marks
    .filter(({ line }) => line >= 1 && line <= model.getLineCount())
    .map(({ line, message }) => ({
      severity: monaco.MarkerSeverity.Warning,
      message,
      source: "test",
      startLineNumber: line,
      endLineNumber: line,
      startColumn: model.getLineFirstNonWhitespaceColumn(line) || 1,
      endColumn: model.getLineMaxColumn(line),
    }));
  monaco.editor.setModelMarkers(model, "offset-zero", markers);
}

/**
 * The solution on the left, the learner's own text on the right, which stays theirs to edit. The arrows between the two
 * take one difference over; nothing is taken by itself, and undo works as anywhere.
 */
function compare(monaco: Monaco, parent: HTMLElement, own: Model, solution: string): () => void {
  // Coloured as TypeScript, but not checked: a checker that is still busy would miss the model when it goes away.
  const original = monaco.editor.createModel(solution, shownLanguage);
  const editor = monaco.editor.createDiffEditor(parent, {
    ...appearance,
    originalEditable: false,
    renderSideBySide: true,
    useInlineViewWhenSpaceIsLimited: true,
    renderSideBySideInlineBreakpoint: 560,
    glyphMargin: true,
    renderMarginRevertIcon: true,
    renderGutterMenu: false,
    hideUnchangedRegions: { enabled: true, contextLineCount: 4 },
    originalAriaLabel: "The solution, for reading",
    modifiedAriaLabel: "Your code beside the solution. Escape, then Tab, leaves the editor.",
  });
  editor.setModel({ original, modified: own });
  const keys = editor.getModifiedEditor();
  keys.onKeyDown((event) => {
    const isTab = event.keyCode === monaco.KeyCode.Tab || event.keyCode === monaco.KeyCode.Shift;
    if (event.keyCode === monaco.KeyCode.Escape) keys.updateOptions({ tabFocusMode: true });
    else if (!isTab) keys.updateOptions({ tabFocusMode: false });
  });
  let isOpen = true;
  return () => {
    if (!isOpen) return;
    isOpen = false;
    editor.dispose();
    original.dispose();
  };
}

/** Safari has no idle callback; a moment later does as well. */
function requestIdleCallbackOr(work: () => void): void {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(work, { timeout: 2000 });
  else setTimeout(work, 300);
}
