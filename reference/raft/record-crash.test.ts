/**
 * Records on a disk that tears sectors: the power goes at every call, and what was promised is there
 * afterwards.
 */
import { expect, test } from "vitest";
import type { Write } from "./effects.ts";
import type { Entry } from "./entry.ts";
import { applyWrite, emptyState, type DurableState } from "./persistence.ts";
import { RecordEncoder, recoverRecords } from "./record.ts";
import { exploreCrashPoints } from "#reference/simulator/disk-explore.ts";
import { SimulatedDisk } from "#reference/simulator/disk.ts";
import { RaftDisk } from "#reference/simulator/raft/disk.ts";
import { Scheduler } from "#reference/simulator/scheduler.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Disk } from "../ports.ts";

/**
 * Writes of a log that grows, is cut and is compacted. Records are larger than a sector, so that they tear.
 */
function writes(): Write[] {
  const command = (index: number, term: number): Entry => {
    return { kind: "command", index, term, data: new Uint8Array(700).fill(index) };
  };
  const none = { votedFor: undefined, snapshot: undefined, replaceFrom: undefined, entries: [] };
  const configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] };
  const snapshot = { index: 2, term: 1, configuration, data: new Uint8Array(900).fill(7) };
  return [
    { ...none, number: 1, term: 1, votedFor: "n1" },
    {
      ...none,
      number: 2,
      term: 1,
      votedFor: "n1",
      replaceFrom: 1,
      entries: [1, 2, 3].map((at) => command(at, 1)),
    },
    { ...none, number: 3, term: 2, replaceFrom: 3, entries: [command(3, 2), command(4, 2)] },
    { ...none, number: 4, term: 2, votedFor: "n2", snapshot },
    { ...none, number: 5, term: 3, replaceFrom: 5, entries: [command(5, 3)] },
  ];
}

const states = writes().reduce<DurableState[]>(
  (all, write) => [...all, applyWrite(all.at(-1)!, write)],
  [emptyState],
);

async function readAll(disk: Disk): Promise<Uint8Array> {
  const file = await disk.open("state", "create");
  const bytes = new Uint8Array(await file.length());
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

test("after a power loss at any call, everything that was durable is recovered, and nothing half", async () => {
  const { checks } = await exploreCrashPoints<{ durable: number }>({
    makeNotes: () => ({ durable: 0 }),
    run: async (disk, notes) => {
      const file = await disk.open("state", "create");
      await disk.syncDirectory("");
      const encoder = new RecordEncoder();
      let position = 0;
      for (const write of writes()) {
        const bytes = encoder.encode(write);
        await file.write(bytes, position);
        position += bytes.length;
        await file.sync();
        encoder.markDurable();
        notes.durable = write.number;
      }
      await file.close();
    },
    check: async (disk, notes) => {
      const found = recoverRecords(await readAll(disk));
      if (found.kind !== "recovered") throw new Error(found.problem);
      if (found.records < notes.durable)
        throw new Error(`${found.records} records, ${notes.durable} were durable`);
      expect(found.state).toEqual(states[found.records]);
    },
  });
  expect(checks).toBeGreaterThan(100);
});

test("two records in one sync: the second may survive the first, and is not believed", async () => {
  const disk = new SimulatedDisk();
  const encoder = new RecordEncoder();
  const [first, second] = writes().map((write) => encoder.encode(write));
  disk.poke("state", new Uint8Array([...new Uint8Array(first!.length), ...second!]));
  const found = recoverRecords(await readAll(disk));
  expect(found).toMatchObject({ kind: "recovered", records: 0, bytes: 0 });
});

test("the simulator's disk holds what applyWrite says, naive against fast", () => {
  const scheduler = new Scheduler();
  const disk = new RaftDisk(scheduler, new SeededRandom(1), { kind: "constant", ms: 1 });
  const listener = { onDurable: () => undefined, onError: () => expect.unreachable() };
  for (const [place, write] of writes().entries()) {
    disk.write(write, listener);
    scheduler.runUntil(scheduler.nowUs + 10_000);
    expect(disk.load()).toEqual(states[place + 1]);
  }
});
