/**
 * Writing again what a start has found, because reading it proves nothing.
 *
 * When a sync fails, the kernel gives up on what it could not write, and forgets that it did: the bytes can still be
 * read, from memory, and the next sync of the file succeeds without writing them. A process that is started again sees
 * a log that looks whole, and whatever it promises about these records ends with the next power loss. Bytes that are
 * written again are to be synced again.
 */
import type { Disk, DiskFile } from "../ports.ts";
import { readFully, writeFully } from "./file-io.ts";
import type { RecoveredLog } from "./recovered-log.ts";
import { segmentPath } from "./segment-files.ts";

const chunkBytes = 1024 * 1024;

/** Makes everything durable that recovery has found and that nothing proves to be so. */
export async function writeAgain(
  disk: Disk,
  directory: string,
  { segments, durableOffset = 0 }: RecoveredLog,
): Promise<void> {
  const chunk = new Uint8Array(chunkBytes);
  for (const { baseOffset, endOffset, endPosition, index, isScanned } of segments) {
    if (!isScanned || endOffset <= durableOffset) continue;
    const file = await disk.open(segmentPath(directory, baseOffset), "read-write");
    try {
      for (let position = index.positionAt(index.floor(durableOffset)); position < endPosition;) {
        const wanted = chunk.subarray(0, Math.min(chunk.length, endPosition - position));
        const found = wanted.subarray(0, await readFully(file, wanted, position));
        if (found.length === 0) break;
        await writeFully(file, found, position);
        position += found.length;
      }
      await setLengthAgain(file);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** Has the next sync write how long the file is: that it has become longer was given up on as well. */
export async function setLengthAgain(file: DiskFile): Promise<void> {
  const length = await file.length();
  await writeFully(file, new Uint8Array(1), length);
  await file.truncate(length);
}
