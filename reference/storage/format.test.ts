/** The bytes on disk, held to files that people can read: a change here is a change of the format. */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { concatBytes, fromHex, toHex } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { decodeState, encodeState } from "./log-state.ts";
import { decodeOffsetEntry, encodeOffsetEntry } from "./offset-entry.ts";
import { batchLayout } from "./record-batch.ts";
import { SparseIndex } from "./sparse-index.ts";
import { openTestLog, readAll, testDirectory } from "./test-log.ts";

function golden(name: string): Uint8Array {
  const text = fs.readFileSync(path.join(import.meta.dirname, `../testing/golden/${name}.hex`), "utf8");
  return fromHex(text)!;
}

describe("golden bytes", () => {
  test("of a log's state", () => {
    const state = {
      startOffset: 1200,
      epoch: 3,
      recoveryOffset: 4711,
      idMilliseconds: 1_700_000_000_000,
      idSequence: 9,
    };
    expect(toHex(encodeState(state, crc32))).toBe(toHex(golden("log-state")));
    expect(decodeState(golden("log-state"), crc32)).toEqual(state);
  });

  test("of a segment's index", () => {
    const index = new SparseIndex(1000, 16_384);
    index.note(1000, 0, 500);
    index.note(1010, 9000, 900);
    index.note(1020, 18_000, 300);
    const damage = [{ from: 1025, to: 1027, position: 22_000, endPosition: 23_500 }];
    const log = { endOffset: 1030, logLength: 27_000, idMilliseconds: 1_700_000_000_000, damage };
    expect(toHex(index.encode(log, crc32))).toBe(toHex(golden("segment-index")));
    expect(SparseIndex.decode(golden("segment-index"), 1000, 16_384, crc32)?.log).toEqual(log);
  });

  test("of the consumer offsets", () => {
    const set = { group: "billing", topic: "orders", partition: 2, offset: 4711, fence: 5 };
    const removed = { ...set, offset: undefined, fence: 6 };
    const bytes = concatBytes([set, removed].map((entry) => encodeOffsetEntry(entry, crc32)));
    expect(toHex(bytes)).toBe(toHex(golden("consumer-offsets")));
    const first = decodeOffsetEntry(bytes, 0, crc32)!;
    expect([first.entry, decodeOffsetEntry(bytes, first.end, crc32)!.entry]).toEqual([set, removed]);
  });

  test("of a segment: this file is a log", async () => {
    const disk = new SimulatedDisk();
    await disk.makeDirectory(testDirectory);
    disk.poke(`${testDirectory}/00000000000000000007.log`, golden("segment"));
    const log = await openTestLog(disk, { scan: "all" });
    expect(log.findings).toEqual([{ kind: "state-rebuilt", startOffset: 7, epoch: 2 }]);
    expect([...(await readAll(log))]).toEqual([
      [7, "a"],
      [8, "b"],
      [9, "c"],
    ]);
  });
});

describe("FORMAT.md", () => {
  const text = fs.readFileSync(path.join(import.meta.dirname, "FORMAT.md"), "utf8");

  test("says where each field of a batch is, as the code has it", () => {
    const section = text.slice(text.indexOf("### Record batch"), text.indexOf("### Record\n"));
    const rows = [...section.matchAll(/^\| (\d+) \| \d* ?\| (\w+) \|/gm)].map(([, at, field]) => [
      field,
      Number(at),
    ]);
    expect(Object.fromEntries(rows)).toEqual(batchLayout);
  });

  test.each(["record-batch", "segment-index", "log-state", "tombstone-mark", "consumer-offsets"])(
    "shows the golden bytes of %s",
    (name) => {
      const hex = fs.readFileSync(path.join(import.meta.dirname, `../testing/golden/${name}.hex`), "utf8");
      expect(text).toContain(hex.trimEnd());
    },
  );
});
