/**
 * A disk that is watched: how long syncs take, and which operations fail with what. It changes nothing else.
 */
import type { BrokerMetrics } from "../observability/broker-metrics.ts";
import { DiskError, type Disk, type DiskErrorCode, type DiskFile, type OpenMode } from "../ports.ts";

/** What is counted. `BrokerMetrics` fits. */
export type DiskMeter = Pick<BrokerMetrics, "syncDuration" | "diskFailed">;

/** Answers that are part of the work: a file that is looked for, made anew, or closed under a waiting read. */
const expectedCodes: ReadonlySet<DiskErrorCode> = new Set(["not-found", "already-exists", "closed"]);

/** `disk`, with its syncs timed and its failures counted. `nowMs` is a monotonic clock. */
export function meteredDisk(disk: Disk, meter: DiskMeter, nowMs: () => number): Disk {
  const counted = <Value>(operation: Promise<Value>): Promise<Value> =>
    operation.catch((error: unknown) => {
      if (error instanceof DiskError && !expectedCodes.has(error.code)) meter.diskFailed(error.code);
      throw error;
    });
  const fileOf = (file: DiskFile): DiskFile => ({
    path: file.path,
    read: (target, position) => file.read(target, position),
    write: (source, position) => counted(file.write(source, position)),
    async sync() {
      const startedAtMs = nowMs();
      await counted(file.sync());
      meter.syncDuration.observe((nowMs() - startedAtMs) / 1000);
    },
    truncate: (length) => counted(file.truncate(length)),
    length: () => file.length(),
    close: () => file.close(),
  });
  return {
    open: async (path: string, mode: OpenMode) => fileOf(await counted(disk.open(path, mode))),
    list: (path) => disk.list(path),
    makeDirectory: (path) => counted(disk.makeDirectory(path)),
    rename: (source, target) => counted(disk.rename(source, target)),
    remove: (path) => counted(disk.remove(path)),
    syncDirectory: (path) => counted(disk.syncDirectory(path)),
  };
}
