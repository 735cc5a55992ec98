import { expect, test } from "vitest";
import { VirtualClock } from "../../testing/clock.ts";
import { SimulatedDisk } from "../../simulator/disk.ts";
import { AppendBuffers, smallChunkBytes } from "../../storage/append-buffers.ts";
import { Log } from "../../storage/log.ts";
import { batchOf, stillClock } from "../../storage/test-log.ts";
import { untilRoom } from "./log-room.ts";

/** Lets everything happen that waits for no time and no disk. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

test("a log without room waits while other logs hold the memory, and lets them write", async () => {
  const writing = Promise.withResolvers<void>();
  let isSlow = false;
  const disk = new SimulatedDisk({ gate: () => (isSlow ? writing.promise : undefined) });
  const buffers = new AppendBuffers(smallChunkBytes);
  const open = async (directory: string): Promise<Log> => {
    await disk.makeDirectory(directory);
    return Log.open({ disk, directory, clock: stillClock, fsync: "always", buffers });
  };
  const busy = await open("topics/busy/0");
  const quiet = await open("topics/quiet/0");
  isSlow = true;
  busy.append(batchOf("one"));
  await settle();
  expect(quiet.append(batchOf("two"))).toMatchObject({ kind: "refused", reason: "overloaded" });

  const clock = new VirtualClock();
  let isOver = false;
  const waiting = untilRoom(quiet, clock).then(() => (isOver = true));
  await settle();
  expect(isOver, "it would ask again at once, for ever").toBe(false);
  isSlow = false;
  writing.resolve();
  await busy.committed();
  clock.advance(5);
  await waiting;
  expect(quiet.append(batchOf("two"))).toMatchObject({ kind: "appended" });
  await quiet.committed();
});
