/**
 * Whole reads and writes, and files that are replaced as a whole.
 *
 * One call of the operating system may read or write less than it was asked for, and say so without an error. Code
 * that ignores the count works until the disk is nearly full or a signal arrives.
 */
import { DiskError, type Disk, type DiskFile } from "../ports.ts";

/** Reads until `target` is full or the file ends: one read may bring less than was asked for. */
export async function readFully(file: DiskFile, target: Uint8Array, position: number): Promise<number> {
  let filled = 0;
  while (filled < target.length) {
    const count = await file.read(filled === 0 ? target : target.subarray(filled), position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

/** Writes all of `source`: one write may take less than it was given. */
export async function writeFully(file: DiskFile, source: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < source.length) {
    const count = await file.write(written === 0 ? source : source.subarray(written), position + written);
    if (count === 0) throw new DiskError("input-output", "write", file.path);
    written += count;
  }
}

/** The name under which the new contents are written, beside the file. */
export const temporarySuffix = ".new";

/**
 * Replaces the file's contents, durably: a crash leaves the old contents or the new ones, never a mixture. The order
 * is everything: the new bytes must be on disk before their name replaces the old one, and the name must be on disk
 * before anybody relies on it. Rejects with a `DiskError`.
 */
export async function writeAtomically(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  await writeTemporary(disk, path, bytes);
  await putInPlace(disk, path);
}

/** The first half of a replacement: the new contents beside the old ones. The file itself is not touched. */
export async function writeTemporary(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path + temporarySuffix, "create");
  try {
    // What an interrupted attempt left behind may be longer.
    await file.truncate(0);
    await writeFully(file, bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The second half: the new contents get the name. After an error, nobody knows which contents have it. */
export async function putInPlace(disk: Disk, path: string): Promise<void> {
  await disk.rename(path + temporarySuffix, path);
  await disk.syncDirectory(directoryOf(path));
}

/** All bytes of a file; undefined when it is missing. */
export async function readWhole(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  let file: DiskFile;
  try {
    file = await disk.open(path, "read");
  } catch (error) {
    if (error instanceof DiskError && error.code === "not-found") return undefined;
    throw error;
  }
  try {
    const bytes = new Uint8Array(await file.length());
    return bytes.subarray(0, await readFully(file, bytes, 0));
  } finally {
    await file.close();
  }
}

/** Removes a file; no error when it is not there. */
export async function removeIfThere(disk: Disk, path: string): Promise<void> {
  try {
    await disk.remove(path);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "not-found") throw error;
  }
}

/** Makes a directory, and the names of it and of every directory above it durable. */
export async function makeDirectoryDurably(disk: Disk, path: string): Promise<void> {
  await disk.makeDirectory(path);
  for (let above = path; above !== "";) {
    above = directoryOf(above);
    await disk.syncDirectory(above);
  }
}

/** The directory part of a path; `""` is the root. */
export function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** A name in a directory. */
export function joinPath(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

/** For `catch` where a failure of the disk costs nothing but time. Anything else is a bug and goes on. */
export function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error;
}
