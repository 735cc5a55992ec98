/**
 * Runs a submission and grades it. Which backend does it is a matter of where the page finds itself; the grade is the
 * same, because every backend is judged by the same code.
 */
import type { Backend, RunEnd, RunEvent } from "#exercises/grader/backend.ts";
import { createEmbeddedBackend, type EmbeddedBackend } from "#exercises/grader/embedded/index.ts";
import type { Grade } from "#exercises/grader/grade.ts";
import { scoreRun } from "#exercises/grader/score.ts";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { href } from "../lib/links.ts";
import type { Problem } from "./editor/editor.ts";

let embedded: EmbeddedBackend | undefined;

/** The backend in the page; one for the whole visit, so that its spare workers stay warm. */
export function embeddedBackend(): EmbeddedBackend {
  embedded ??= createEmbeddedBackend({
    runnerBase: new URL(href("runner/"), location.href),
    version: import.meta.env.RUNNER_VERSION,
  });
  return embedded;
}

/** The lines that keep a text from being run, for an editor without a checker of its own. */
export async function findSourceErrors(bundle: ExerciseBundle, text: string): Promise<readonly Problem[]> {
  const errors = await embeddedBackend().check(bundle, text);
  return errors.map(({ message, stack }) => ({ line: stack[0]?.line ?? 1, message: message ?? "" }));
}

export interface RunOptions {
  readonly bundle: ExerciseBundle;
  readonly submission: string;
  readonly seed: number;
  readonly backend: Backend;
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
}

/** The grade of the run, and how the run ended: a learner who pressed Stop has not failed anything. */
export async function runAndGrade(
  options: RunOptions,
): Promise<{ readonly grade: Grade; readonly end: RunEnd }> {
  const { bundle, submission, seed, backend, onEvent, signal } = options;
  const events: RunEvent[] = [];
  const startedAt = new Date();
  const start = performance.now();
  const keep = (event: RunEvent): void => {
    events.push(event);
    onEvent(event);
  };
  const end = await backend.run({ bundle, submission, seed }, keep, signal);
  const durationMs = Math.round(performance.now() - start);
  const grade = scoreRun({
    bundle,
    seed,
    events,
    end,
    backend: backend.name,
    startedAt: startedAt.toISOString(),
    durationMs,
  });
  return { grade, end };
}
