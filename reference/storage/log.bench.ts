/**
 * How fast the log takes records, without sockets: `node reference/storage/log.bench.ts [--seconds 3] [--dir PATH]`.
 *
 * Batches are made once and appended again and again, up to a bound of bytes that are not committed yet, as a server
 * with so many requests in flight would. `growing` writes into new files, `recycled` into files of removed segments.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { fastChecksum } from "../node/checksum/fast-crc32.ts";
import { nodeClock } from "../node/clock.ts";
import { NodeDisk } from "../node/disk.ts";
import { Log, type FsyncPolicy } from "./log.ts";
import { encodeRecordBatch } from "./record-batch-builder.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    dir: { type: "string", default: os.tmpdir() },
    record: { type: "string", default: "100" },
    json: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);
const recordBytes = Number(values.record);
const inFlightBytesMax = 4 * 1024 * 1024;
const recordsInFlightMax = 20_000;
const segmentBytesMax = 128 * 1024 * 1024;

interface Row {
  readonly fsync: FsyncPolicy;
  readonly files: "growing" | "recycled";
  readonly batch: number;
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly roundsPerSecond: number;
}

async function measure(fsync: FsyncPolicy, files: Row["files"], batch: number): Promise<Row> {
  const root = fs.mkdtempSync(path.join(values.dir, "oz-bench-"));
  try {
    const disk = await NodeDisk.prepare(root);
    const log = await Log.open({
      disk,
      directory: "log",
      clock: nodeClock,
      checksum: fastChecksum,
      fsync,
      segmentBytesMax,
      recycledMax: files === "recycled" ? 8 : 0,
      schedule: setImmediate,
    });
    const value = new Uint8Array(recordBytes).fill(120);
    const bytes = encodeRecordBatch(
      Array.from({ length: batch }, () => ({ value })),
      { timestampMs: Date.now() },
    );
    const batchesInFlight = Math.max(
      4,
      Math.min(Math.floor(inFlightBytesMax / bytes.length), Math.ceil(recordsInFlightMax / batch)),
    );
    let rounds = 0;
    const run = async (untilMs: number): Promise<number> => {
      const startOffset = log.endOffset;
      let kept = log.startOffset;
      while (performance.now() < untilMs) {
        for (let index = 0; index < batchesInFlight; index++) {
          const result = log.append(bytes);
          if (result.kind === "refused") throw new Error(result.detail);
        }
        const result = await log.committed();
        if (result.kind === "failed") throw result.error;
        rounds++;
        if (log.sizeBytes > 4 * segmentBytesMax && log.startOffset === kept) {
          kept = -1;
          void log.applyRetention({ retentionBytes: 3 * segmentBytesMax }).then((offset) => (kept = offset));
        }
      }
      return log.endOffset - startOffset;
    };
    // Enough to fill, and then to recycle, segments before the clock runs.
    const warmUntil = performance.now() + 60_000;
    if (files === "recycled") {
      while (log.startOffset === 0 && performance.now() < warmUntil) await run(performance.now() + 200);
    }
    await run(performance.now() + 500);
    rounds = 0;
    const startMs = performance.now();
    const records = await run(startMs + seconds * 1000);
    const elapsed = (performance.now() - startMs) / 1000;
    await log.close();
    return {
      fsync,
      files,
      batch,
      recordsPerSecond: Math.round(records / elapsed),
      megabytesPerSecond: Math.round((records * recordBytes) / elapsed / 1e6),
      roundsPerSecond: Math.round(rounds / elapsed),
    };
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}

const rows: Row[] = [];
for (const fsync of ["everysec", "always"] as const) {
  for (const files of ["growing", "recycled"] as const) {
    for (const batch of [1, 100, 1000]) rows.push(await measure(fsync, files, batch));
  }
}
if (values.json) console.log(JSON.stringify({ recordBytes, seconds, rows }));
else console.table(rows);
