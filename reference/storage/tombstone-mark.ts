/**
 * Which tombstones may be missing from a log, in one small file that is replaced as a whole.
 *
 * ```
 * 0       4         8        16       24
 * | magic | version | goneTo | rounds | crc32 |
 * ```
 *
 * Within one log a tombstone goes after all that it removes, and nobody has to remember it. Between replicas somebody
 * has to: one that still has a record, and copies what follows from a log whose tombstone is gone, would keep that
 * record for ever. So each log says up to where tombstones may be missing from it, and counts the times at which it
 * took some out: who copies in several steps can tell whether it was the same log all the time.
 */
import type { Checksum, Disk } from "../ports.ts";
import { ignoreDiskError, joinPath, readWhole, writeAtomically } from "./file-io.ts";
import { getUint32, getUint53, setUint32, setUint53 } from "./integers.ts";
import type { RecoveredLog } from "./recovered-log.ts";

/** The file's name in the log's directory. It is made when the first tombstone goes. */
export const tombstoneMarkName = "tombstones";

const markMagic = 0x4f5a544d; // "OZTM"
const markVersion = 1;
const markBytes = 28;

/** The mark of one open log. */
export class TombstoneMark {
  /** Tombstones before this offset may be missing. It never falls. */
  goneTo: number;
  /** How often tombstones were taken out. */
  rounds: number;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #checksum: Checksum;
  #running: Promise<unknown> = Promise.resolve();
  #saved: Promise<void> = Promise.resolve();

  /** Reads the mark of a log as it was recovered: where it is damaged, any tombstone may be missing. */
  static async open(
    disk: Disk,
    directory: string,
    checksum: Checksum,
    { endOffset, hasTombstoneMark = true }: RecoveredLog,
  ): Promise<TombstoneMark> {
    const path = joinPath(directory, tombstoneMarkName);
    const bytes = hasTombstoneMark ? await readWhole(disk, path) : undefined;
    const mark = new TombstoneMark(disk, path, checksum);
    if (bytes === undefined) return mark;
    const isWhole =
      bytes.length === markBytes &&
      getUint32(bytes, 0) === markMagic &&
      getUint32(bytes, 4) === markVersion &&
      getUint32(bytes, markBytes - 4) === checksum(bytes, 0, markBytes - 4);
    mark.goneTo = isWhole ? getUint53(bytes, 8) : endOffset;
    mark.rounds = isWhole ? getUint53(bytes, 16) : 0;
    return mark;
  }

  private constructor(disk: Disk, path: string, checksum: Checksum) {
    this.goneTo = 0;
    this.rounds = 0;
    this.#disk = disk;
    this.#path = path;
    this.#checksum = checksum;
  }

  /** Writes down that tombstones before `offset` go, durably, and then lets `work` take them out. */
  takingOut<Value>(offset: number, work: () => Promise<Value>): Promise<Value> {
    this.rounds++;
    const running = this.adopt(offset).then(work);
    this.#running = running.catch(ignoreDiskError);
    return running;
  }

  /** Tombstones before `offset` may be missing, because they are missing from where the records come from. */
  adopt(offset: number): Promise<void> {
    this.goneTo = Math.max(this.goneTo, offset);
    const saved = this.#saved.then(() => this.#save());
    this.#saved = saved.catch(ignoreDiskError);
    return saved;
  }

  /** Resolves when no tombstones are being taken out: what is read then and has the same `rounds` fits together. */
  async settled(): Promise<void> {
    for (let seen: Promise<unknown> | undefined; seen !== this.#running;) {
      seen = this.#running;
      await seen;
    }
  }

  #save(): Promise<void> {
    const bytes = new Uint8Array(markBytes);
    setUint32(bytes, 0, markMagic);
    setUint32(bytes, 4, markVersion);
    setUint53(bytes, 8, this.goneTo);
    setUint53(bytes, 16, this.rounds);
    setUint32(bytes, markBytes - 4, this.#checksum(bytes, 0, markBytes - 4));
    return writeAtomically(this.#disk, this.#path, bytes);
  }
}
