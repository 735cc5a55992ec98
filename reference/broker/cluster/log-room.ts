/**
 * Waiting for a log to take more: all logs of a node share the memory in which batches wait for the disk, and a
 * follower cannot refuse what its leader sends.
 */
import type { Clock } from "../../ports.ts";
import type { Log } from "../../storage/log.ts";
import { pause } from "./transfer.ts";

/** How often to look again while the memory is others'. */
const lookMs = 5;

/**
 * Resolves when a log that was overloaded may have room again; rejects when its disk failed.
 *
 * What the log itself has waiting gives room when it is written. A log that has nothing waiting must let time pass: it
 * is other logs that hold the memory, and their disks never get their turn while this one asks again and again.
 */
export async function untilRoom(log: Log, clock: Clock): Promise<void> {
  const hasOwn = log.storedEnd < log.endOffset;
  const result = await log.committed();
  if (result.kind === "failed") throw result.error;
  if (!hasOwn) await pause(clock, lookMs);
}
