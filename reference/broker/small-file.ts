/**
 * Small files that are read and replaced whole: a topic's settings, whose a data folder is.
 *
 * Replacing is the classic order: write the new bytes under another name, make them durable, rename, make the name
 * durable. Whoever reads at any moment, also after a crash, finds the old file or the new one.
 */
import type { Disk, DiskFile } from "../ports.ts";
import { DiskError } from "../ports.ts";

/** All bytes of a file; undefined when it is missing. Refuses one that is larger than it can honestly be. */
export async function readSmallFile(
  disk: Disk,
  path: string,
  bytesMax: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  let file: DiskFile;
  try {
    file = await disk.open(path, "read");
  } catch (error) {
    if (error instanceof DiskError && (error.code === "not-found" || error.code === "not-directory"))
      return undefined;
    throw error;
  }
  try {
    const length = await file.length();
    if (length > bytesMax) {
      throw new DiskError("input-output", "read", `${path} (${length} bytes exceed ${bytesMax})`);
    }
    const bytes = new Uint8Array(length);
    let read = 0;
    while (read < length) {
      const count = await file.read(bytes.subarray(read), read);
      if (count === 0) return bytes.slice(0, read);
      read += count;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Puts `bytes` in place of `directory/name`, so that a crash leaves the old file or the new one. */
export async function writeSmallFile(
  disk: Disk,
  directory: string,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const draft = `${directory}/${name}.new`;
  const file = await disk.open(draft, "create");
  try {
    await file.truncate(0);
    let written = 0;
    while (written < bytes.length) written += await file.write(bytes.subarray(written), written);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(draft, `${directory}/${name}`);
  await disk.syncDirectory(directory);
}

/** Removes a folder with everything in it; no error when it is missing. */
export async function removeTree(disk: Disk, path: string): Promise<void> {
  let names: string[];
  try {
    names = await disk.list(path);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    if (error.code === "not-found") return;
    if (error.code === "not-directory") return disk.remove(path);
    throw error;
  }
  for (const name of names) await removeTree(disk, `${path}/${name}`);
  await disk.remove(path);
}
