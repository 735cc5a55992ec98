/**
 * Beginning anew: how a replica that is so far behind that nobody keeps what it would need next goes on at another
 * place.
 *
 * Whoever asks for it has written down elsewhere that this log's records do not count until it says otherwise, so a
 * crash in the middle may leave anything that recovery can open: the restart is then made once more.
 */
import type { LogStateFile } from "./log-state.ts";
import type { SegmentSet } from "./segment-set.ts";

/** Removes every record; the next one gets `offset`. Nothing may wait to be written. */
export async function restartAt(set: SegmentSet, state: LogStateFile, offset: number): Promise<void> {
  // 1. Nothing before this offset counts as lost when it is not found: the numbers go first where they go up.
  if (offset > state.value.startOffset) await state.update({ startOffset: offset, recoveryOffset: offset });
  // 2. Then the records, and with them the proof of how far they were durable.
  await set.restart(offset);
  // 3. Where the numbers go down, they go last, since the records behind them are gone only now.
  await state.update({ startOffset: offset, recoveryOffset: offset });
}
