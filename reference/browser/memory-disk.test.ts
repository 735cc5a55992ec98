import { describe } from "vitest";
import { testDisk } from "../testing/disk-conformance.ts";
import { MemoryDisk } from "./memory-disk.ts";

describe("the disk in memory is a Disk", () => {
  testDisk(() => Promise.resolve({ disk: new MemoryDisk(), remove: () => Promise.resolve() }));
});
