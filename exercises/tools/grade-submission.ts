/**
 * One submission, run and scored in the shell.
 */
import type { Grade } from "#exercises/grader/grade.ts";
import type { Backend, RunEvent, RunRequest } from "#exercises/grader/backend.ts";
import { createLocalBackend } from "#exercises/grader/local/index.ts";
import { scoreRun } from "#exercises/grader/score.ts";

export interface GradeRequest extends RunRequest {
  readonly signal?: AbortSignal;
}

/** Runs `request` with `backend` (the local one when left out) and scores what happened. */
export async function gradeSubmission(
  { signal, ...request }: GradeRequest,
  backend: Backend = createLocalBackend(),
): Promise<Grade> {
  const startedAt = new Date().toISOString();
  const startMs = performance.now();
  const events: RunEvent[] = [];
  const end = await backend.run(request, (event) => events.push(event), signal);
  return scoreRun({
    bundle: request.bundle,
    seed: request.seed,
    events,
    end,
    backend: backend.name,
    startedAt,
    durationMs: performance.now() - startMs,
  });
}
