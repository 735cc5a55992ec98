/**
 * The worker that runs one suite, once: Vitest's own runner, `expect` and `vi`, on the modules that the page sends.
 *
 * It is started before it is needed and thrown away after its job, so that nothing that a submission leaves behind (a
 * timer, a changed prototype, an endless loop) is there for the next run.
 */
import { vitestConfig } from "./vitest-state.ts";
import * as vitest from "vitest";
import { inspect, setupCommonEnv, startTests } from "vitest/internal/browser";
import { testOptionsOf } from "../../runner/config.ts";
import { captureConsole } from "../../runner/console.ts";
import { eventRunnerOf, type RunnerMessage } from "../../runner/event-runner.ts";
import { rawErrorOf } from "../../runner/raw-error.ts";
import { stackTraceLimit } from "../../runner/stack.ts";
import type { RunWorkerJob, RunWorkerReply, RunWorkerRequest } from "../protocol.ts";
import { linkModules } from "./link.ts";
import { onMessage, post } from "./scope.ts";

/** Taken before a suite can put fake timers in its place. */
const realSetTimeout = globalThis.setTimeout;

onMessage<RunWorkerRequest>((request) => {
  if (request.kind === "ping") {
    reply({ kind: "pong", ...heapSize() });
    return;
  }
  run(request).catch((error: unknown) => {
    reply({
      kind: "broken",
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
});

function reply(message: RunWorkerReply): void {
  post(message);
}

async function run(job: RunWorkerJob): Promise<void> {
  Object.assign(globalThis, { ozSeed: job.seed });
  Object.assign(vitestConfig, testOptionsOf(job.exercise));
  await setupCommonEnv(vitestConfig);
  const packages = { vitest, "fast-check": await import("fast-check") };
  const { entryUrl, pathOf } = linkModules(job.modules, packages);

  const emit = (message: RunnerMessage): void => reply({ kind: "message", message });
  const stray = (thrown: unknown): void => emit({ kind: "stray", error: rawErrorOf(thrown, pathOf) });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    stray(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    stray(event.error ?? event.message);
  });
  captureConsole(inspect, (text) => emit({ kind: "console", text }));
  (Error as { stackTraceLimit?: number }).stackTraceLimit = stackTraceLimit;

  let end: RunnerMessage | undefined;
  const { only, except } = job;
  const EventRunner = eventRunnerOf(vitest.TestRunner, {
    emit: (message) => {
      if (message.kind === "ended") end = message;
      else emit(message);
    },
    pathOf,
    except,
    ...(only === undefined ? {} : { only }),
  });
  class WorkerRunner extends EventRunner {
    override trace = runUntraced;
    override importFile(): unknown {
      return import(entryUrl);
    }
  }
  const runner = new WorkerRunner(vitestConfig);
  await startTests([job.modules.at(-1)?.path ?? ""], runner);
  // A promise that was rejected in the last moment is reported in a task of its own: let that come first.
  if (end !== undefined) realSetTimeout(emit, 0, end);
}

/** Vitest can trace its own steps; here nobody looks. Attributes may be left out. */
function runUntraced<T>(_name: string, attributes: object | (() => T), callback?: () => T): T {
  return (callback ?? (attributes as () => T))();
}

/** Chromium alone tells a worker how much memory its objects take. */
function heapSize(): { heapBytes?: number } {
  const { memory } = performance as { memory?: { usedJSHeapSize: number } };
  return memory === undefined ? {} : { heapBytes: memory.usedJSHeapSize };
}

reply({ kind: "ready" });
// Nobody waits now: take the time to make the other package ready.
void import("fast-check");
