/**
 * What every Disk must do, as tests: call it in a `*.test.ts` with a way to make an empty one.
 *
 * Only what the port promises is tested. What a disk loses in a crash is not: no test can take the power away from a
 * real one, and the simulated disk's own tests see to that its losses are as bad as promised.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { DiskError, type Disk, type DiskErrorCode, type DiskFile, type OpenMode } from "../ports.ts";

/** An empty disk to test, and what cleans up after it. */
export interface DiskUnderTest {
  readonly disk: Disk;
  readonly remove: () => Promise<void>;
}

/** Registers the tests. */
export function testDisk(make: () => Promise<DiskUnderTest>): void {
  const rig = new Rig();
  beforeEach(async () => {
    rig.use(await make());
  });
  afterEach(async () => {
    await rig.cleanUp();
  });
  testBytes(rig);
  testNames(rig);
  testDirectories(rig);
  testHandles(rig);
}

/** The disk of the test that runs now, and the files that it opened. */
class Rig {
  #underTest: DiskUnderTest | undefined;
  #opened: DiskFile[] = [];

  get disk(): Disk {
    return this.#underTest!.disk;
  }

  use(underTest: DiskUnderTest): void {
    this.#underTest = underTest;
  }

  async cleanUp(): Promise<void> {
    for (const file of this.#opened.splice(0)) await file.close();
    await this.#underTest?.remove();
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await this.disk.open(path, mode);
    this.#opened.push(file);
    return file;
  }

  /** A file with this text. */
  async put(path: string, text: string): Promise<DiskFile> {
    const file = await this.open(path, "create");
    await file.write(bytesOf(text), 0);
    return file;
  }

  async textOf(path: string): Promise<string> {
    const file = await this.open(path, "read");
    const target = new Uint8Array(100);
    return String.fromCharCode(...target.subarray(0, await file.read(target, 0)));
  }
}

function testBytes(rig: Rig): void {
  test("what was written is read again, at its position", async () => {
    const file = await rig.open("a", "create");
    expect(await file.write(bytesOf("hello"), 0)).toBe(5);
    expect(await file.write(bytesOf("world"), 3)).toBe(5);
    expect(await rig.textOf("a")).toBe("helworld");
    const target = new Uint8Array(3);
    expect(await file.read(target, 2)).toBe(3);
    expect(String.fromCharCode(...target)).toBe("lwo");
  });

  test("a read at the end of a file brings nothing, and one across it brings the rest", async () => {
    const file = await rig.put("a", "hello");
    const target = new Uint8Array(10);
    expect(await file.read(target, 5)).toBe(0);
    expect(await file.read(target, 500)).toBe(0);
    expect(await file.read(target, 3)).toBe(2);
  });

  test("a write past the end fills the gap with zeros", async () => {
    const file = await rig.open("a", "create");
    await file.write(bytesOf("x"), 3);
    expect(await rig.textOf("a")).toBe("\0\0\0x");
    expect(await file.length()).toBe(4);
  });

  test("truncate cuts and extends, and what was cut does not come back", async () => {
    const file = await rig.put("a", "hello");
    await file.truncate(2);
    expect(await rig.textOf("a")).toBe("he");
    await file.truncate(4);
    expect(await rig.textOf("a")).toBe("he\0\0");
    expect(await file.length()).toBe(4);
  });

  test("the caller may reuse its bytes once the write has resolved", async () => {
    const file = await rig.open("a", "create");
    const bytes = bytesOf("first");
    await file.write(bytes, 0);
    bytes.fill(0);
    expect(await rig.textOf("a")).toBe("first");
  });

  test("a write of nothing and a read of nothing are fine", async () => {
    const file = await rig.put("a", "x");
    expect(await file.write(new Uint8Array(0), 0)).toBe(0);
    expect(await file.read(new Uint8Array(0), 0)).toBe(0);
  });

  test("large writes arrive whole and in order when they overlap in time", async () => {
    const file = await rig.open("a", "create");
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
}

function testNames(rig: Rig): void {
  test("sync and syncDirectory succeed on what is there", async () => {
    const file = await rig.put("a", "x");
    await file.sync();
    await rig.disk.makeDirectory("b/c");
    await rig.disk.syncDirectory("b");
    await rig.disk.syncDirectory("");
    expect(await rig.textOf("a")).toBe("x");
  });

  test("open modes: read needs the file, create makes it or keeps it, create-new insists on making it", async () => {
    expect(await codeOf(rig.open("a", "read"))).toBe("not-found");
    expect(await codeOf(rig.open("a", "read-write"))).toBe("not-found");
    await rig.put("a", "kept");
    await rig.open("a", "create");
    expect(await rig.textOf("a")).toBe("kept");
    expect(await codeOf(rig.open("a", "create-new"))).toBe("already-exists");
    await rig.open("b", "create-new");
    expect(await rig.disk.list("")).toEqual(["a", "b"]);
  });

  test("a file opened for reading cannot be written", async () => {
    await rig.put("a", "x");
    const file = await rig.open("a", "read");
    await expect(file.write(bytesOf("y"), 0)).rejects.toBeInstanceOf(DiskError);
    expect(await rig.textOf("a")).toBe("x");
  });

  test("a directory is no file, and a file is no directory", async () => {
    await rig.disk.makeDirectory("d");
    await rig.put("f", "x");
    expect(await codeOf(rig.open("d", "read"))).toBe("is-directory");
    expect(await codeOf(rig.open("d", "read-write"))).toBe("is-directory");
    expect(await codeOf(rig.disk.list("f"))).toBe("not-directory");
    expect(await codeOf(rig.open("f/x", "create"))).toBe("not-directory");
  });
}

function testDirectories(rig: Rig): void {
  test("list is sorted and holds names, not paths", async () => {
    await rig.disk.makeDirectory("d");
    await rig.put("d/b", "");
    await rig.put("d/a", "");
    await rig.disk.makeDirectory("d/c");
    expect(await rig.disk.list("d")).toEqual(["a", "b", "c"]);
    expect(await codeOf(rig.disk.list("e"))).toBe("not-found");
  });

  test("makeDirectory makes those above it and does not mind what is there", async () => {
    await rig.disk.makeDirectory("a/b/c");
    await rig.disk.makeDirectory("a/b/c");
    await rig.put("a/b/c/f", "x");
    expect(await rig.textOf("a/b/c/f")).toBe("x");
  });

  test("rename replaces its target, and whoever has the old file open keeps it", async () => {
    const old = await rig.put("b", "old");
    await rig.put("a", "new");
    await rig.disk.rename("a", "b");
    expect(await rig.disk.list("")).toEqual(["b"]);
    expect(await rig.textOf("b")).toBe("new");
    const target = new Uint8Array(3);
    await old.read(target, 0);
    expect(String.fromCharCode(...target)).toBe("old");
    expect(await codeOf(rig.disk.rename("a", "c"))).toBe("not-found");
  });

  test("a removed file is gone from its directory and stays readable for who has it open", async () => {
    const file = await rig.put("a", "still");
    await rig.disk.remove("a");
    expect(await rig.disk.list("")).toEqual([]);
    expect(await codeOf(rig.disk.remove("a"))).toBe("not-found");
    expect(await file.read(new Uint8Array(5), 0)).toBe(5);
  });

  test("remove takes an empty directory and no other", async () => {
    await rig.disk.makeDirectory("d");
    await rig.put("d/a", "");
    expect(await codeOf(rig.disk.remove("d"))).toBe("not-empty");
    await rig.disk.remove("d/a");
    await rig.disk.remove("d");
    expect(await rig.disk.list("")).toEqual([]);
  });
}

function testHandles(rig: Rig): void {
  test("a closed file refuses everything, and closing it again is fine", async () => {
    const file = await rig.put("a", "x");
    await file.close();
    await file.close();
    expect(await codeOf(file.read(new Uint8Array(1), 0))).toBe("closed");
    expect(await codeOf(file.write(bytesOf("y"), 0))).toBe("closed");
    expect(await codeOf(file.sync())).toBe("closed");
    expect(await codeOf(file.truncate(0))).toBe("closed");
    expect(await codeOf(file.length())).toBe("closed");
  });

  test("close waits for the calls in flight", async () => {
    const file = await rig.open("a", "create");
    const bytes = new Uint8Array(500_000).fill(7);
    const [count] = await Promise.all([file.write(bytes, 0), file.close()]);
    expect(count).toBe(bytes.length);
    const again = await rig.open("a", "read");
    expect(await again.length()).toBe(bytes.length);
  });

  test.each(["../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/.", "a\\b", "a\0b"])(
    "the path %j does not leave the disk",
    async (path) => {
      expect(await codeOf(rig.open(path, "create"))).toBe("permission-denied");
      expect(await codeOf(rig.disk.makeDirectory(path))).toBe("permission-denied");
      expect(await codeOf(rig.disk.remove(path))).toBe("permission-denied");
    },
  );
}

/** The code that an attempt fails with. */
async function codeOf(attempt: Promise<unknown>): Promise<DiskErrorCode | "no error" | "no disk error"> {
  try {
    await attempt;
    return "no error";
  } catch (error) {
    return error instanceof DiskError ? error.code : "no disk error";
  }
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
