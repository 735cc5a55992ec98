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
import { speakAsNode } from "./platform-words.ts";
import { onMessage, post } from "./scope.ts";

const { port1, port2 } = new MessageChannel();

/**
 * Lets the event loop turn. By a message, because a suite may have replaced the timers, and browsers slow down timers
 * that follow one another. Twice, because a rejection is reported in a task that is put in line by the first turn.
 */
async function turn(): Promise<void> {
  for (let turns = 0; turns < 2; turns++) {
    await new Promise((resolve) => {
      port1.addEventListener("message", resolve, { once: true });
      port1.start();
      port2.postMessage(undefined);
    });
  }
}

onMessage((message) => {
  const request = message as RunWorkerRequest;
  if (request.kind === "ping") {
    reply({ kind: "pong" });
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
  const options = testOptionsOf(job.exercise);
  Object.assign(vitestConfig, options);
  Object.assign(vitest.chai.config, options.chaiConfig);
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
  speakAsNode();
  captureConsole(inspect, (text) => emit({ kind: "console", text }));
  (Error as { stackTraceLimit?: number }).stackTraceLimit = stackTraceLimit;

  const { only } = job;
  const except = new Set(job.except);
  const EventRunner = eventRunnerOf(vitest.TestRunner, {
    emit,
    pathOf,
    turn,
    except: (name) => except.has(name),
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
}

/** Vitest can trace its own steps; here nobody looks. Attributes may be left out. */
function runUntraced<T>(_name: string, attributes: object | (() => T), callback?: () => T): T {
  return (callback ?? (attributes as () => T))();
}

reply({ kind: "ready" });
// Nobody waits now: take the time to make the other package ready.
void import("fast-check");
