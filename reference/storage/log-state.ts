/**
 * What a log must remember beside its records: a few numbers in one small file that is replaced as a whole.
 *
 * ```
 * 0       4         8             16      20         24               32               40           44
 * | magic | version | startOffset | epoch | reserved | recoveryOffset | idMilliseconds | idSequence | crc32 |
 * ```
 *
 * None of it can be read off the records. Without the start offset, records that were trimmed would come back; without
 * the epoch, an offset could be given out twice under the same one after a truncation; without the recovery offset,
 * every start would have to read every segment; without the last id, a log that was emptied could repeat ids.
 */
import type { Checksum, Disk } from "../ports.ts";
import { ignoreDiskError, joinPath, readWhole, writeAtomically } from "./file-io.ts";
import { getUint32, getUint53, setUint32, setUint53 } from "./integers.ts";

/** The numbers of one log. */
export interface LogState {
  /** The first offset that readers may have: everything before it is trimmed, also when its bytes are still there. */
  readonly startOffset: number;
  /** The epoch of new batches. Raised by every truncation. */
  readonly epoch: number;
  /** All records before this offset were synced when this was written: damage before it is no torn write. */
  readonly recoveryOffset: number;
  /** The largest record id given out when this was written. */
  readonly idMilliseconds: number;
  readonly idSequence: number;
}

/** The file's name in the log's directory. */
export const stateFileName = "state";

const stateMagic = 0x4f5a5354; // "OZST"
const stateVersion = 1;
const stateBytes = 48;

/** A new log's state. */
export const emptyState: LogState = {
  startOffset: 0,
  epoch: 0,
  recoveryOffset: 0,
  idMilliseconds: 0,
  idSequence: 0,
};

/** The state as a file's bytes. */
export function encodeState(state: LogState, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(stateBytes);
  setUint32(bytes, 0, stateMagic);
  setUint32(bytes, 4, stateVersion);
  setUint53(bytes, 8, state.startOffset);
  setUint32(bytes, 16, state.epoch);
  setUint53(bytes, 24, state.recoveryOffset);
  setUint53(bytes, 32, state.idMilliseconds);
  setUint32(bytes, 40, state.idSequence);
  setUint32(bytes, 44, checksum(bytes, 0, 44));
  return bytes;
}

/** The state in a file's bytes; undefined when they are damaged. */
export function decodeState(bytes: Uint8Array, checksum: Checksum): LogState | undefined {
  if (bytes.length !== stateBytes || checksum(bytes, 0, 44) !== getUint32(bytes, 44)) return undefined;
  if (getUint32(bytes, 0) !== stateMagic || getUint32(bytes, 4) !== stateVersion) return undefined;
  const state = {
    startOffset: getUint53(bytes, 8),
    epoch: getUint32(bytes, 16),
    recoveryOffset: getUint53(bytes, 24),
    idMilliseconds: getUint53(bytes, 32),
    idSequence: getUint32(bytes, 40),
  };
  return Math.min(state.startOffset, state.recoveryOffset, state.idMilliseconds) < 0 ? undefined : state;
}

/** Stores the state durably. */
export function saveState(disk: Disk, directory: string, state: LogState, checksum: Checksum): Promise<void> {
  return writeAtomically(disk, joinPath(directory, stateFileName), encodeState(state, checksum));
}

/** The state of an open log. One change is stored at a time, and none is believed before it is on disk. */
export class LogStateFile {
  /** What is on disk. */
  value: LogState;
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #checksum: Checksum;
  #saving: Promise<void> = Promise.resolve();

  constructor(disk: Disk, directory: string, checksum: Checksum, value: LogState) {
    this.#disk = disk;
    this.#directory = directory;
    this.#checksum = checksum;
    this.value = value;
  }

  /** Resolves when the changes are on disk; rejects with the disk's error, and then nothing has changed. */
  update(changes: Partial<LogState>): Promise<void> {
    const saved = this.#saving.then(async () => {
      const value = { ...this.value, ...changes };
      await saveState(this.#disk, this.#directory, value, this.#checksum);
      this.value = value;
    });
    this.#saving = saved.catch(ignoreDiskError);
    return saved;
  }
}

/** The stored state; `missing` for a new log, `damaged` when the file is not what was written. */
export async function loadState(
  disk: Disk,
  directory: string,
  checksum: Checksum,
): Promise<LogState | "missing" | "damaged"> {
  const bytes = await readWhole(disk, joinPath(directory, stateFileName));
  if (bytes === undefined) return "missing";
  return decodeState(bytes, checksum) ?? "damaged";
}
