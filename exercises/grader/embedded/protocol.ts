/**
 * What the page and its two workers say to each other. Everything is plain data, because it crosses a border between
 * threads; one worker reads and checks sources, the other runs one suite once and is thrown away.
 */
import type { Exercise } from "#exercises/lib/exercise.ts";
import type { RunnerMessage } from "../runner/event-runner.ts";
import type { Preparation, PreparedModule, Program } from "../source/prepare.ts";

/** To the compile worker. Each request is answered by one reply with the same `id`. */
export interface CompileRequest {
  readonly id: number;
  readonly program: Program;
  readonly submission: string;
}

export interface CompileReply {
  readonly id: number;
  readonly preparation: Preparation;
}

/** To the run worker: one `run`, and `ping` as often as the page wants to know whether it still gets control. */
export type RunWorkerRequest = ({ readonly kind: "run" } & RunWorkerJob) | { readonly kind: "ping" };

/** One run of one suite. */
export interface RunWorkerJob {
  readonly modules: readonly PreparedModule[];
  readonly exercise: Pick<Exercise, "testTimeLimitMs">;
  readonly seed: number;
  readonly only?: readonly string[];
  /** Tests that an earlier worker reported, or hung in. */
  readonly except: readonly string[];
}

/** From the run worker. */
export type RunWorkerReply =
  /** It has loaded, and can be given its job. */
  | { readonly kind: "ready" }
  /** The answer to a ping. */
  | { readonly kind: "pong" }
  | { readonly kind: "message"; readonly message: RunnerMessage }
  /** Vitest itself failed, or this file did. */
  | { readonly kind: "broken"; readonly reason: string };
