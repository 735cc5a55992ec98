import { expect, test } from "vitest";
import { BrokerMetrics } from "../observability/broker-metrics.ts";
import { MetricsRegistry } from "../observability/metrics.ts";
import { DiskError, type Disk, type DiskFile } from "../ports.ts";
import { meteredDisk } from "./metered-disk.ts";

const nothing = async (): Promise<void> => {};

test("syncs are timed; failures are counted by their code and passed on; what is expected is not a failure", async () => {
  let nowMs = 0;
  const failing = { sync: false };
  const file: DiskFile = {
    path: "a",
    read: async () => 0,
    write: async () => Promise.reject(new DiskError("no-space", "write", "a")),
    sync: async () => {
      nowMs += 250;
      if (failing.sync) throw new DiskError("input-output", "sync", "a");
    },
    truncate: nothing,
    length: async () => 7,
    close: nothing,
  };
  const inner: Disk = {
    open: async () => file,
    list: async () => ["a"],
    makeDirectory: nothing,
    rename: nothing,
    remove: async () => Promise.reject(new DiskError("not-found", "remove", "a")),
    syncDirectory: nothing,
  };
  const registry = new MetricsRegistry();
  const disk = meteredDisk(inner, new BrokerMetrics(registry, "1"), () => nowMs);
  const opened = await disk.open("a", "create");
  await opened.sync();
  failing.sync = true;
  await expect(opened.sync()).rejects.toMatchObject({ code: "input-output" });
  await expect(opened.write(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "no-space" });
  await expect(disk.remove("a")).rejects.toMatchObject({ code: "not-found" });
  expect([opened.path, await opened.length(), await disk.list("")]).toEqual(["a", 7, ["a"]]);
  const text = registry.expose();
  expect(text).toContain("oz_disk_sync_duration_seconds_sum 0.25\n");
  expect(text).toContain('oz_disk_errors_total{code="no-space"} 1\n');
  expect(text).toContain('oz_disk_errors_total{code="input-output"} 1\n');
  expect(text).not.toContain('code="not-found"');
});
