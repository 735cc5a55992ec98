/**
 * Edits of a text by what stands there. A `find` that is not there exactly once is an error: the reference has moved
 * on, and what the edit was meant to say is no longer known.
 */
import type { Edit } from "#exercises/lib/exercise.ts";

export type EditResult =
  { readonly kind: "edited"; readonly text: string } | { readonly kind: "invalid"; readonly problem: string };

/**
 * Applies `edits` one after the other, each to what the one before left. `start` and `end` bound the part of the text
 * that they may touch.
 */
export function applyEdits(text: string, edits: readonly Edit[], start = 0, end = text.length): EditResult {
  const before = text.slice(0, start);
  const behind = text.slice(end);
  let part = text.slice(start, end);
  for (const { find, replace } of edits) {
    const count = find === "" ? 0 : part.split(find).length - 1;
    if (count !== 1)
      return { kind: "invalid", problem: `${quote(find)} occurs ${times(count)}, it must occur once` };
    const at = part.indexOf(find);
    part = part.slice(0, at) + replace + part.slice(at + find.length);
  }
  return { kind: "edited", text: before + part + behind };
}

/** A text as one line, cut to what identifies it. */
export function quote(text: string): string {
  const line = JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
  return line;
}

function times(count: number): string {
  return count === 0 ? "nowhere" : `${count} times`;
}
