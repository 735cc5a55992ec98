/**
 * What Vitest's own pools set up before they load Vitest: its state and settings, in the global place where it looks
 * for them. This file must be imported before `vitest` is.
 *
 * The shape is Vitest's private matter. The version is pinned exactly, and the parity test compares every grade with
 * that of Vitest on Node, so an update that moves something here is seen at once.
 */
import type { SerializedConfig } from "vitest";

const ignoreCall = async (): Promise<void> => {};

/** Snapshots stand in the suite itself; there are no files to read or write. */
const snapshotEnvironment = {
  getVersion: () => "1",
  getHeader: () => "// Vitest Snapshot v1",
  resolvePath: async (path: string) => `${path}.snap`,
  resolveRawPath: async (_testPath: string, rawPath: string) => rawPath,
  readSnapshotFile: async () => null,
  saveSnapshotFile: ignoreCall,
  removeSnapshotFile: ignoreCall,
};

/** Settings that no grade depends on; those that do come with each job (`testOptionsOf`). */
const settings = {
  root: "/",
  name: undefined,
  setupFiles: [],
  testNamePattern: undefined,
  tags: [],
  tagsFilter: undefined,
  strictTags: false,
  taskTitleValueFormatTruncate: 40,
  logHeapUsage: false,
  defines: {},
  env: {},
  diff: undefined,
  snapshotSerializers: [],
  snapshotOptions: { expand: false, updateSnapshot: "none", snapshotEnvironment },
  clearMocks: false,
  mockReset: false,
  restoreMocks: false,
  unstubEnvs: false,
  unstubGlobals: false,
  expect: { requireAssertions: false, poll: {} },
  experimental: { viteModuleRunner: false, importDurations: { limit: 0 } },
};

/** The configuration that Vitest's parts share; `run.worker.ts` completes it before it loads a suite. */
export const vitestConfig = settings as unknown as SerializedConfig;

Object.defineProperty(globalThis, "__vitest_worker__", {
  value: {
    ctx: { pool: "browser" },
    config: vitestConfig,
    environment: { name: "browser" },
    rpc: new Proxy({}, { get: () => ignoreCall }),
    providedContext: {},
    durations: { environment: 0, prepare: 0, fetch: 0 },
    moduleExecutionInfo: new Map(),
    dependencies: new Set(),
    filepath: "",
    onCleanup() {},
    onCancel() {},
  },
});
