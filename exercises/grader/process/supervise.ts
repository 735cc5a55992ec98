/**
 * Runs suites in another process and sees to it that they end, whatever the submission does.
 *
 * A process that is silent for too long, or dies, is replaced by a new one that runs what is left: the test that did
 * it is out, the results so far stay. What a process is, and how it starts, is the host's business.
 */
import type { RunEnd, RunEvent } from "../backend.ts";
import {
  hangsMax,
  hungTooOften,
  neverLoaded,
  outOfMemory,
  processEnded,
  stoppedByUser,
  stuckBetweenTests,
} from "../runner/limits.ts";
import { LineReader, type Envelope, type WireMessage } from "./lines.ts";

/** What the next process is to run. */
export interface ProcessPlan {
  /** Suites by their path from the root of the run. */
  readonly suites: readonly string[];
  /** By suite: the tests that have their results. */
  readonly except: Readonly<Record<string, readonly string[]>>;
}

export interface RunnerProcess {
  /** Settles when the process is gone; `output` is the end of what it printed besides messages. */
  readonly exited: Promise<{ readonly output: string }>;
  /** Ends the process and all that it started. */
  kill(): void;
}

/** Starts processes that run Vitest over a prepared folder. */
export interface RunnerHost {
  start(plan: ProcessPlan, onText: (text: string) => void): Promise<RunnerProcess>;
}

export interface SuperviseSettings {
  readonly suites: readonly string[];
  readonly testTimeLimitMs: number;
  readonly memoryLimitMiB: number;
  /** How long a process may take until it loads the first suite. */
  readonly startTimeLimitMs: number;
  readonly onEvent: (suite: string, event: RunEvent) => void;
  readonly signal?: AbortSignal;
}

/** Beyond a test's own limit, this much silence is allowed: Vitest ends what it can end by itself. */
const graceMs = 1_500;
/** Loading a suite takes as long as its imports; this much is allowed beyond a test's limit. */
const loadGraceMs = 5_000;

/** Why a process is being stopped. */
type StopReason = "silent" | "over-memory" | "aborted";

/** Runs all suites to their end; resolves to how each one ended, and never rejects. */
export async function supervise(
  host: RunnerHost,
  settings: SuperviseSettings,
): Promise<ReadonlyMap<string, RunEnd>> {
  const states = new Map(settings.suites.map((suite) => [suite, new SuiteState(suite, settings.onEvent)]));
  const open = (): readonly SuiteState[] => [...states.values()].filter((state) => state.end === undefined);
  while (open().length > 0) {
    const outcome = await runOnce(host, open(), states, settings);
    if (outcome.kind === "broken") {
      for (const state of open()) state.end = { kind: "broken", reason: outcome.reason };
    } else if (outcome.stopReason === "aborted") {
      for (const state of open()) state.end = { kind: "stopped", reason: stoppedByUser };
    } else {
      settle(outcome, open(), settings);
    }
  }
  return new Map([...states].map(([suite, state]) => [suite, state.end!]));
}

type Outcome =
  | { readonly kind: "broken"; readonly reason: string }
  | {
      readonly kind: "over";
      readonly stopReason: StopReason | undefined;
      /** The suite that was running when the process ended. */
      readonly current: string | undefined;
      readonly silenceMs: number;
      readonly output: string;
    };

/** One process, from its start to its end. */
async function runOnce(
  host: RunnerHost,
  open: readonly SuiteState[],
  states: ReadonlyMap<string, SuiteState>,
  settings: SuperviseSettings,
): Promise<Outcome> {
  const { signal, testTimeLimitMs } = settings;
  if (signal?.aborted)
    return { kind: "over", stopReason: "aborted", current: undefined, silenceMs: 0, output: "" };
  let runner: RunnerProcess | undefined;
  let stopReason: StopReason | undefined;
  let current: string | undefined;
  let lastHeardMs = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (reason: StopReason): void => {
    stopReason ??= reason;
    runner?.kill();
  };
  const watch = (limitMs: number): void => {
    clearTimeout(timer);
    lastHeardMs = performance.now();
    timer = setTimeout(() => stop("silent"), limitMs);
  };
  const onEnvelope = ({ suite, message }: Envelope): void => {
    if (stopReason !== undefined) return;
    if (message.kind === "over-memory") return stop("over-memory");
    if (suite !== "") current = suite;
    watch(message.kind === "loading" ? testTimeLimitMs + loadGraceMs : testTimeLimitMs + graceMs);
    states.get(suite)?.receive(message);
    if (message.kind === "ended" || message.kind === "load-failed") current = undefined;
  };
  const reader = new LineReader(onEnvelope);
  const onAbort = (): void => stop("aborted");
  signal?.addEventListener("abort", onAbort);
  watch(settings.startTimeLimitMs);
  try {
    const except = Object.fromEntries(open.map((state) => [state.suite, state.settledNames()]));
    runner = await host.start({ suites: open.map((state) => state.suite), except }, (text) =>
      reader.push(text),
    );
    if (stopReason !== undefined) runner.kill();
    const { output } = await runner.exited;
    return { kind: "over", stopReason, current, silenceMs: performance.now() - lastHeardMs, output };
  } catch (error) {
    return { kind: "broken", reason: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Decides what the end of a process means for the suite that it was running; others simply run again. */
function settle(
  outcome: Extract<Outcome, { readonly kind: "over" }>,
  open: readonly SuiteState[],
  { memoryLimitMiB }: SuperviseSettings,
): void {
  const state = open.find((candidate) => candidate.suite === outcome.current);
  if (state === undefined) {
    // Nothing was running, and yet not everything was run: Vitest itself did not get there.
    const reason = `the test runner ended without running ${open[0]?.suite}: ${lastLines(outcome.output)}`;
    for (const left of open) left.end = { kind: "broken", reason };
    return;
  }
  const isOutOfMemory = outcome.stopReason === "over-memory" || /heap out of memory/i.test(outcome.output);
  if (isOutOfMemory) state.end = { kind: "stopped", reason: outOfMemory(memoryLimitMiB, state.running) };
  else if (!state.isLoaded) state.end = failedToLoad(state, outcome.stopReason);
  else if (state.running === undefined)
    state.end = { kind: "stopped", reason: stuckBetween(outcome.stopReason) };
  else if (outcome.stopReason === "silent") state.hang(outcome.silenceMs);
  else state.crash();
}

function failedToLoad(state: SuiteState, stopReason: StopReason | undefined): RunEnd {
  const message = stopReason === "silent" ? neverLoaded : "it ends the process while it is loaded";
  const file = state.suite.replace(/^v\d+\//, "").replace(/\.test\.ts$/, ".ts");
  return {
    kind: "unloadable",
    errors: [{ name: "SyntaxError", message, stack: [{ file, line: 1, method: "" }] }],
  };
}

function stuckBetween(stopReason: StopReason | undefined): string {
  return stopReason === "silent" ? stuckBetweenTests : processEnded;
}

/** What is known of one suite, over all the processes that have run a part of it. */
class SuiteState {
  readonly suite: string;
  end: RunEnd | undefined;
  isLoaded = false;
  /** The test that runs now; of several at once, the one that started last. */
  running: string | undefined;
  readonly #onEvent: (suite: string, event: RunEvent) => void;
  readonly #settled = new Set<string>();
  #names: readonly string[] = [];
  #hangs = 0;

  constructor(suite: string, onEvent: (suite: string, event: RunEvent) => void) {
    this.suite = suite;
    this.#onEvent = onEvent;
  }

  settledNames(): readonly string[] {
    return [...this.#settled];
  }

  receive(message: WireMessage): void {
    switch (message.kind) {
      case "loading":
      case "over-memory":
        return;
      case "load-failed":
        this.end = { kind: "unloadable", errors: message.errors };
        return;
      case "ended":
        this.end ??= { kind: "completed" };
        return;
      case "collected":
        this.isLoaded = true;
        if (this.#names.length > 0) return;
        this.#names = message.names;
        break;
      case "started":
        this.running = message.name;
        break;
      case "finished":
      case "timed-out":
        this.#settle(message.name);
        break;
      case "console":
      case "stray":
        break;
      default:
        message satisfies never;
    }
    this.#onEvent(this.suite, message);
  }

  /** The running test never gave control back. */
  hang(afterMs: number): void {
    const name = this.running!;
    this.#settle(name);
    this.#onEvent(this.suite, { kind: "timed-out", name, afterMs: Math.round(afterMs) });
    this.#countHang();
  }

  /** The running test took the process down with it. */
  crash(): void {
    const name = this.running!;
    this.#settle(name);
    const error = { name: "Explanation", message: "It ended the process that runs the tests.", stack: [] };
    this.#onEvent(this.suite, { kind: "finished", name, state: "fail", durationMs: 0, errors: [error] });
    this.#countHang();
  }

  #settle(name: string): void {
    this.#settled.add(name);
    if (this.running === name) this.running = undefined;
  }

  #countHang(): void {
    this.#hangs++;
    this.isLoaded = false;
    const isOver = this.#names.every((name) => this.#settled.has(name));
    if (isOver) this.end = { kind: "completed" };
    else if (this.#hangs === hangsMax) this.end = { kind: "stopped", reason: hungTooOften };
  }
}

/** The end of a process's own output: what it said before it died, in one line. */
function lastLines(output: string): string {
  const text = output.trim().split("\n").slice(-3).join(" ").slice(-300);
  return text === "" ? "it said nothing" : text;
}
