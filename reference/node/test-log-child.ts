/**
 * A process for `storage/log.process.test.ts` to kill: appends records to a log as fast as it can and prints
 * each offset that was acknowledged. `node test-log-child.ts FOLDER always|everysec|never`
 */
import { nodeClock } from "./clock.ts";
import { NodeDisk } from "./disk.ts";
import { Log, type FsyncPolicy } from "../storage/log.ts";
import { batchOf, testDirectory, textOf } from "../storage/test-log.ts";

const [root, fsync] = process.argv.slice(2);
const disk = await NodeDisk.prepare(root ?? ".");
const log = await Log.open({
  disk,
  directory: testDirectory,
  clock: nodeClock,
  fsync: fsync as FsyncPolicy,
  segmentBytesMax: 50_000,
  recycledMax: 2,
});
process.stdout.write(`from ${log.endOffset}\n`);
for (;;) {
  for (let batch = 0; batch < 5; batch++) {
    const next = log.endOffset;
    const result = log.append(batchOf(textOf(next), textOf(next + 1), textOf(next + 2)));
    if (result.kind === "refused") throw new Error(result.detail);
  }
  const result = await log.committed();
  if (result.kind === "failed") throw result.error;
  process.stdout.write(`acknowledged ${result.endOffset}\n`);
  // Old records go, so that files are recycled under the fire.
  if (result.endOffset % 3000 === 0) await log.trim(result.endOffset - 1500);
}
