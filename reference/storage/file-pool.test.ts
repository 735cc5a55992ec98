import { describe, expect, test } from "vitest";
import { SimulatedDisk } from "../simulator/disk.ts";
import { FilePool, type PooledFile } from "./file-pool.ts";

async function poolOf(
  files: number,
  bound: number,
): Promise<{ disk: SimulatedDisk; pool: FilePool; all: PooledFile[] }> {
  const disk = new SimulatedDisk();
  const pool = new FilePool(disk, bound);
  for (let number = 0; number < files; number++) disk.poke(`file ${number}`, new Uint8Array([number]));
  const all = Array.from({ length: files }, (_, number) => pool.file(`file ${number}`, "read-write"));
  return { disk, pool, all };
}

const byteOf = async (file: PooledFile): Promise<number | undefined> => {
  const target = new Uint8Array(1);
  await file.read(target, 0);
  return target[0];
};

describe("a pool of files", () => {
  test("keeps no more open than its bound, and reads from any of them", async () => {
    const { disk, pool, all } = await poolOf(10, 3);
    for (let round = 0; round < 3; round++) {
      for (const [number, file] of all.entries()) {
        expect(await byteOf(file)).toBe(number);
        expect(pool.openCount).toBeLessThanOrEqual(3);
      }
    }
    for (const file of all) await file.close();
    expect([pool.openCount, disk.openFiles]).toEqual([0, 0]);
  });

  test("closes the one that was used longest ago", async () => {
    const { disk, all } = await poolOf(4, 3);
    for (const number of [0, 1, 2, 0, 3]) await byteOf(all[number]!);
    const opensBefore = disk.counts["open"];
    await byteOf(all[0]!);
    expect(disk.counts["open"]).toBe(opensBefore);
    await byteOf(all[1]!);
    expect(disk.counts["open"]).toBe(opensBefore! + 1);
  });

  test("opens a file once, however many ask at the same time", async () => {
    const { disk, all } = await poolOf(1, 3);
    expect(await Promise.all([1, 2, 3].map(() => byteOf(all[0]!)))).toEqual([0, 0, 0]);
    expect(disk.counts["open"]).toBe(1);
  });

  test("never closes a file with writes that are not synced, and closes it soon after", async () => {
    const { disk, pool, all } = await poolOf(5, 1);
    await all[0]!.write(new Uint8Array([7]), 0);
    for (const file of all.slice(1)) await byteOf(file);
    const opens = disk.counts["open"];
    await all[0]!.sync();
    expect(disk.counts["open"]).toBe(opens);
    for (const file of all.slice(1)) await byteOf(file);
    expect(pool.openCount).toBe(1);
    expect(await byteOf(all[0]!)).toBe(7);
  });

  test("a write during a sync keeps the file open until the next one", async () => {
    const { disk, all } = await poolOf(3, 1);
    await all[0]!.write(new Uint8Array([7]), 0);
    const syncing = all[0]!.sync();
    await all[0]!.write(new Uint8Array([8]), 0);
    await syncing;
    for (const file of all.slice(1)) await byteOf(file);
    const opens = disk.counts["open"];
    expect(await byteOf(all[0]!)).toBe(8);
    expect(disk.counts["open"]).toBe(opens);
  });

  test("close waits for who reads, and refuses who comes later", async () => {
    const { disk, all } = await poolOf(1, 1);
    const reading = byteOf(all[0]!);
    await all[0]!.close();
    expect(await reading).toBe(0);
    await expect(byteOf(all[0]!)).rejects.toMatchObject({ code: "closed" });
    expect(disk.openFiles).toBe(0);
  });

  test("a file that was made must be there when it is opened again", async () => {
    const { disk, pool, all } = await poolOf(2, 1);
    const made = pool.file("new", "create");
    await made.prepare();
    made.markMade();
    await byteOf(all[0]!);
    await disk.remove("new");
    await expect(byteOf(made)).rejects.toMatchObject({ code: "not-found" });
  });

  test("after `reopen`, whatever has the name is opened", async () => {
    const { disk, all } = await poolOf(2, 5);
    await byteOf(all[0]!);
    await disk.rename("file 1", "file 0");
    expect(await byteOf(all[0]!)).toBe(0);
    await all[0]!.reopen();
    expect(await byteOf(all[0]!)).toBe(1);
  });
});
