/**
 * The embedded backend: runs a submission in the page, with no server, no special headers, and no network once the
 * runner's files are there.
 *
 * What it cannot do is limit memory: no browser tells a page how much a worker takes. A submission that allocates
 * without end is stopped when it stops answering, as any endless loop is.
 *
 * The page keeps one worker that compiles and one spare worker that has Vitest loaded. A run takes the spare and
 * starts the next one after it, so that a learner waits for the tests and for nothing else.
 */
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import type { Backend, RawError, RunEnd, RunEvent, RunRequest } from "../backend.ts";
import { hangsMax, hungTooOften, neverLoaded, stoppedByUser, stuckBetweenTests } from "../runner/limits.ts";
import type { PreparedModule } from "../source/prepare.ts";
import { startCompiler, type Compiler } from "./compiler.ts";
import { RunWorker } from "./run-worker.ts";
import { RunnerScript } from "./runner-script.ts";

export interface EmbeddedOptions {
  /** The folder in which `scripts/build-runner.ts` put the workers, as the page sees it; ends with a slash. */
  readonly runnerBase: URL;
  /** The `version` of the runner's manifest: a cache may then keep the workers for ever. */
  readonly version?: string;
  /** How long a worker may say nothing before it counts as hung; one second over the exercise's limit when absent. */
  readonly hangAfterMs?: number;
}

export interface EmbeddedBackend extends Backend {
  readonly name: "embedded";
  /**
   * Starts what a run needs before anybody asks for one, and reads the files of `bundle`. Cheap to call again: call it
   * when a learner comes near an exercise.
   */
  prewarm(bundle?: ExerciseBundle): void;
  /** What would keep `submission` from being run: syntax, imports, exports. Nothing is run. Empty when all is well. */
  check(bundle: ExerciseBundle, submission: string): Promise<readonly RawError[]>;
}

const disposed = "the backend was disposed of";

/** Over the exercise's own limit, for a test that runs a little late and then ends by itself. */
const graceMs = 1_000;

/** Makes the backend. Nothing is loaded before `prewarm` or the first run. */
export function createEmbeddedBackend(options: EmbeddedOptions): EmbeddedBackend {
  const workers = new Workers(options);
  /** Runs take turns: two at once would take each other's processor time, and so each other's limits. */
  let last: Promise<unknown> = Promise.resolve();
  return {
    name: "embedded",
    prewarm: (bundle) => workers.prewarm(bundle),
    async check(bundle, submission) {
      const preparation = await workers.compiler.prepare(bundle, submission);
      return preparation.kind === "refused" ? preparation.errors : [];
    },
    run(request, onEvent, signal) {
      const turn = last.then(() => runOnce(workers, options, request, onEvent, signal));
      last = turn;
      return turn;
    },
    async dispose() {
      workers.dispose();
    },
  };
}

async function runOnce(
  workers: Workers,
  options: EmbeddedOptions,
  request: RunRequest,
  onEvent: (event: RunEvent) => void,
  signal: AbortSignal | undefined,
): Promise<RunEnd> {
  const stopped: RunEnd = { kind: "stopped", reason: stoppedByUser };
  if (signal?.aborted) return stopped;
  workers.prewarm();
  const preparation = await workers.compiler.prepare(request.bundle, request.submission);
  if (signal?.aborted) return stopped;
  if (preparation.kind === "broken") return preparation;
  if (preparation.kind === "refused") return { kind: "unloadable", errors: preparation.errors };
  return runToEnd(workers, options, request, preparation.modules, onEvent, signal);
}

/** Runs the suite; after a hang, goes on with the tests that are left, in a fresh worker. */
async function runToEnd(
  workers: Workers,
  options: EmbeddedOptions,
  request: RunRequest,
  modules: readonly PreparedModule[],
  onEvent: (event: RunEvent) => void,
  signal: AbortSignal | undefined,
): Promise<RunEnd> {
  const { exercise, editable } = request.bundle;
  const { seed, only } = request;
  const silenceMs = options.hangAfterMs ?? exercise.testTimeLimitMs + graceMs;
  const reported = new Set<string>();
  let names: readonly string[] | undefined;
  const pass = (event: RunEvent): void => {
    if (event.kind === "collected") {
      // A worker that takes over finds the same tests again.
      if (names !== undefined) return;
      names = event.names;
    }
    if (event.kind === "finished" || event.kind === "timed-out") reported.add(event.name);
    onEvent(event);
  };

  for (let hangs = 1; ; hangs++) {
    const job = {
      modules,
      exercise: { testTimeLimitMs: exercise.testTimeLimitMs },
      seed,
      except: [...reported],
    };
    const outcome = await workers.run(only === undefined ? job : { ...job, only }, silenceMs, pass, signal);
    switch (outcome.kind) {
      case "ended":
        return { kind: "completed" };
      case "load-failed":
        return { kind: "unloadable", errors: outcome.errors };
      case "hung":
        break;
      case "stopped":
      case "broken":
        return outcome;
    }
    if (!outcome.isLoaded) return { kind: "unloadable", errors: [endlessLoading(editable)] };
    if (outcome.test === undefined) return { kind: "stopped", reason: stuckBetweenTests };
    pass({ kind: "timed-out", name: outcome.test, afterMs: silenceMs });
    if (names?.every((name) => reported.has(name))) return { kind: "completed" };
    if (hangs === hangsMax) return { kind: "stopped", reason: hungTooOften };
  }
}

function endlessLoading(file: string): RawError {
  return { name: "SyntaxError", message: neverLoaded, stack: [{ file, line: 1, method: "" }] };
}

/** The workers that are alive: the compiler, the spare that waits for the next run, and the one at work. */
class Workers {
  readonly #runScript: RunnerScript;
  readonly #compileUrl: URL;
  #compiler: Compiler | undefined;
  #spare: RunWorker | undefined;
  #running: RunWorker | undefined;
  #isDisposed = false;

  constructor({ runnerBase, version }: EmbeddedOptions) {
    const query = version === undefined ? "" : `?v=${encodeURIComponent(version)}`;
    this.#compileUrl = new URL(`compile.js${query}`, runnerBase);
    this.#runScript = new RunnerScript(new URL(`run.js${query}`, runnerBase));
  }

  get compiler(): Compiler {
    if (this.#compiler?.isUsable !== true) this.#compiler = startCompiler(this.#compileUrl);
    return this.#compiler;
  }

  prewarm(bundle?: ExerciseBundle): void {
    if (this.#isDisposed) return;
    if (this.#spare?.isUsable !== true) this.#spare = new RunWorker(this.#runScript);
    // The stub and the suite are there: reading them now fills the compiler's memory with the files that stay.
    if (bundle === undefined) void this.compiler;
    else void this.compiler.prepare(bundle, bundle.files[bundle.editable] ?? "");
  }

  /** Hands the job to the spare worker, and starts the next spare when the job is done. */
  async run(...args: Parameters<RunWorker["run"]>): ReturnType<RunWorker["run"]> {
    if (this.#isDisposed) return { kind: "broken", reason: disposed };
    this.prewarm();
    this.#running = this.#spare;
    this.#spare = undefined;
    const outcome = await (this.#running as RunWorker).run(...args);
    this.#running = undefined;
    this.prewarm();
    return outcome;
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#compiler?.dispose();
    this.#spare?.end(disposed);
    this.#running?.end(disposed);
  }
}
