/**
 * The page of the browser tests: the backend as a site would use it, within reach of the test.
 */
import type { RunEnd, RunEvent, RunRequest } from "../../backend.ts";
import { createEmbeddedBackend, type EmbeddedBackend } from "../index.ts";

/** What a run was, from the page's side. */
export interface PageRun {
  readonly events: readonly RunEvent[];
  readonly end: RunEnd;
  readonly firstResultMs: number;
  readonly totalMs: number;
}

export interface PageOptions {
  readonly hangAfterMs?: number;
  /** Presses the stop button when a test of this name starts. */
  readonly stopAt?: string;
  /** Uses another folder than the one where the runner is. */
  readonly runnerFolder?: string;
}

const backends = new Map<string, EmbeddedBackend>();

async function run(request: RunRequest, options: PageOptions = {}): Promise<PageRun> {
  const { runnerFolder = "runner/", hangAfterMs, stopAt } = options;
  const key = JSON.stringify([runnerFolder, hangAfterMs]);
  const runnerBase = new URL(runnerFolder, location.href);
  const backend =
    backends.get(key) ?? createEmbeddedBackend({ runnerBase, ...(hangAfterMs && { hangAfterMs }) });
  backends.set(key, backend);
  const button = new AbortController();
  const events: RunEvent[] = [];
  const startedAt = performance.now();
  let firstResultMs = Number.NaN;
  const onEvent = (event: RunEvent): void => {
    events.push(event);
    if (event.kind === "finished" && Number.isNaN(firstResultMs))
      firstResultMs = performance.now() - startedAt;
    if (event.kind === "started" && event.name === stopAt) button.abort();
  };
  const end = await backend.run(request, onEvent, button.signal);
  return { events, end, firstResultMs, totalMs: performance.now() - startedAt };
}

declare global {
  var offsetZero: { run: typeof run };
}

globalThis.offsetZero = { run };
