/** The full editor: Monaco with a model for each file of the exercise. */
import { addPackageTypes, loadMonaco, loadVim, type Monaco } from "./monaco-loader.ts";
import { compareInMonaco } from "./monaco-compare.ts";
import { appearance, letTabLeave, type Model, type StandaloneEditor } from "./monaco-shared.ts";
import {
  isTodo,
  type CodeEditor,
  type Comparing,
  type EditorFile,
  type EditorHooks,
  type EditorOptions,
  type Mark,
} from "./editor.ts";

export async function createMonacoEditor(options: EditorOptions): Promise<CodeEditor> {
  const monaco = await loadMonaco();
  // Between the steps the page may answer clicks and keys: each of them takes a slow machine a good while.
  await nextTask();
  const models = new Map(options.files.map((file) => [file.path, modelOf(monaco, file)]));
  const own = models.get(options.editable)!;
  await nextTask();
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
  const opener = monaco.editor.registerEditorOpener({
    openCodeEditor(_source, uri, place) {
      const path = uri.path.slice(1);
      if (!models.has(path)) return false;
      options.hooks.onOpen(
        path,
        place === undefined ? 1 : "lineNumber" in place ? place.lineNumber : place.startLineNumber,
      );
      return true;
    },
  });
  revealTodo(editor, own);
  const vim = vimKeys(editor, options.hooks);
  requestIdleCallbackOr(() => void addPackageTypes(monaco).catch(() => undefined));

  const places = new Map<string, ReturnType<StandaloneEditor["saveViewState"]>>();
  let comparing: Comparing | undefined;
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
    focus: () => editor.focus(),
    setVim: (isOn, status) => vim.set(isOn, status),
    compare(comparison) {
      comparing?.close();
      comparing = compareInMonaco(monaco, own, comparison);
      return comparing;
    },
    dispose() {
      // First, because it shows the learner's model too.
      comparing?.close();
      vim.dispose();
      opener.dispose();
      problems.dispose();
      editor.dispose();
      for (const model of models.values()) model.dispose();
    },
  };
}

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
  const at = model.getLinesContent().findIndex(isTodo) + 1;
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
  letTabLeave(monaco, editor);
}

/** Vim keys that can be switched on and off. In Vim, `:w` is what saves, so here it runs the tests. */
function vimKeys(editor: StandaloneEditor, { onRun }: EditorHooks) {
  let mode: { dispose(): void } | undefined;
  let isWanted = false;
  const dispose = (): void => {
    mode?.dispose();
    mode = undefined;
  };
  return {
    dispose,
    async set(isOn: boolean, status: HTMLElement): Promise<void> {
      isWanted = isOn;
      if (!isOn) return dispose();
      const { initVimMode, VimMode } = await loadVim();
      if (!isWanted || mode !== undefined) return;
      VimMode.Vim.defineEx("write", "w", onRun);
      mode = initVimMode(editor, status);
    },
  };
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

function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Safari has no idle callback; a moment later does as well. */
function requestIdleCallbackOr(work: () => void): void {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(work, { timeout: 2000 });
  else setTimeout(work, 300);
}
