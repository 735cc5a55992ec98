/** What the editor and the comparison have in common: how they look, and how Tab leaves them. */
import { editorLinePx, editorPaddingPx } from "./editor.ts";
import type { Monaco } from "./monaco-loader.ts";

export type Model = ReturnType<Monaco["editor"]["createModel"]>;
export type StandaloneEditor = ReturnType<Monaco["editor"]["create"]>;

export const appearance = {
  automaticLayout: true,
  bracketPairColorization: { enabled: false },
  fixedOverflowWidgets: true,
  fontFamily: '"JetBrains Mono Variable", ui-monospace, monospace',
  fontSize: 13.5,
  lineHeight: editorLinePx,
  guides: { indentation: false },
  lineNumbersMinChars: 3,
  occurrencesHighlight: "off",
  minimap: { enabled: false },
  overviewRulerBorder: false,
  padding: { top: editorPaddingPx, bottom: editorPaddingPx },
  renderLineHighlight: "none",
  scrollBeyondLastLine: false,
  stickyScroll: { enabled: false },
  tabSize: 2,
  unicodeHighlight: { ambiguousCharacters: false },
} as const;

/** Escape makes the next Tab move on, as in a text field; any other key makes Tab indent again. */
export function letTabLeave(
  monaco: Monaco,
  editor: Pick<StandaloneEditor, "onKeyDown" | "onDidBlurEditorText" | "updateOptions">,
): void {
  const { KeyCode } = monaco;
  editor.onKeyDown((event) => {
    if (event.keyCode === KeyCode.Escape) editor.updateOptions({ tabFocusMode: true });
    else if (event.keyCode !== KeyCode.Tab && event.keyCode !== KeyCode.Shift) {
      editor.updateOptions({ tabFocusMode: false });
    }
  });
  editor.onDidBlurEditorText(() => editor.updateOptions({ tabFocusMode: false }));
}
