/**
 * The module that Vitest loads as its runner in a child process or a container: the shared runner, with its messages
 * going to the file descriptor that `run.json` names.
 */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { TestRunner } from "vitest";
import { inspect } from "vitest/internal/browser";
import { captureConsole } from "../runner/console.ts";
import { eventRunnerOf, type RunnerMessage } from "../runner/event-runner.ts";
import { rawErrorOf } from "../runner/raw-error.ts";
import { stackTraceLimit } from "../runner/stack.ts";
import type { WireMessage } from "./lines.ts";
import { readRunFile, send } from "./messages.ts";

type Config = ConstructorParameters<typeof TestRunner>[0];

/** The suite that runs in this thread; there is one thread, and one suite at a time. */
let suite = "";
let root = "";
let messagesFd = -1;
let isPrepared = false;
/** Taken before a suite can put fake timers in its place. */
const realSetImmediate = globalThis.setImmediate;

/** What Vitest calls with `new` for each suite file. */
export default function ProcessRunner(config: Config): TestRunner {
  root = config.root;
  const runFile = readRunFile(root);
  messagesFd = runFile.messagesFd;
  if (!isPrepared) prepare(runFile.seed);
  isPrepared = true;
  const Base = eventRunnerOf(TestRunner, {
    emit,
    pathOf,
    ...(runFile.only === undefined ? {} : { only: runFile.only }),
    turn: () => new Promise((resolve) => void realSetImmediate(resolve)),
    except: (name) => runFile.except[suite]?.includes(name) === true,
  });
  class Runner extends Base {
    // Not onCollectStart: Vitest in a worker puts an answer from its main thread in front of that.
    override importFile(path: string, source: "collect" | "setup"): unknown {
      suite = projectPath(path);
      emit({ kind: "loading" });
      return super.importFile(path, source);
    }
  }
  return new Runner(config);
}

function emit(message: RunnerMessage | WireMessage): void {
  send(messagesFd, { suite, message });
}

/** What has to be so before any suite is loaded. */
function prepare(seed: number): void {
  Error.stackTraceLimit = stackTraceLimit;
  (globalThis as { ozSeed?: number }).ozSeed = seed;
  captureConsole(
    (value) => inspect(value),
    (text) => emit({ kind: "console", text }),
  );
  const onStray = (reason: unknown): void => emit({ kind: "stray", error: rawErrorOf(reason, pathOf) });
  process.on("unhandledRejection", onStray);
  process.on("uncaughtException", onStray);
}

/** A location in a stack as a path of the project; a variant's own folder (`v12/`) is no part of it. */
function pathOf(location: string): string | undefined {
  if (location.startsWith("node:")) return undefined;
  const path = projectPath(location.startsWith("file:") ? fileURLToPath(location) : location);
  return /^(v\d+\/)?(exercises|reference)\//.test(path) ? path.replace(/^v\d+\//, "") : undefined;
}

function projectPath(path: string): string {
  return relative(root, path).replaceAll("\\", "/");
}
