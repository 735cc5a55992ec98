/**
 * Another text on the left, the learner's own on the right, which stays theirs to edit. An arrow in the margin, or
 * `take`, brings one difference over; nothing is taken by itself, and undo works as anywhere.
 */
import type { Comparing, CompareOptions } from "./editor.ts";
import { appearance, letTabLeave, type Model } from "./monaco-shared.ts";
import { shownLanguage, type Monaco } from "./monaco-loader.ts";

type LineChange = NonNullable<
  ReturnType<ReturnType<Monaco["editor"]["createDiffEditor"]>["getLineChanges"]>
>[number];

export function compareInMonaco(monaco: Monaco, own: Model, options: CompareOptions): Comparing {
  const { parent, name, text, onCount } = options;
  // Coloured as TypeScript, but not checked: a checker that is still busy would miss the model when it goes away.
  const original = monaco.editor.createModel(text, shownLanguage);
  const editor = monaco.editor.createDiffEditor(parent, {
    ...appearance,
    originalEditable: false,
    renderSideBySide: true,
    useInlineViewWhenSpaceIsLimited: true,
    renderSideBySideInlineBreakpoint: 560,
    glyphMargin: true,
    // Arrows lead from one difference to the next; the ruler beside a folded text is one grey block.
    renderOverviewRuler: false,
    renderMarginRevertIcon: true,
    renderGutterMenu: false,
    hideUnchangedRegions: { enabled: true, contextLineCount: 4 },
  });
  editor.setModel({ original, modified: own });
  const mine = editor.getModifiedEditor();
  // The options of the comparison that should name its two editors leave them without a name.
  editor.getOriginalEditor().updateOptions({ ariaLabel: `For reading: ${name}` });
  mine.updateOptions({ ariaLabel: `Your code beside ${name}. Escape, then Tab, leaves the editor.` });
  letTabLeave(monaco, mine);
  const mark = mine.createDecorationsCollection();
  const changes = (): readonly LineChange[] => editor.getLineChanges() ?? [];
  const report = (): void => {
    const all = changes();
    const at = indexAt(all, mine.getPosition()?.lineNumber ?? 1);
    const current = all[at];
    onCount(all.length, current === undefined ? 0 : at + 1);
    mark.set(current === undefined ? [] : [markOf(current)]);
  };
  const goTo = (change: LineChange | undefined): void => {
    if (change === undefined) return;
    const lineNumber = Math.max(1, change.modifiedStartLineNumber);
    mine.setPosition({ lineNumber, column: 1 });
    mine.revealLineInCenter(lineNumber);
    report();
  };
  /** Whether the next comparison of the two texts is to be followed by a move to the nearest difference. */
  let isToMove = true;
  const listeners = [
    mine.onDidChangeCursorPosition(report),
    editor.onDidUpdateDiff(() => {
      const all = changes();
      if (isToMove) goTo(all[indexAt(all, mine.getPosition()?.lineNumber ?? 1)]);
      isToMove = false;
      report();
    }),
  ];
  let isOpen = true;
  return {
    go(to) {
      const all = changes();
      const line = mine.getPosition()?.lineNumber ?? 1;
      const next =
        to === "next"
          ? (all.find((change) => startOf(change) > line) ?? all[0])
          : (all.findLast((change) => endOf(change) < line) ?? all.at(-1));
      goTo(next);
    },
    take() {
      const all = changes();
      const change = all[indexAt(all, mine.getPosition()?.lineNumber ?? 1)];
      if (change === undefined) return;
      isToMove = true;
      own.pushStackElement();
      own.pushEditOperations(null, [editOf(own, original, change)], () => null);
      own.pushStackElement();
    },
    // Shows the very model that the editor has.
    setText: () => undefined,
    close() {
      if (!isOpen) return;
      isOpen = false;
      for (const listener of listeners) listener.dispose();
      editor.dispose();
      original.dispose();
    },
  };
}

/** The difference that a line lies in, or the nearest one; -1 when there is none. */
function indexAt(changes: readonly LineChange[], line: number): number {
  let best = -1;
  let bestDistance = Infinity;
  for (const [index, change] of changes.entries()) {
    const distance = Math.max(startOf(change) - line, line - endOf(change), 0);
    if (distance < bestDistance) [best, bestDistance] = [index, distance];
  }
  return best;
}

function startOf({ modifiedStartLineNumber }: LineChange): number {
  return Math.max(1, modifiedStartLineNumber);
}

/** Monaco marks a range without lines by an end of 0. */
function endOf(change: LineChange): number {
  return Math.max(startOf(change), change.modifiedEndLineNumber);
}

function markOf(change: LineChange) {
  const [startLineNumber, endLineNumber] = [startOf(change), endOf(change)];
  return {
    range: { startLineNumber, startColumn: 1, endLineNumber, endColumn: 1 },
    options: { isWholeLine: true, linesDecorationsClassName: "current-difference" },
  };
}

/** The edit that makes the lines of one difference those of the other text. */
function editOf(own: Model, other: Model, change: LineChange) {
  const { originalStartLineNumber: from, originalEndLineNumber: to } = change;
  const lines = to === 0 ? [] : other.getLinesContent().slice(from - 1, to);
  const { modifiedStartLineNumber: start, modifiedEndLineNumber: end } = change;
  const lastLine = own.getLineCount();
  // Nothing of the learner's to replace: the lines go in behind `start`, which is 0 at the top of the file.
  if (end === 0) {
    const isAtEnd = start >= lastLine;
    const column = isAtEnd ? own.getLineMaxColumn(lastLine) : 1;
    const line = isAtEnd ? lastLine : start + 1;
    const text = isAtEnd ? `\n${lines.join("\n")}` : `${lines.join("\n")}\n`;
    return { range: rangeOf(line, column, line, column), text };
  }
  if (lines.length > 0)
    return { range: rangeOf(start, 1, end, own.getLineMaxColumn(end)), text: lines.join("\n") };
  if (end < lastLine) return { range: rangeOf(start, 1, end + 1, 1), text: "" };
  const before = Math.max(1, start - 1);
  const column = start > 1 ? own.getLineMaxColumn(before) : 1;
  return { range: rangeOf(before, column, end, own.getLineMaxColumn(end)), text: "" };
}

function rangeOf(startLineNumber: number, startColumn: number, endLineNumber: number, endColumn: number) {
  return { startLineNumber, startColumn, endLineNumber, endColumn };
}
