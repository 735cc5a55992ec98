/**
 * What every Disk must do, as tests: call it in a `*.test.ts` with a way to make an empty one.
 *
 * Only what the port promises is tested. What a disk loses in a crash is not: no test can take the power away from a
 * real one, and the simulated disk's own tests see to that its losses are as bad as promised.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { DiskError, type Disk, type DiskErrorCode, type DiskFile } from "../ports.ts";

/** An empty disk to test, and what cleans up after it. */
export interface DiskUnderTest {
  readonly disk: Disk;
  readonly remove: () => Promise<void>;
}

/** Registers the tests. */
export function testDisk(make: () => Promise<DiskUnderTest>): void {
  let disk: Disk;
  let remove: () => Promise<void>;
  let opened: DiskFile[] = [];

  beforeEach(async () => {
    ({ disk, remove } = await make());
  });
  afterEach(async () => {
    for (const file of opened) await file.close();
    opened = [];
    await remove();
  });

  const open: Disk["open"] = async (path, mode) => {
    const file = await disk.open(path, mode);
    opened.push(file);
    return file;
  };
  const put = async (path: string, text: string): Promise<DiskFile> => {
    const file = await open(path, "create");
    await file.write(bytesOf(text), 0);
    return file;
  };
  const textOf = async (path: string): Promise<string> => {
    const file = await open(path, "read");
    const target = new Uint8Array(100);
    return String.fromCharCode(...target.subarray(0, await file.read(target, 0)));
  };

  test("what was written is read again, at its position", async () => {
    const file = await open("a", "create");
    expect(await file.write(bytesOf("hello"), 0)).toBe(5);
    expect(await file.write(bytesOf("world"), 3)).toBe(5);
    expect(await textOf("a")).toBe("helworld");
    const target = new Uint8Array(3);
    expect(await file.read(target, 2)).toBe(3);
    expect(String.fromCharCode(...target)).toBe("lwo");
  });

  test("a read at the end of a file brings nothing, and one across it brings the rest", async () => {
    const file = await put("a", "hello");
    const target = new Uint8Array(10);
    expect(await file.read(target, 5)).toBe(0);
    expect(await file.read(target, 500)).toBe(0);
    expect(await file.read(target, 3)).toBe(2);
  });

  test("a write past the end fills the gap with zeros", async () => {
    const file = await open("a", "create");
    await file.write(bytesOf("x"), 3);
    expect(await textOf("a")).toBe("\0\0\0x");
    expect(await file.length()).toBe(4);
  });

  test("truncate cuts and extends, and what was cut does not come back", async () => {
    const file = await put("a", "hello");
    await file.truncate(2);
    expect(await textOf("a")).toBe("he");
    await file.truncate(4);
    expect(await textOf("a")).toBe("he\0\0");
    expect(await file.length()).toBe(4);
  });

  test("the caller may reuse its bytes once the write has resolved", async () => {
    const file = await open("a", "create");
    const bytes = bytesOf("first");
    await file.write(bytes, 0);
    bytes.fill(0);
    expect(await textOf("a")).toBe("first");
  });

  test("a write of nothing and a read of nothing are fine", async () => {
    const file = await put("a", "x");
    expect(await file.write(new Uint8Array(0), 0)).toBe(0);
    expect(await file.read(new Uint8Array(0), 0)).toBe(0);
  });

  test("large writes arrive whole and in order when they overlap in time", async () => {
    const file = await open("a", "create");
    const size = 300_000;
    const parts = [1, 2, 3, 4].map((value) => new Uint8Array(size).fill(value));
    const counts = await Promise.all(parts.map((part, index) => file.write(part, index * size)));
    expect(counts).toEqual([size, size, size, size]);
    const whole = new Uint8Array(4 * size);
    expect(await file.read(whole, 0)).toBe(4 * size);
    parts.forEach((part, index) => {
      expect(whole.subarray(index * size, (index + 1) * size)).toEqual(part);
    });
  });

  test("sync and syncDirectory succeed on what is there", async () => {
    const file = await put("a", "x");
    await file.sync();
    await disk.makeDirectory("b/c");
    await disk.syncDirectory("b");
    await disk.syncDirectory("");
  });

  test("open modes: read needs the file, create makes it or keeps it, create-new insists on making it", async () => {
    await fails("not-found", open("a", "read"));
    await fails("not-found", open("a", "read-write"));
    await put("a", "kept");
    await open("a", "create");
    expect(await textOf("a")).toBe("kept");
    await fails("already-exists", open("a", "create-new"));
    await open("b", "create-new");
    expect(await disk.list("")).toEqual(["a", "b"]);
  });

  test("a file opened for reading cannot be written", async () => {
    await put("a", "x");
    const file = await open("a", "read");
    await expect(file.write(bytesOf("y"), 0)).rejects.toBeInstanceOf(DiskError);
    expect(await textOf("a")).toBe("x");
  });

  test("a directory is no file, and a file is no directory", async () => {
    await disk.makeDirectory("d");
    await put("f", "x");
    await fails("is-directory", open("d", "read"));
    await fails("is-directory", open("d", "read-write"));
    await fails("not-directory", disk.list("f"));
    await fails("not-directory", open("f/x", "create"));
  });

  test("list is sorted and holds names, not paths", async () => {
    await disk.makeDirectory("d");
    await put("d/b", "");
    await put("d/a", "");
    await disk.makeDirectory("d/c");
    expect(await disk.list("d")).toEqual(["a", "b", "c"]);
    await fails("not-found", disk.list("e"));
  });

  test("makeDirectory makes those above it and does not mind what is there", async () => {
    await disk.makeDirectory("a/b/c");
    await disk.makeDirectory("a/b/c");
    await put("a/b/c/f", "x");
    expect(await textOf("a/b/c/f")).toBe("x");
  });

  test("rename replaces its target, and whoever has the old file open keeps it", async () => {
    const old = await put("b", "old");
    await put("a", "new");
    await disk.rename("a", "b");
    expect(await disk.list("")).toEqual(["b"]);
    expect(await textOf("b")).toBe("new");
    const target = new Uint8Array(3);
    await old.read(target, 0);
    expect(String.fromCharCode(...target)).toBe("old");
    await fails("not-found", disk.rename("a", "c"));
  });

  test("a removed file is gone from its directory and stays readable for who has it open", async () => {
    const file = await put("a", "still");
    await disk.remove("a");
    expect(await disk.list("")).toEqual([]);
    await fails("not-found", disk.remove("a"));
    expect(await file.read(new Uint8Array(5), 0)).toBe(5);
  });

  test("remove takes an empty directory and no other", async () => {
    await disk.makeDirectory("d");
    await put("d/a", "");
    await fails("not-empty", disk.remove("d"));
    await disk.remove("d/a");
    await disk.remove("d");
    expect(await disk.list("")).toEqual([]);
  });

  test("a closed file refuses everything, and closing it again is fine", async () => {
    const file = await put("a", "x");
    await file.close();
    await file.close();
    await fails("closed", file.read(new Uint8Array(1), 0));
    await fails("closed", file.write(bytesOf("y"), 0));
    await fails("closed", file.sync());
    await fails("closed", file.truncate(0));
    await fails("closed", file.length());
  });

  test("close waits for the calls in flight", async () => {
    const file = await open("a", "create");
    const bytes = new Uint8Array(500_000).fill(7);
    const [count] = await Promise.all([file.write(bytes, 0), file.close()]);
    expect(count).toBe(bytes.length);
    const again = await open("a", "read");
    expect(await again.length()).toBe(bytes.length);
  });

  test.each(["../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/.", "a\\b", "a\0b"])(
    "the path %j does not leave the disk",
    async (path) => {
      await fails("permission-denied", open(path, "create"));
      await fails("permission-denied", disk.makeDirectory(path));
      await fails("permission-denied", disk.remove(path));
    },
  );
}

async function fails(code: DiskErrorCode, attempt: Promise<unknown>): Promise<void> {
  const error = await attempt.then(
    () => "no error",
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DiskError);
  expect((error as DiskError).code).toBe(code);
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
