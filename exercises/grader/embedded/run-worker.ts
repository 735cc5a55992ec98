/**
 * The page's end of a run worker, and the watch over it.
 *
 * A worker that is caught in a loop cannot say so: it says nothing. So the page asks it, several times a second,
 * whether it still gets control, and stops it by force when no answer and no progress comes for too long.
 */
import { outOfMemory, stoppedByUser } from "../runner/limits.ts";
import type { RawError, RunEvent } from "../backend.ts";
import type { RunWorkerJob, RunWorkerReply, RunWorkerRequest } from "./protocol.ts";

/** How one worker's work ended. */
export type Outcome =
  | { readonly kind: "ended" }
  | { readonly kind: "load-failed"; readonly errors: readonly RawError[] }
  /** It stopped answering; `test` is the one that had started and not ended, if there was one. */
  | { readonly kind: "hung"; readonly test: string | undefined; readonly isLoaded: boolean }
  | { readonly kind: "stopped"; readonly reason: string }
  | { readonly kind: "broken"; readonly reason: string };

/** What a worker is held to. */
export interface Limits {
  /** How long it may say nothing before it counts as hung. */
  readonly silenceMs: number;
  readonly memoryMiB: number;
}

/** How often the page asks, and counts. */
const tickMs = 100;

/** A worker that has started to load, for one job. */
export class RunWorker {
  readonly #worker: Worker;
  /** Told when the worker fails; set anew for the job. */
  #onFailure: (reason: string) => void = () => {};
  #failure: string | undefined;
  #isReady = false;
  #onReady: () => void = () => {};

  constructor(url: URL) {
    this.#worker = new Worker(url, { type: "module", name: "offset-zero run" });
    this.#worker.addEventListener("error", (event) => {
      this.end(`the runner at ${url.href} failed: ${event.message || "it could not be loaded"}`);
    });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<RunWorkerReply>) => {
      if (data.kind !== "ready") return;
      this.#isReady = true;
      this.#onReady();
    });
  }

  /** Whether the worker can still be given a job. */
  get isUsable(): boolean {
    return this.#failure === undefined;
  }

  /** Stops the worker by force; a job that it has ends as `broken` with the reason. */
  end(reason: string): void {
    this.#failure ??= reason;
    this.#worker.terminate();
    this.#onFailure(this.#failure);
  }

  /** Does the job and ends the worker. `onEvent` hears of everything but the end. */
  run(
    job: RunWorkerJob,
    limits: Limits,
    onEvent: (event: RunEvent) => void,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      const watch = new Watch(limits.silenceMs, (outcome) => settle(outcome));
      const stop = (): void => settle({ kind: "stopped", reason: stoppedByUser });
      const settle = (outcome: Outcome): void => {
        watch.stop();
        signal?.removeEventListener("abort", stop);
        this.#worker.terminate();
        resolve(outcome);
      };
      this.#onFailure = (reason) => settle({ kind: "broken", reason });
      if (this.#failure !== undefined) return this.#onFailure(this.#failure);
      if (signal?.aborted) return stop();
      signal?.addEventListener("abort", stop);
      this.#worker.addEventListener("message", ({ data }: MessageEvent<RunWorkerReply>) => {
        const outcome = take(data, limits, watch, onEvent);
        if (outcome !== undefined) settle(outcome);
      });
      // On a slow line the runner takes its time to arrive; the watch is over the submission alone.
      this.#onReady = () => {
        this.#send({ kind: "run", ...job });
        watch.start(() => this.#send({ kind: "ping" }));
      };
      if (this.#isReady) this.#onReady();
    });
  }

  #send(request: RunWorkerRequest): void {
    this.#worker.postMessage(request);
  }
}

/** Acts on one message of a worker at work; returns how the work ended once it has. */
function take(
  reply: RunWorkerReply,
  limits: Limits,
  watch: Watch,
  onEvent: (event: RunEvent) => void,
): Outcome | undefined {
  switch (reply.kind) {
    case "ready":
      return undefined;
    case "pong":
      watch.heard();
      return (reply.heapBytes ?? 0) > limits.memoryMiB * 2 ** 20
        ? { kind: "stopped", reason: outOfMemory(limits.memoryMiB) }
        : undefined;
    case "broken":
      return reply;
    case "message":
      if (reply.message.kind === "ended" || reply.message.kind === "load-failed") return reply.message;
      watch.follow(reply.message);
      onEvent(reply.message);
      return undefined;
  }
}

/**
 * Counts how long a worker has been silent. It counts its own ticks instead of reading a clock: when the page sleeps
 * (a closed lid, a background tab), nothing ticks, and no worker is stopped for a silence that nobody could break.
 */
class Watch {
  readonly #silentTicksMax: number;
  readonly #onHung: (outcome: Outcome) => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #silentTicks = 0;
  #isLoaded = false;
  /** The tests that have started and not ended; more than one when tests run concurrently. */
  readonly #running = new Set<string>();

  constructor(silenceMs: number, onHung: (outcome: Outcome) => void) {
    this.#silentTicksMax = Math.ceil(silenceMs / tickMs);
    this.#onHung = onHung;
  }

  start(ask: () => void): void {
    this.#timer = setInterval(() => {
      if (++this.#silentTicks > this.#silentTicksMax) {
        this.#onHung({ kind: "hung", test: [...this.#running].at(-1), isLoaded: this.#isLoaded });
      } else {
        ask();
      }
    }, tickMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The worker got control, or made progress. */
  heard(): void {
    this.#silentTicks = 0;
  }

  /** Keeps track of where the run is. Printing is no progress: an endless loop can do that too. */
  follow(event: RunEvent): void {
    switch (event.kind) {
      case "collected":
        this.#isLoaded = true;
        return this.heard();
      case "started":
        this.#running.add(event.name);
        return this.heard();
      case "finished":
      case "timed-out":
        this.#running.delete(event.name);
        return this.heard();
      case "console":
      case "stray":
        return;
    }
  }
}
