/**
 * The page's end of a run worker, and the watch over it.
 *
 * A worker that is caught in a loop cannot say so: it says nothing. So the page asks it, several times a second,
 * whether it still gets control, and stops it by force when no answer and no progress comes for too long.
 */
import { stoppedByUser } from "../runner/limits.ts";
import type { RawError, RunEvent } from "../backend.ts";
import type { RunnerScript } from "./runner-script.ts";
import type { RunWorkerJob, RunWorkerReply, RunWorkerRequest } from "./protocol.ts";

/** How one worker's work ended. */
export type Outcome =
  | { readonly kind: "ended" }
  | { readonly kind: "load-failed"; readonly errors: readonly RawError[] }
  /** It stopped answering; `test` is the one that had started and not ended, if there was one. */
  | { readonly kind: "hung"; readonly test: string | undefined; readonly isLoaded: boolean }
  | { readonly kind: "stopped"; readonly reason: string }
  | { readonly kind: "broken"; readonly reason: string };

/** How often the page asks, and counts. */
const tickMs = 100;

/** A suite that answers but is not loaded after so many times the silence that is allowed will never be. */
const loadingSilences = 5;

/** A worker that has started to load, for one job. */
export class RunWorker {
  readonly #script: RunnerScript;
  #worker: Worker | undefined;
  /** Set when the worker failed or was ended. */
  #failure: string | undefined;
  #isReady = false;
  /** What the job waits for; set anew when there is one. */
  #onReady: () => void = () => {};
  #onReply: (reply: RunWorkerReply) => void = () => {};
  #onFailure: (reason: string) => void = () => {};

  constructor(script: RunnerScript) {
    this.#script = script;
    void this.#start();
  }

  async #start(): Promise<void> {
    const address = await this.#script.address();
    if (this.#failure !== undefined) return;
    const fail = (message: string): void => {
      if (!this.#isReady && this.#failure === undefined && this.#script.refuse(address)) void this.#start();
      else this.end(`the runner at ${this.#script.url.href} failed: ${message || "it could not be loaded"}`);
    };
    try {
      this.#worker = new Worker(address, { type: "module", name: "offset-zero run" });
    } catch (error) {
      return fail(String(error));
    }
    this.#worker.addEventListener("error", (event) => fail(event.message));
    this.#worker.addEventListener("message", ({ data }: MessageEvent<RunWorkerReply>) => {
      if (data.kind !== "ready") return this.#onReply(data);
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
    this.#worker?.terminate();
    this.#onFailure(this.#failure);
  }

  /**
   * Does the job and ends the worker. `onEvent` hears of everything but the end; `silenceMs` is how long the worker may
   * say nothing before it counts as hung.
   */
  run(
    job: RunWorkerJob,
    silenceMs: number,
    onEvent: (event: RunEvent) => void,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      let isOver = false;
      const watch = new Watch(silenceMs, (outcome) => settle(outcome));
      const stop = (): void => settle({ kind: "stopped", reason: stoppedByUser });
      const settle = (outcome: Outcome): void => {
        isOver = true;
        watch.stop();
        signal?.removeEventListener("abort", stop);
        this.#worker?.terminate();
        resolve(outcome);
      };
      this.#onFailure = (reason) => settle({ kind: "broken", reason });
      if (this.#failure !== undefined) return this.#onFailure(this.#failure);
      if (signal?.aborted) return stop();
      signal?.addEventListener("abort", stop);
      this.#onReply = (reply) => {
        // What the worker said before it was stopped may still arrive after.
        const outcome = isOver ? undefined : take(reply, watch, onEvent);
        if (outcome !== undefined) settle(outcome);
      };
      // On a slow line the runner takes its time to arrive; the watch is over the submission alone.
      this.#onReady = () => {
        this.#send({ kind: "run", ...job });
        watch.start(() => this.#send({ kind: "ping" }));
      };
      if (this.#isReady) this.#onReady();
    });
  }

  #send(request: RunWorkerRequest): void {
    this.#worker?.postMessage(request);
  }
}

/** Acts on one message of a worker at work; returns how the work ended once it has. */
function take(reply: RunWorkerReply, watch: Watch, onEvent: (event: RunEvent) => void): Outcome | undefined {
  if (reply.kind === "broken") return reply;
  if (reply.kind === "pong") watch.heard();
  if (reply.kind !== "message") return undefined;
  const { message } = reply;
  if (message.kind === "ended" || message.kind === "load-failed") return message;
  watch.follow(message);
  onEvent(message);
  return undefined;
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
  #ticks = 0;
  #isLoaded = false;
  /** The tests that have started and not ended; more than one when tests run concurrently. */
  readonly #running = new Set<string>();

  constructor(silenceMs: number, onHung: (outcome: Outcome) => void) {
    this.#silentTicksMax = Math.ceil(silenceMs / tickMs);
    this.#onHung = onHung;
  }

  start(ask: () => void): void {
    this.#timer = setInterval(() => {
      const isLoadingTooLong = !this.#isLoaded && ++this.#ticks > loadingSilences * this.#silentTicksMax;
      if (++this.#silentTicks > this.#silentTicksMax || isLoadingTooLong) {
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
