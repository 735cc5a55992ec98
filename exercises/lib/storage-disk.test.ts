import { describe, expect, test } from "vitest";
import { SimulatedDisk } from "#reference/simulator/disk.ts";
import type { ExplanationDetails } from "./explain.ts";
import { batchOf, recordsIn, whereBatch } from "./storage-batch.ts";
import { settles, surviveEveryCrash } from "./storage-disk.ts";
import { todo } from "./todo.ts";

async function failureOf(promise: Promise<unknown>): Promise<Error & ExplanationDetails> {
  try {
    await promise;
  } catch (error) {
    return error as Error & ExplanationDetails;
  }
  throw new Error("it did not fail");
}

/** Writes three bytes and says so, synced before that or after. */
async function writeAndTell(
  disk: SimulatedDisk,
  notes: { told: boolean },
  first: "sync" | "tell",
): Promise<void> {
  const file = await disk.open("a", "create");
  await disk.syncDirectory("");
  await file.write(Uint8Array.of(1, 2, 3), 0);
  if (first === "sync") await file.sync();
  notes.told = true;
  disk.note("told");
  await file.sync();
}

const script = (first: "sync" | "tell") => ({
  makeNotes: () => ({ told: false }),
  run: (disk: SimulatedDisk, notes: { told: boolean }) => writeAndTell(disk, notes, first),
  check: async (disk: SimulatedDisk, { told }: { told: boolean }) => {
    if (told && disk.peek("a")?.length !== 3) throw new Error("what was told is lost");
  },
});

describe("surviveEveryCrash", () => {
  test("passes a program that keeps its word, at every call", async () => {
    expect(await surviveEveryCrash(script("sync"))).toMatchObject({ calls: 5, crashes: 10 });
  });

  test("shows the timeline with the crash, the notes and what was left", async () => {
    const failure = await failureOf(surviveEveryCrash(script("tell")));
    expect(failure.message).toMatch(/^after a crash before call 3: .*/);
    expect(failure.actual).toBe("Error: what was told is lost");
    expect(failure.where).toContain("· told");
    expect(failure.where).toContain("3  sync a   <- the machine stops before this call");
    expect(failure.where).toContain("nothing that was not synced is left");
    expect(failure.where).toContain("a: 0 bytes");
  });

  test("hands an unwritten part on as it is", async () => {
    const run = async (): Promise<void> => todo("write");
    const failure = await failureOf(surviveEveryCrash({ ...script("sync"), run }));
    expect(failure.message).toBe("not written yet: write");
  });
});

describe("settles", () => {
  test("gives the value, and explains what hangs and what throws", async () => {
    expect(await settles("a value", Promise.resolve(7))).toBe(7);
    expect((await failureOf(settles("reading", new Promise(() => {})))).message).toBe(
      "reading never settles",
    );
    const failure = await failureOf(settles("reading", Promise.reject(new Error("no")), new SimulatedDisk()));
    expect([failure.message, failure.actual]).toEqual(["reading threw an exception", "Error: no"]);
  });
});

test("batches are read back as lines, and shown with their fields", () => {
  const batch = batchOf(["a", "b"]);
  expect(recordsIn(batch)).toEqual(["0 a", "1 b"]);
  expect(whereBatch(batch, 0, "here")).toContain("recordCount");
});
