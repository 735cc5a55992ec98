import { describe, expect, test } from "vitest";
import { DiskError } from "../ports.ts";
import { testDisk } from "../testing/disk-conformance.ts";
import { SimulatedDisk, sectorBytes } from "./disk.ts";

describe("the simulated disk is a Disk", () => {
  testDisk(() =>
    Promise.resolve({ disk: new SimulatedDisk({ timingSeed: 1 }), remove: () => Promise.resolve() }),
  );
});

function bytesOf(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

async function syncedFile(disk: SimulatedDisk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, "create");
  await file.write(bytes, 0);
  await file.sync();
  await file.close();
  await disk.syncDirectory("");
}

/** How often each outcome is seen over many seeds. */
async function outcomes(look: (seed: number) => Promise<string>): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let seed = 0; seed < 300; seed++) seen.add(await look(seed));
  return seen;
}

describe("what a power loss leaves", () => {
  test("what was synced, with its name, is always there", async () => {
    for (let seed = 0; seed < 100; seed++) {
      const disk = new SimulatedDisk();
      await syncedFile(disk, "a", bytesOf(2000, 1));
      expect(disk.restart({ kind: "random", seed }).peek("a")).toEqual(bytesOf(2000, 1));
    }
  });

  test("a kill of the process alone loses nothing, and what was not synced can still be lost afterwards", async () => {
    const disk = new SimulatedDisk();
    const file = await disk.open("a", "create");
    await file.write(bytesOf(10, 1), 0);
    const next = disk.restart({ kind: "everything" });
    expect(next.peek("a")).toEqual(bytesOf(10, 1));
    expect(next.restart({ kind: "nothing" }).paths()).toEqual([]);
  });

  test("a name needs its directory synced: the bytes may be safe and nobody can find them", async () => {
    const disk = new SimulatedDisk();
    const file = await disk.open("a", "create");
    await file.write(bytesOf(10, 1), 0);
    await file.sync();
    const seen = await outcomes(async (seed) =>
      disk.clone().restart({ kind: "random", seed }).paths().join(),
    );
    expect(seen).toEqual(new Set(["", "a"]));
  });

  test("unsynced sectors survive in any combination", async () => {
    const disk = new SimulatedDisk();
    await syncedFile(disk, "a", bytesOf(3 * sectorBytes, 0));
    const file = await disk.open("a", "read-write");
    await file.write(bytesOf(3 * sectorBytes, 1), 0);
    const seen = await outcomes(async (seed) => {
      const bytes = disk.clone().restart({ kind: "random", seed }).peek("a")!;
      return [0, 1, 2].map((sector) => bytes[sector * sectorBytes]).join("");
    });
    expect(seen.size).toBe(8);
  });

  test("a sector is never half old and half new", async () => {
    const disk = new SimulatedDisk();
    await syncedFile(disk, "a", bytesOf(2 * sectorBytes, 0));
    const file = await disk.open("a", "read-write");
    await file.write(bytesOf(2 * sectorBytes, 1), 0);
    await outcomes(async (seed) => {
      const bytes = disk.clone().restart({ kind: "random", seed }).peek("a")!;
      expect(new Set(bytes.subarray(0, sectorBytes)).size).toBe(1);
      return "";
    });
  });

  test("a longer file may come back with zeros, with old bytes or short", async () => {
    const disk = new SimulatedDisk();
    await syncedFile(disk, "a", bytesOf(sectorBytes, 1));
    const file = await disk.open("a", "read-write");
    await file.write(bytesOf(sectorBytes, 2), sectorBytes);
    const seen = await outcomes(async (seed) => {
      const bytes = disk.clone().restart({ kind: "random", seed }).peek("a")!;
      return `${bytes.length}:${bytes[sectorBytes] ?? "none"}`;
    });
    expect(seen).toEqual(new Set(["512:none", "1024:0", "1024:1", "1024:2"]));
  });

  test("a truncation that was not synced can come undone", async () => {
    const disk = new SimulatedDisk();
    await syncedFile(disk, "a", bytesOf(1000, 1));
    const file = await disk.open("a", "read-write");
    await file.truncate(10);
    const seen = await outcomes(async (seed) =>
      String(disk.clone().restart({ kind: "random", seed }).peek("a")!.length),
    );
    expect(seen).toEqual(new Set(["10", "1000"]));
  });

  test("a rename happens or does not: never both names, never none", async () => {
    const disk = new SimulatedDisk();
    await syncedFile(disk, "old", bytesOf(10, 1));
    await syncedFile(disk, "new", bytesOf(10, 2));
    await disk.rename("new", "old");
    const seen = await outcomes(async (seed) => {
      const next = disk.clone().restart({ kind: "random", seed });
      return next
        .paths()
        .map((path) => path + next.peek(path)![0])
        .join();
    });
    expect(seen).toEqual(new Set(["old2", "new2,old1"]));
  });

  test("the same seed leaves the same disk", async () => {
    const disk = new SimulatedDisk();
    const file = await disk.open("a", "create");
    await file.write(bytesOf(20_000, 1), 0);
    const after = (): unknown => disk.clone().restart({ kind: "random", seed: 7 }).peek("a");
    expect(after()).toEqual(after());
  });
});

describe("planned faults", () => {
  test("a crash before a call leaves it undone, a crash after it leaves it done; neither is answered", async () => {
    for (const when of ["before", "after"] as const) {
      const disk = new SimulatedDisk({ faults: [{ call: 1, kind: "crash", when }] });
      const file = await disk.open("a", "create");
      let isAnswered = false;
      void file.write(bytesOf(3, 1), 0).then(() => (isAnswered = true));
      await disk.crashed;
      for (let step = 0; step < 50; step++) await Promise.resolve();
      expect(isAnswered).toBe(false);
      expect(disk.restart({ kind: "everything" }).peek("a")!.length).toBe(when === "before" ? 0 : 3);
    }
  });

  test("a torn write leaves its beginning", async () => {
    const disk = new SimulatedDisk({ faults: [{ call: 1, kind: "torn-write", bytes: 2 }] });
    const file = await disk.open("a", "create");
    void file.write(bytesOf(3, 1), 0);
    await disk.crashed;
    expect(disk.restart({ kind: "everything" }).peek("a")).toEqual(bytesOf(2, 1));
  });

  test("a short write says how short it was", async () => {
    const disk = new SimulatedDisk({ faults: [{ call: 1, kind: "short", bytes: 2 }] });
    const file = await disk.open("a", "create");
    expect(await file.write(bytesOf(3, 1), 0)).toBe(2);
    expect(disk.peek("a")).toEqual(bytesOf(2, 1));
  });

  test("a failed sync drops what was dirty: it can be read, a later sync succeeds, and it is lost", async () => {
    const disk = new SimulatedDisk({ faults: [{ call: 3, kind: "fail", code: "input-output" }] });
    const file = await disk.open("a", "create");
    await disk.syncDirectory("");
    await file.write(bytesOf(3, 1), 0);
    await expect(file.sync()).rejects.toBeInstanceOf(DiskError);
    expect(disk.peek("a")).toEqual(bytesOf(3, 1));
    expect(disk.clone().restart({ kind: "random", seed: 1 }).peek("a")).toEqual(new Uint8Array(0));
    await file.sync();
    expect(disk.clone().restart({ kind: "nothing" }).peek("a")).toEqual(new Uint8Array(0));
  });

  test("after a failed sync only what is written again is synced", async () => {
    const disk = new SimulatedDisk();
    await syncedFile(disk, "a", bytesOf(sectorBytes, 1));
    disk.replan({ faults: [{ call: 2, kind: "fail", code: "input-output" }] });
    const file = await disk.open("a", "read-write");
    await file.write(bytesOf(sectorBytes, 2), sectorBytes);
    await expect(file.sync()).rejects.toBeInstanceOf(DiskError);
    await file.write(bytesOf(sectorBytes, 3), 2 * sectorBytes);
    await file.sync();
    const left = disk.restart({ kind: "nothing" }).peek("a")!;
    expect([0, 1, 2].map((sector) => left[sector * sectorBytes])).toEqual([1, 0, 3]);
  });

  test("a note stands in the trace between the calls", async () => {
    const disk = new SimulatedDisk();
    const file = await disk.open("a", "create");
    disk.note("told");
    await file.sync();
    expect(disk.trace).toEqual(["0 open a create", "told", "1 sync a"]);
  });

  test("a full disk takes what fits and then nothing", async () => {
    const disk = new SimulatedDisk({ capacityBytes: 10 });
    const file = await disk.open("a", "create");
    expect(await file.write(bytesOf(8, 1), 0)).toBe(8);
    expect(await file.write(bytesOf(8, 1), 8)).toBe(2);
    await expect(file.write(bytesOf(1, 1), 10)).rejects.toMatchObject({ code: "no-space" });
    expect(await file.write(bytesOf(8, 2), 0)).toBe(8);
    await file.truncate(0);
    expect(await file.write(bytesOf(8, 3), 0)).toBe(8);
  });

  test("a timing seed makes calls overlap, the same way each time", async () => {
    const orderOf = async (timingSeed: number): Promise<string> => {
      const disk = new SimulatedDisk({ timingSeed });
      const file = await disk.open("a", "create");
      const done: number[] = [];
      await Promise.all(
        [0, 1, 2, 3].map((part) => file.write(bytesOf(1, part), part).then(() => done.push(part))),
      );
      return done.join("");
    };
    expect(await orderOf(3)).toBe(await orderOf(3));
    const orders = new Set(await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(orderOf)));
    expect(orders.size).toBeGreaterThan(1);
  });
});
