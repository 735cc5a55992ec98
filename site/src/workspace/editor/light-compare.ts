/**
 * Another text in one column with the learner's own, for windows where two columns do not fit: the other text's lines
 * stand above those of the learner's that differ, with a button that takes them.
 */
import {
  getChunks,
  goToNextChunk,
  goToPreviousChunk,
  rejectChunk,
  unifiedMergeView,
  type Chunk,
} from "@codemirror/merge";
import { EditorState, type Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import type { Comparing, CompareOptions } from "./editor.ts";

export interface LightCompareOptions extends CompareOptions {
  /** The learner's text, and the extensions of an editor in which it can be changed. */
  readonly mine: string;
  readonly extensions: Extension;
}

export function compareInLight(options: LightCompareOptions): Comparing {
  const { parent, name, text, mine, extensions, onCount } = options;
  const report = (state: EditorState): void => {
    const chunks = getChunks(state)?.chunks ?? [];
    onCount(chunks.length, nearest(chunks, state.selection.main.head) + 1);
  };
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: mine,
      extensions: [
        extensions,
        unifiedMergeView({
          original: text,
          collapseUnchanged: { margin: 3, minSize: 5 },
          syntaxHighlightDeletions: true,
          mergeControls: (type, act) =>
            type === "reject" ? takeButton(name, act) : document.createElement("i"),
        }),
        EditorView.contentAttributes.of({ "aria-label": `Your code beside ${name}` }),
        EditorView.updateListener.of(({ state }) => report(state)),
      ],
    }),
  });
  const first = getChunks(view.state)?.chunks[0];
  if (first !== undefined) view.dispatch({ selection: { anchor: first.fromB }, scrollIntoView: true });
  report(view.state);
  return {
    go: (to) => void (to === "next" ? goToNextChunk : goToPreviousChunk)(view),
    take() {
      const chunks = getChunks(view.state)?.chunks ?? [];
      const chunk = chunks[nearest(chunks, view.state.selection.main.head)];
      if (chunk === undefined) return;
      rejectChunk(view, chunk.fromB);
      const left = getChunks(view.state)?.chunks ?? [];
      const next = left[nearest(left, chunk.fromB)];
      if (next !== undefined) view.dispatch({ selection: { anchor: next.fromB }, scrollIntoView: true });
    },
    setText(next) {
      const { doc } = view.state;
      if (doc.toString() !== next) view.dispatch({ changes: { from: 0, to: doc.length, insert: next } });
    },
    close: () => view.destroy(),
  };
}

/** The difference that a place lies in, or the nearest one; -1 when there is none. */
function nearest(chunks: readonly Chunk[], at: number): number {
  const distance = ({ fromB, endB }: Chunk): number => Math.max(fromB - at, at - endB, 0);
  let best = -1;
  for (const [index, chunk] of chunks.entries()) {
    if (best < 0 || distance(chunk) < distance(chunks[best]!)) best = index;
  }
  return best;
}

function takeButton(name: string, act: (event: MouseEvent) => void): HTMLElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button take-button";
  button.textContent = "Take these lines";
  button.setAttribute("aria-label", `Take these lines of ${name}`);
  button.addEventListener("click", act);
  return button;
}
