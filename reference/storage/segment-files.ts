/**
 * The names in a log's directory. A segment's name is its first offset with leading zeros, so that the order of the
 * names is the order of the offsets.
 *
 * ```
 * state                        the log's own numbers (log-state.ts)
 * tombstones                   which of them may be missing (tombstone-mark.ts); only where some are
 * 00000000000000000000.log     batches from offset 0 on
 * 00000000000000000000.index   a copy of the segment's index; may be missing
 * 00000000000000004711.log
 * recycled-00000000000000000000     the file of a removed segment, kept to be written over
 * ```
 */
import { DiskError, type Disk } from "../ports.ts";
import { joinPath, makeDirectoryDurably, temporarySuffix } from "./file-io.ts";
import { stateFileName } from "./log-state.ts";
import { offsetMax } from "./segment.ts";
import { tombstoneMarkName } from "./tombstone-mark.ts";

const digits = 20;
const segmentPattern = /^(\d{20})\.log$/;
const indexPattern = /^\d{20}\.index$/;
const recycledPattern = /^recycled-\d{20}$/;

function padded(baseOffset: number): string {
  return String(baseOffset).padStart(digits, "0");
}

/** The path of a segment's records. */
export function segmentPath(directory: string, baseOffset: number): string {
  return joinPath(directory, `${padded(baseOffset)}.log`);
}

/** The path of the copy of a segment's index. */
export function indexPath(directory: string, baseOffset: number): string {
  return joinPath(directory, `${padded(baseOffset)}.index`);
}

/** The path that a removed segment's file gets when it is kept for another use. */
export function recycledPath(directory: string, baseOffset: number): string {
  return joinPath(directory, `recycled-${padded(baseOffset)}`);
}

/** The first offset of the segment with this name; undefined for all other names. */
export function baseOffsetOfName(name: string): number | undefined {
  const match = segmentPattern.exec(name);
  const baseOffset = Number(match?.[1]);
  return match !== null && baseOffset <= offsetMax ? baseOffset : undefined;
}

/** What lies in a log's directory. */
export interface LogFiles {
  /** The first offsets of its segments, in order. */
  readonly baseOffsets: readonly number[];
  /** Paths of files of removed segments. */
  readonly recycled: readonly string[];
  /** Whether there is a mark of tombstones that may be missing. */
  readonly hasTombstoneMark: boolean;
  /** Paths that no log has. What an interrupted replacement left is not among them: it never got its name. */
  readonly unknown: readonly string[];
}

/** Lists a log's directory, which is made when it is missing. */
export async function listLogFiles(disk: Disk, directory: string): Promise<LogFiles> {
  let names = await listIfThere(disk, directory);
  // The state is the first file that a log gets. Until it has one, nobody can say whether its directory is durable: a
  // start that was interrupted may have made it and not synced it.
  if (!names.includes(stateFileName)) {
    await makeDirectoryDurably(disk, directory);
    names = await disk.list(directory);
  }
  const baseOffsets: number[] = [];
  const recycled: string[] = [];
  const unknown: string[] = [];
  for (const name of names) {
    const baseOffset = baseOffsetOfName(name);
    if (baseOffset !== undefined) baseOffsets.push(baseOffset);
    else if (recycledPattern.test(name)) recycled.push(joinPath(directory, name));
    else if (!isOwn(name)) unknown.push(joinPath(directory, name));
  }
  return { baseOffsets, recycled, hasTombstoneMark: names.includes(tombstoneMarkName), unknown };
}

function isOwn(name: string): boolean {
  const isNumbers = name === stateFileName || name === tombstoneMarkName;
  return isNumbers || indexPattern.test(name) || name.endsWith(temporarySuffix);
}

async function listIfThere(disk: Disk, directory: string): Promise<string[]> {
  try {
    return await disk.list(directory);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "not-found") throw error;
    return [];
  }
}
