/**
 * The self-check of the simulator: the same scenario twice, and the two traces compared line by line.
 *
 * A simulation that depends on anything but its seed (the order of a set of objects, a real clock, an
 * address) still finds bugs, and then nobody can look at them again. The first line that differs names the
 * moment at which the outside got in.
 */
import { TraceFingerprint, TraceRecorder, type TraceLine, type TraceSink } from "./trace.ts";

/** What the check found. */
export type Determinism =
  | { readonly kind: "equal"; readonly lines: number }
  | {
      readonly kind: "different";
      /** The number of the first line that differs, from 0. */
      readonly line: number;
      /** That line in two further runs; undefined where a run had ended. */
      readonly one: TraceLine | undefined;
      readonly other: TraceLine | undefined;
    };

/** Runs the scenario twice, and on a difference twice more to show it. */
export async function checkDeterminism(
  run: (trace: TraceSink) => void | Promise<void>,
): Promise<Determinism> {
  const [first, second] = [new TraceFingerprint(), new TraceFingerprint()];
  await run(first);
  await run(second);
  const line = firstDifference(first.checksums, second.checksums);
  if (line === undefined) return { kind: "equal", lines: first.checksums.length };
  const [one, other] = [new TraceRecorder(), new TraceRecorder()];
  await run(one);
  await run(other);
  const texts = [one, other].map(({ lines }) => lines.map((text) => JSON.stringify(text)));
  const shown = firstDifference(texts[0]!, texts[1]!) ?? line;
  return { kind: "different", line: shown, one: one.lines[shown], other: other.lines[shown] };
}

function firstDifference<Item>(one: readonly Item[], other: readonly Item[]): number | undefined {
  const length = Math.max(one.length, other.length);
  for (let index = 0; index < length; index++) {
    if (one[index] !== other[index]) return index;
  }
  return undefined;
}
