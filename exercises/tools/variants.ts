/**
 * Runs many versions of exercises' files against their suites at once: the reference, the stubs, the mutants.
 *
 * One process of Vitest runs dozens of them, since starting it costs more than most suites do. Each version lies in a
 * folder of its own (`v7/exercises/…`) as a file like any other: Vitest keeps modules by path, and a plugin that
 * served versions from memory would be handed the first one again and again. A version that hangs costs its own time
 * and a new process, never the others' results.
 */
import { rmSync } from "node:fs";
import type { RunEnd, RunEvent } from "#exercises/grader/backend.ts";
import { createLocalHost, makeRunFolder, writeFiles } from "#exercises/grader/local/index.ts";
import { supervise } from "#exercises/grader/process/supervise.ts";
import { seedDefault } from "#exercises/lib/seed.ts";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";

/** One version of one exercise's file. */
export interface Variant {
  readonly bundle: ExerciseBundle;
  readonly text: string;
}

/** What became of a variant. */
export interface VariantRun {
  readonly events: readonly RunEvent[];
  readonly end: RunEnd;
}

/** The most versions that one process runs, and the most processes at a time. */
const batchSizeMax = 24;
const processesMax = 2;
const startTimeLimitMs = 60_000;

/** Runs every variant; the results are in the order of `variants`. */
export async function runVariants(
  variants: readonly Variant[],
  { seed = seedDefault, signal }: { readonly seed?: number; readonly signal?: AbortSignal } = {},
): Promise<readonly VariantRun[]> {
  const results: VariantRun[] = [];
  const queue = batchesOf(variants);
  const work = async (): Promise<void> => {
    for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
      await runBatch(variants, batch, results, seed, signal);
    }
  };
  await Promise.all(Array.from({ length: processesMax }, work));
  return results;
}

/** Indices of variants, by exercise (whose limits a process is set to), in batches of even size. */
function batchesOf(variants: readonly Variant[]): (readonly number[])[] {
  const byExercise = Map.groupBy(variants.keys(), (index) => variants[index]!.bundle.exercise.id);
  return [...byExercise.values()].flatMap((indices) => {
    const count = Math.ceil(indices.length / batchSizeMax);
    const size = Math.ceil(indices.length / count);
    return Array.from({ length: count }, (_, batch) => indices.slice(batch * size, (batch + 1) * size));
  });
}

async function runBatch(
  variants: readonly Variant[],
  batch: readonly number[],
  results: VariantRun[],
  seed: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { bundle } = variants[batch[0]!]!;
  const { exercise, editable, suite, files } = bundle;
  const ownFolder = `exercises/${exercise.id}/`;
  const isOwn = (path: string): boolean => path.startsWith(ownFolder);
  const folder = makeRunFolder();
  try {
    writeFiles(folder, Object.fromEntries(Object.entries(files).filter(([path]) => !isOwn(path))));
    for (const index of batch) {
      const own = Object.entries(files).filter(([path]) => isOwn(path));
      const texts = { ...Object.fromEntries(own), [editable]: variants[index]!.text };
      writeFiles(
        folder,
        Object.fromEntries(Object.entries(texts).map(([path, text]) => [`v${index}/${path}`, text])),
      );
    }
    const events = new Map(batch.map((index) => [`v${index}/${suite}`, [] as RunEvent[]]));
    const memoryLimitMiB = Math.max(exercise.memoryLimitMiB, 1024);
    const ends = await supervise(createLocalHost(folder, exercise, { seed, memoryLimitMiB }), {
      suites: [...events.keys()],
      testTimeLimitMs: exercise.testTimeLimitMs,
      memoryLimitMiB,
      startTimeLimitMs,
      onEvent: (path, event) => events.get(path)?.push(event),
      ...(signal === undefined ? {} : { signal }),
    });
    for (const index of batch) {
      const path = `v${index}/${suite}`;
      results[index] = { events: events.get(path)!, end: ends.get(path)! };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
