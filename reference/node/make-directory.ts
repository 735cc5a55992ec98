/**
 * Makes a folder and the folders above it.
 *
 * Node's own `mkdir` with `recursive` answers ENOENT by making the parent and trying again, for ever, where the parent
 * is there and takes no entries all the same: below `/proc`, for one. Here each folder is tried once from above and
 * once from below, so the calls are at most three for each part of the path.
 */
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Makes `path`, absolute; it may be there already. Rejects with the system's error of the folder that failed. */
export async function makeDirectory(path: string): Promise<void> {
  const error = await tryMake(path);
  if (error === undefined) return;
  const parent = dirname(path);
  if (error.code !== "ENOENT" || parent === path || (await isDirectory(parent))) throw error;
  await makeDirectory(parent);
  const again = await tryMake(path);
  if (again !== undefined) throw again;
}

async function tryMake(path: string): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(path);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A read-only file system may say so before it looks whether the folder is there.
    const mayBeThere = code === "EEXIST" || code === "EROFS" || code === "EPERM" || code === "EISDIR";
    if (mayBeThere && (await isDirectory(path))) return undefined;
    return error as NodeJS.ErrnoException;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
