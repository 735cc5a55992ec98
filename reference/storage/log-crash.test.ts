/**
 * Crashes at every call to the disk. The promises that must hold, whatever the crash leaves:
 *
 * - opening never throws, finds no damage, and leaves no file open;
 * - what was acknowledged is there, with its contents, at its offset;
 * - what else is there is a prefix of what was appended: no record is torn, moved or invented;
 * - opening again, also after a crash while opening, gives the same log;
 * - the log goes on: appends after recovery are as safe as those before.
 */
import { describe, expect, test } from "vitest";
import { exploreCrashPoints, type CrashScript } from "../simulator/disk-explore.ts";
import { SimulatedDisk } from "../simulator/disk.ts";
import { batchOf, openTestLog, readAll, textOf } from "./test-log.ts";

/** What a run was promised. */
interface Notes {
  /** Texts by offset, in the order of the appends. */
  readonly appended: string[];
  /** All records before this offset were acknowledged. */
  acknowledgedEnd: number;
  /** The start offset was promised to be here at least. */
  trimmedTo: number;
  /** The trim that was asked for. */
  trimAsked: number;
}

const makeNotes = (): Notes => ({ appended: [], acknowledgedEnd: 0, trimmedTo: 0, trimAsked: 0 });
const options = { segmentBytesMax: 700, indexIntervalBytes: 200 };

type Log = Awaited<ReturnType<typeof openTestLog>>;

function append(log: Log, notes: Notes, count: number): void {
  const texts = Array.from({ length: count }, (_, index) => textOf(notes.appended.length + index));
  const result = log.append(batchOf(...texts));
  expect(result).toMatchObject({ kind: "appended", baseOffset: notes.appended.length });
  notes.appended.push(...texts);
}

async function commit(log: Log, notes: Notes): Promise<void> {
  const end = notes.appended.length;
  const result = await log.committed();
  expect(result.kind).toBe("committed");
  notes.acknowledgedEnd = Math.max(notes.acknowledgedEnd, end);
}

/** Opens what a crash left and holds it against the promises; resolves to the records. */
async function checkPromises(disk: SimulatedDisk, notes: Notes): Promise<Map<number, string>> {
  const log = await openTestLog(disk, options);
  const records = await readAll(log);
  const { startOffset, endOffset } = log;
  // Plain comparisons: this runs tens of thousands of times.
  const must = (isTrue: boolean, promise: string): void => {
    if (!isTrue)
      throw new Error(`${promise}: log from ${startOffset} to ${endOffset}, ${JSON.stringify(log.findings)}`);
  };
  must(log.damage.length === 0, "a crash is no damage");
  must(
    [0, notes.trimmedTo, notes.trimAsked].includes(startOffset),
    "the start moves only where it was asked to",
  );
  must(startOffset >= notes.trimmedTo, "what was trimmed stays trimmed");
  must(endOffset === log.committedEnd, "everything recovered can be read");
  must(endOffset >= notes.acknowledgedEnd, `all records before ${notes.acknowledgedEnd} were acknowledged`);
  must(endOffset <= Math.max(notes.appended.length, startOffset), "no record is invented");
  must(records.size === endOffset - startOffset, "no offset is missing");
  for (const [offset, text] of records)
    must(text === notes.appended[offset], `record ${offset} is another one`);
  must((await log.close()).kind === "committed", "closes");
  must(disk.openFiles === 0, `${disk.openFiles} files are left open`);
  return records;
}

/** The promises, and that they hold again after the next append and the next crash. */
async function checkAndGoOn(disk: SimulatedDisk, notes: Notes): Promise<void> {
  const untouched = disk.clone();
  const records = await checkPromises(disk, notes);
  // Recovery is idempotent: a second start, and a start after losing what the first did not sync, see the same.
  expect(await checkPromises(disk.restart({ kind: "nothing" }), notes)).toEqual(records);
  // And the log goes on.
  const log = await openTestLog(untouched, options);
  const next = log.endOffset;
  log.append(batchOf("after the crash"));
  expect((await log.committed()).kind).toBe("committed");
  const last = await openTestLog(untouched.restart({ kind: "random", seed: 1 }), options);
  expect((await readAll(last)).get(next)).toBe("after the crash");
}

const appending: CrashScript<Notes> = {
  makeNotes,
  check: checkAndGoOn,
  run: async (disk, notes) => {
    const log = await openTestLog(disk, options);
    for (let round = 0; round < 4; round++) {
      append(log, notes, 1 + (round % 3));
      await commit(log, notes);
    }
    await log.close();
  },
};

describe("a crash at any call", () => {
  test("of appending: what was acknowledged is there", async () => {
    const { calls, checks } = await exploreCrashPoints(appending, { outcomes: 6 });
    expect(calls).toBeLessThanOrEqual(60);
    expect(checks).toBe(calls * 2 * 8);
  });

  test("of rolling to new segments, with several batches in a round", async () => {
    const script: CrashScript<Notes> = {
      ...appending,
      run: async (disk, notes) => {
        const log = await openTestLog(disk, options);
        for (let round = 0; round < 6; round++) {
          for (let batch = 0; batch < 4; batch++) append(log, notes, 2);
          await commit(log, notes);
        }
        await log.close();
      },
    };
    const explored = await exploreCrashPoints(script, { outcomes: 4, exhaustiveCallsMax: 150 });
    expect(explored.checks).toBeGreaterThan(0);
  });

  test("of recovery itself", async () => {
    // First the worst of many crashes while appending: unsynced sectors in all combinations.
    const notes = makeNotes();
    const before = new SimulatedDisk();
    const log = await openTestLog(before, options);
    for (let round = 0; round < 5; round++) {
      append(log, notes, 2);
      await commit(log, notes);
    }
    append(log, notes, 3);
    append(log, notes, 3);
    for (let step = 0; step < 12; step++) await Promise.resolve();
    for (let seed = 0; seed < 8; seed++) {
      const start = before.clone().restart({ kind: "random", seed });
      const recovering: CrashScript<Notes> = {
        start,
        makeNotes: () => notes,
        check: checkAndGoOn,
        run: async (disk) => {
          await openTestLog(disk, options);
        },
      };
      const explored = await exploreCrashPoints(recovering, { outcomes: 2, seed });
      expect(explored.checks).toBeGreaterThan(0);
    }
  });

  test("of trimming and retention", async () => {
    const script: CrashScript<Notes> = {
      ...appending,
      run: async (disk, notes) => {
        const log = await openTestLog(disk, { ...options, recycledMax: 2 });
        for (let round = 0; round < 8; round++) {
          append(log, notes, 3);
          await commit(log, notes);
        }
        notes.trimAsked = 13;
        notes.trimmedTo = await log.trim(13);
        // These go into the files of the segments that were removed.
        for (let round = 0; round < 6; round++) {
          append(log, notes, 3);
          await commit(log, notes);
        }
        await log.close();
      },
    };
    const explored = await exploreCrashPoints(script, { outcomes: 4, sample: 150 });
    expect(explored.checks).toBeGreaterThan(0);
  });
});
