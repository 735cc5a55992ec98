/** The log on a real disk, in real processes that are really killed. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { fastChecksum } from "../node/checksum/fast-crc32.ts";
import { nodeClock } from "../node/clock.ts";
import { NodeDisk } from "../node/disk.ts";
import { Log } from "./log.ts";
import { encodeRecordBatch } from "./record-batch-builder.ts";
import { batchOf, readAll, testDirectory, textOf } from "./test-log.ts";

const child = path.join(import.meta.dirname, "../node/test-log-child.ts");

function temporaryFolder(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), "oz-log-"));
}

function openLog(disk: NodeDisk): Promise<Log> {
  return Log.open({ disk, directory: testDirectory, clock: nodeClock, checksum: fastChecksum, scan: "all" });
}

/** Runs the child until it has acknowledged so many records, and then kills it; resolves to the last number it told. */
async function runAndKill(
  root: string,
  fsync: string,
  records: number,
): Promise<{ from: number; acknowledged: number }> {
  const running = spawn(process.execPath, [child, root, fsync], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  let [from, acknowledged] = [0, 0];
  await new Promise<void>((resolve, reject) => {
    running.once("error", reject);
    running.once("close", () => resolve());
    running.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const [word, number] = line.split(" ");
        if (word === "from") from = Number(number);
        else acknowledged = Number(number);
      }
      if (acknowledged >= from + records) running.kill("SIGKILL");
    });
  });
  return { from, acknowledged };
}

describe("kill -9", () => {
  test.each(["always", "everysec", "never"])(
    "under load, again and again, loses nothing that was acknowledged and tears nothing: %s",
    async (fsync) => {
      const root = temporaryFolder();
      let acknowledgedEnd = 0;
      for (let life = 0; life < 5; life++) {
        const { from, acknowledged } = await runAndKill(root, fsync, 300 + 517 * life);
        expect(from).toBeGreaterThanOrEqual(acknowledgedEnd);
        acknowledgedEnd = acknowledged;
      }
      const log = await openLog(await NodeDisk.prepare(root));
      expect(log.damage).toEqual([]);
      expect(log.endOffset).toBeGreaterThanOrEqual(acknowledgedEnd);
      const records = await readAll(log, 100_000);
      expect(records.size).toBe(log.endOffset - log.startOffset);
      for (const [offset, text] of records) expect(text).toBe(textOf(offset));
      expect((await log.close()).kind).toBe("committed");
      fs.rmSync(root, { recursive: true });
    },
  );
});

describe("a real disk in trouble", () => {
  test("a file that may not grow: the append fails, what was stored is readable, and the log goes on", async () => {
    const root = temporaryFolder();
    const disk = await NodeDisk.prepare(root);
    const log = await openLog(disk);
    log.append(batchOf("first"));
    await log.committed();
    const original = { write: fs.write, writeSync: fs.writeSync };
    const full = Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    fs.writeSync = () => {
      throw full;
    };
    log.append(batchOf("second"));
    const failed = await log.committed();
    Object.assign(fs, original);
    expect(failed).toMatchObject({ kind: "failed", error: { code: "no-space" } });
    expect(log.append(batchOf("third"))).toMatchObject({ kind: "appended", baseOffset: 1 });
    expect((await log.committed()).kind).toBe("committed");
    expect([...(await readAll(log)).values()]).toEqual(["first", "third"]);
    await log.close();
    fs.rmSync(root, { recursive: true });
  });

  test("a directory that is a file is an error with the path, and nothing is left open", async () => {
    const root = temporaryFolder();
    fs.writeFileSync(path.join(root, "topics"), "");
    const disk = new NodeDisk(root);
    await expect(openLog(disk)).rejects.toMatchObject({ code: "not-directory", path: testDirectory });
    fs.rmSync(root, { recursive: true });
  });
});

describe("size", () => {
  test("a clean log is opened without reading its records, and any offset is found with few reads", async () => {
    const root = temporaryFolder();
    const disk = await NodeDisk.prepare(root);
    const options = {
      disk,
      directory: testDirectory,
      clock: nodeClock,
      checksum: fastChecksum,
      fsync: "never" as const,
    };
    const log = await Log.open({ ...options, segmentBytesMax: 8 * 1024 * 1024 });
    const value = new Uint8Array(1000).fill(7);
    const batch = encodeRecordBatch(Array.from({ length: 100 }, () => ({ value })));
    for (let round = 0; round < 600; round++) {
      log.append(batch);
      if (round % 50 === 0) await log.committed();
    }
    await log.close();
    let bytesRead = 0;
    const original = fs.read;
    fs.read = ((...parts: unknown[]) => {
      bytesRead += parts[3] as number;
      return (original as unknown as (...all: unknown[]) => void)(...parts);
    }) as typeof fs.read;
    try {
      const again = await Log.open(options);
      expect(again.endOffset).toBe(60_000);
      // 60 MB of records, and a few kilobytes of index for each 8 MB.
      expect(bytesRead).toBeLessThan(300_000);
      bytesRead = 0;
      const result = await again.read(43_210, 4096);
      expect(result).toMatchObject({ kind: "records" });
      expect(bytesRead).toBeLessThan(250_000);
      await again.close();
    } finally {
      fs.read = original;
    }
    fs.rmSync(root, { recursive: true });
  });
});
