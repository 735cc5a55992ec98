import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { DiskError } from "../ports.ts";
import { testDisk } from "../testing/disk-conformance.ts";
import { inlineWriteBytesMax, NodeDisk } from "./disk.ts";

/** A folder that goes with the test. */
function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "oz-disk-"));
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe("the Node disk is a Disk", () => {
  testDisk(async () => {
    const root = temporaryFolder();
    const disk = await NodeDisk.prepare(root);
    return { disk, remove: async () => {} };
  });
});

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof DiskError ? error.code : String(error);
}

describe("the Node disk in trouble", () => {
  test("prepare makes the folder and leaves nothing in it", async () => {
    const root = path.join(temporaryFolder(), "deep", "down");
    await NodeDisk.prepare(root);
    expect(fs.readdirSync(root)).toEqual([]);
  });

  test("prepare on a file says so", async () => {
    const file = path.join(temporaryFolder(), "file");
    fs.writeFileSync(file, "x");
    expect(await codeOf(NodeDisk.prepare(file))).toBe("already-exists");
    expect(await codeOf(NodeDisk.prepare(path.join(file, "below")))).toBe("not-directory");
  });

  test("a folder that cannot be made is refused, and soon", async () => {
    // Node's recursive `mkdir` never comes back from /proc, which takes no folders and does not say so.
    const [root, code] = fs.existsSync("/proc/self")
      ? ["/proc", "not-found"]
      : ["/dev/null", "not-directory"];
    expect(await codeOf(NodeDisk.prepare(`${root}/no-such-folder/deep`))).toBe(code);
  });

  test("a folder that may not be written is refused before anything is stored", async () => {
    // Root may write anywhere by its rights, but nobody may make files in /proc.
    const isRoot = process.getuid?.() === 0;
    const root = isRoot && fs.existsSync("/proc/self") ? "/proc/self" : temporaryFolder();
    if (!isRoot) fs.chmodSync(root, 0o500);
    expect(["permission-denied", "read-only", "not-found"]).toContain(await codeOf(NodeDisk.prepare(root)));
  });

  test("a full disk is `no-space`, for small writes and large ones", async () => {
    const root = temporaryFolder();
    const hasFullDevice = fs.existsSync("/dev/full");
    // A device that is always full: the same system call and the same error. Where there is none, a limit on the
    // size of the file is as good: the shell's `ulimit -f` cannot be set from here, so the call itself is replaced.
    if (hasFullDevice) fs.symlinkSync("/dev/full", path.join(root, "full"));
    else fs.writeFileSync(path.join(root, "full"), "");
    const original = { write: fs.write, writeSync: fs.writeSync };
    const full = Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    if (!hasFullDevice) {
      fs.writeSync = () => {
        throw full;
      };
      fs.write = ((...parts: unknown[]) => (parts.at(-1) as (error: Error) => void)(full)) as typeof fs.write;
    }
    const file = await new NodeDisk(root).open("full", "read-write");
    try {
      expect(await codeOf(file.write(new Uint8Array(100), 0))).toBe("no-space");
      expect(await codeOf(file.write(new Uint8Array(inlineWriteBytesMax + 1), 0))).toBe("no-space");
    } finally {
      Object.assign(fs, original);
      await file.close();
    }
  });

  test("errors name the path as the caller knows it, and keep the cause", async () => {
    const disk = await NodeDisk.prepare(temporaryFolder());
    const error = await disk.open("topics/a", "read").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DiskError);
    expect((error as DiskError).message).toBe("open topics/a: not-found");
    expect((error as DiskError).cause).toMatchObject({ code: "ENOENT" });
  });

  test("too many open files is an error of its own, and passes", async () => {
    const disk = await NodeDisk.prepare(temporaryFolder());
    // No need to use them up: the code that the kernel gives is mapped like all others.
    const original = fs.open;
    const failing = ((_path: unknown, _flags: unknown, done: (error: Error) => void) => {
      done(Object.assign(new Error("EMFILE"), { code: "EMFILE" }));
    }) as unknown as typeof fs.open;
    fs.open = failing;
    try {
      expect(await codeOf(disk.open("a", "create"))).toBe("too-many-open-files");
    } finally {
      fs.open = original;
    }
    const file = await disk.open("a", "create");
    await file.close();
  });
});
