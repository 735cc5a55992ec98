/**
 * One server for each data folder: a lock file that says who holds it.
 *
 * Two servers that append to the same files would destroy them. Node offers no file locks of the system, so the lock is
 * a file that is created exclusively and names its holder. A holder that was killed leaves its file behind; whoever
 * comes next sees that the process is gone and takes over. Process numbers are given out again, so on Linux the start
 * time of the process is compared too.
 */
import { link, open, readFile, rename, unlink } from "node:fs/promises";
import { readFileSync, unlinkSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

const lockName = "oz.lock";
const attemptsMax = 5;

/** A lock that is held. */
export interface DataLock {
  readonly kind: "locked";
  /** Gives the folder free. Synchronous, so that it also works while the process ends. */
  release(): void;
}

/** Why the folder cannot be had. */
export interface DataLockRefusal {
  readonly kind: "refused";
  readonly message: string;
}

interface Holder {
  readonly pid: number;
  readonly started: string;
  readonly host: string;
}

/** Locks a folder that exists. Rejects when the system refuses to write there. */
export async function lockDataFolder(folder: string): Promise<DataLock | DataLockRefusal> {
  const path = join(folder, lockName);
  const self: Holder = { pid: process.pid, started: processStart(process.pid), host: hostname() };
  const content = `${JSON.stringify(self)}\n`;
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (await createLock(path, content)) return { kind: "locked", release: () => releaseLock(path, content) };
    const found = await readLock(path);
    if (found === undefined) continue;
    const holder = parseHolder(found);
    const refusal = holder === undefined ? undefined : judgeHolder(holder, self, folder, path);
    if (refusal !== undefined) return { kind: "refused", message: refusal };
    if (!(await removeStale(path, found))) continue;
  }
  return { kind: "refused", message: `data folder ${folder} is being locked by another server` };
}

async function createLock(path: string, content: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(content);
    await file.sync();
    await file.close();
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Why the holder keeps the folder; undefined when it is gone. */
function judgeHolder(holder: Holder, self: Holder, folder: string, path: string): string | undefined {
  if (holder.host !== self.host) {
    return (
      `data folder ${folder} is locked by process ${holder.pid} on host ${holder.host}; ` +
      `if that server is gone, remove ${path}`
    );
  }
  if (holder.pid === self.pid) return undefined;
  if (!isAlive(holder.pid) || processStart(holder.pid) !== holder.started) return undefined;
  return `data folder ${folder} is in use by process ${holder.pid}`;
}

/** Moves a stale lock away. False when it was not the one that was judged: somebody else was faster. */
async function removeStale(path: string, judged: string): Promise<boolean> {
  const away = `${path}.${process.pid}.stale`;
  try {
    await rename(path, away);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    throw error;
  }
  const isJudged = (await readLock(away)) === judged;
  if (!isJudged) await link(away, path).catch(() => undefined);
  await unlink(away);
  return isJudged;
}

async function readLock(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function releaseLock(path: string, content: string): void {
  try {
    if (readFileSync(path, "utf8") === content) unlinkSync(path);
  } catch {
    // The folder may be gone already; then so is the lock.
  }
}

/** A file that says nothing sensible was being written when its server was killed: it holds nothing. */
function parseHolder(content: string): Holder | undefined {
  try {
    const value = JSON.parse(content) as Partial<Holder> | null;
    if (
      typeof value?.pid !== "number" ||
      typeof value.started !== "string" ||
      typeof value.host !== "string"
    ) {
      return undefined;
    }
    return { pid: value.pid, started: value.started, host: value.host };
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** When a process started, in the kernel's own unit; empty where the system does not tell. */
function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
