/**
 * The one interface behind which submissions run. A backend executes the suite and reports raw events; scoring them
 * is not its business (see `score.ts`), so that every backend is judged by the same code.
 *
 * `local` runs Vitest in a child process, `embedded` runs Vitest's own runner in a browser worker, `webcontainer` runs
 * Vitest inside a WebContainer. All three run the same suite file, and a parity test holds them to the same grade.
 */
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import type { StackFrame } from "./grade.ts";

/** What to run. */
export interface RunRequest {
  readonly bundle: ExerciseBundle;
  /** The text that takes the place of the editable file. */
  readonly submission: string;
  /** The seed of every random choice in the suite. */
  readonly seed: number;
  /** Full titles of the tests to run; all when absent. */
  readonly only?: readonly string[];
}

/** An error as Vitest reports it, with the extra fields that `Explanation` (exercises/lib/explain.ts) carries. */
export interface RawError {
  readonly name: string;
  readonly message: string;
  readonly expected?: string;
  readonly actual?: string;
  readonly diff?: string;
  readonly where?: string;
  readonly seed?: number;
  readonly counterexample?: string;
  readonly stack: readonly StackFrame[];
}

/** What happens during a run, in order. Test names are full titles, suites joined by ` > `. */
export type RunEvent =
  | { readonly kind: "collected"; readonly names: readonly string[] }
  | { readonly kind: "started"; readonly name: string }
  | {
      readonly kind: "finished";
      readonly name: string;
      readonly state: "pass" | "fail" | "skip";
      readonly durationMs: number;
      readonly errors: readonly RawError[];
    }
  /** The test ran past its limit, or never gave control back and was stopped. */
  | { readonly kind: "timed-out"; readonly name: string; readonly afterMs: number }
  | { readonly kind: "console"; readonly text: string }
  /** An error outside any test: an unhandled rejection, a throw in a timer. */
  | { readonly kind: "stray"; readonly error: RawError };

/** How a run ended. */
export type RunEnd =
  | { readonly kind: "completed" }
  /** The submission does not parse, does not load, or lacks an export that the suite imports. */
  | { readonly kind: "unloadable"; readonly errors: readonly RawError[] }
  /** The run passed a limit of memory, or hung so often that the rest was not tried. */
  | { readonly kind: "stopped"; readonly reason: string }
  /** The backend itself failed. */
  | { readonly kind: "broken"; readonly reason: string };

export interface Backend {
  readonly name: "local" | "embedded" | "webcontainer";
  /** Never rejects: whatever goes wrong is the `RunEnd`. Events arrive while the run goes on. */
  run(request: RunRequest, onEvent: (event: RunEvent) => void, signal?: AbortSignal): Promise<RunEnd>;
  /** Stops what the backend keeps warm. */
  dispose(): Promise<void>;
}
