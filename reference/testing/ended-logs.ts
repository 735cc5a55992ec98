/** Logs that ended in some way, for the tests of recovery, and looking into their files. */
import { expect } from "vitest";
import { SimulatedDisk } from "../simulator/disk.ts";
import type { Log, LogOptions } from "../storage/log.ts";
import { batchBytesAt } from "../storage/record-batch.ts";
import { batchOf, openTestLog, textOf } from "../storage/test-log.ts";

/** About three batches a segment. */
export const options: Partial<LogOptions> = { segmentBytesMax: 420, indexIntervalBytes: 200 };

/** A log that was closed in order, with so many records, one a batch. */
export async function closedLog(records: number): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const log = await openTestLog(disk, options);
  await appendTexts(log, 0, records);
  await log.close();
  return disk;
}

/** A log whose process ended without a word, with everything on disk. */
export async function killedLog(records: number): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const log = await openTestLog(disk, options);
  await appendTexts(log, 0, records);
  return disk.restart({ kind: "nothing" });
}

export async function appendTexts(log: Log, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    log.append(batchOf(textOf(number)));
    expect((await log.committed()).kind).toBe("committed");
  }
}

export function logFiles(disk: SimulatedDisk): string[] {
  return disk.paths().filter((path) => path.endsWith(".log"));
}

/** Positions of the batches in a file. */
export function batchPositions(disk: SimulatedDisk, path: string): number[] {
  const bytes = disk.peek(path)!;
  const positions: number[] = [];
  for (let at = 0; at < bytes.length; at += batchBytesAt(bytes, at)) positions.push(at);
  return positions;
}

export async function appendBytes(disk: SimulatedDisk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, "read-write");
  await file.write(bytes, await file.length());
  await file.sync();
  await file.close();
}

export function expectTexts(found: Map<number, string>, missing: readonly number[], end: number): void {
  const wanted = Array.from({ length: end }, (_, number) => number).filter(
    (number) => !missing.includes(number),
  );
  expect([...found.keys()]).toEqual(wanted);
  for (const [offset, text] of found) expect(text).toBe(textOf(offset));
}
