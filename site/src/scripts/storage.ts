/**
 * What is kept in this browser, and nowhere else: one entry of `localStorage` for each exercise, one for predictions.
 *
 * Entries are small and independent, so that two open tabs damage each other as little as possible, and a page can show
 * progress without loading the workspace. `localStorage` answers at once, so a page that is closed in the middle of a
 * word has saved it. When storage is off, everything works and nothing is kept.
 */
import type { Depth } from "#exercises/lib/exercise.ts";

/** One earlier text of the learner's file, kept so that nothing is ever lost by a click. */
export interface Version {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** What replaced it: "reset", "depth", "import", "solution", or "run" for an attempt. */
  readonly why: string;
  readonly text: string;
  /** Points of the attempt, when the version was run. */
  readonly earned?: number;
}

export interface ExerciseRecord {
  /** The learner's text; absent until they change the stub. */
  readonly text?: string;
  readonly depth: Depth;
  /** Region to how many of its hints were shown. */
  readonly hints: Readonly<Record<string, number>>;
  readonly attempts: number;
  readonly best?: { readonly earned: number; readonly possible: number };
  /** When every test passed for the first time. */
  readonly solvedAt?: number;
  /** Whether the solution was looked at. It takes nothing away; the learner may want to know. */
  readonly hasSeenSolution?: boolean;
  readonly history: readonly Version[];
}

/** The file that export writes and import reads. */
export interface ProgressFile {
  readonly schema: "offset-zero/progress/1";
  readonly savedAt: string;
  readonly exercises: Readonly<Record<string, ExerciseRecord>>;
  readonly predictions: Readonly<Record<string, number>>;
}

const exercisePrefix = "oz:exercise:";
const predictionPrefix = "oz:prediction:";
/** The characters of history kept for one exercise; 35 exercises then stay below half of what browsers allow. */
const historyCharactersMax = 40_000;

/** Reads one value of any shape; undefined when there is none, or storage is off, or it is not JSON. */
export function readStored(key: string): unknown {
  try {
    const text = localStorage.getItem(key);
    return text === null ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

/** Writes one value; false when the browser refuses, so that the page can say that it is not saved. */
export function writeStored(key: string, value: unknown): boolean {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function readExercise(id: string): ExerciseRecord | undefined {
  const value = readStored(exercisePrefix + id);
  return isExerciseRecord(value) ? value : undefined;
}

export function writeExercise(id: string, record: ExerciseRecord): boolean {
  return writeStored(exercisePrefix + id, { ...record, history: trimHistory(record.history) });
}

/** The storage key of an exercise, for listeners of the `storage` event. */
export function exerciseKey(id: string): string {
  return exercisePrefix + id;
}

export function readPrediction(id: string): number | undefined {
  const value = readStored(predictionPrefix + id);
  return typeof value === "number" ? value : undefined;
}

export function writePrediction(id: string, choice: number): void {
  writeStored(predictionPrefix + id, choice);
}

/** Everything that is kept, as one value. */
export function exportProgress(): ProgressFile {
  const exercises: Record<string, ExerciseRecord> = {};
  const predictions: Record<string, number> = {};
  for (const key of storedKeys()) {
    if (key.startsWith(exercisePrefix)) {
      const id = key.slice(exercisePrefix.length);
      const record = readExercise(id);
      if (record !== undefined) exercises[id] = record;
    } else if (key.startsWith(predictionPrefix)) {
      const id = key.slice(predictionPrefix.length);
      const choice = readPrediction(id);
      if (choice !== undefined) predictions[id] = choice;
    }
  }
  return { schema: "offset-zero/progress/1", savedAt: new Date().toISOString(), exercises, predictions };
}

/**
 * Takes in an exported file. The learner's present texts go to the history of their exercises first, and what is
 * already solved stays solved. Returns how many exercises were taken, or what is wrong with the file.
 */
export function importProgress(text: string): { readonly count: number } | { readonly problem: string } {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return { problem: "This file is not JSON, so it is not a progress file." };
  }
  if (!isProgressFile(file)) return { problem: "This is not a progress file of Offset Zero." };
  let count = 0;
  for (const [id, incoming] of Object.entries(file.exercises)) {
    if (!isExerciseRecord(incoming)) continue;
    if (!writeExercise(id, merge(readExercise(id), incoming))) {
      return { problem: "The browser's storage is full or switched off; not everything was brought in." };
    }
    count++;
  }
  for (const [id, choice] of Object.entries(file.predictions)) {
    if (typeof choice === "number") writePrediction(id, choice);
  }
  return { count };
}

function merge(present: ExerciseRecord | undefined, incoming: ExerciseRecord): ExerciseRecord {
  if (present === undefined) return incoming;
  const kept = [...present.history, ...incoming.history];
  if (present.text !== undefined && present.text !== incoming.text) {
    kept.push({ at: Date.now(), why: "import", text: present.text });
  }
  const text = incoming.text ?? present.text;
  const solvedAt = Math.min(present.solvedAt ?? Infinity, incoming.solvedAt ?? Infinity);
  const best = better(present.best, incoming.best);
  return {
    depth: incoming.depth,
    hints: { ...present.hints, ...incoming.hints },
    attempts: Math.max(present.attempts, incoming.attempts),
    history: kept.toSorted((a, b) => a.at - b.at),
    ...(text !== undefined && { text }),
    ...(Number.isFinite(solvedAt) && { solvedAt }),
    ...(best !== undefined && { best }),
    ...((present.hasSeenSolution ?? incoming.hasSeenSolution) === true && { hasSeenSolution: true }),
  };
}

function better(a: ExerciseRecord["best"], b: ExerciseRecord["best"]): ExerciseRecord["best"] {
  if (a === undefined || b === undefined) return a ?? b;
  return a.earned >= b.earned ? a : b;
}

/** Drops the oldest versions beyond the limit, and those whose text the next one repeats. */
function trimHistory(history: readonly Version[]): Version[] {
  const distinct = history.filter((version, index) => version.text !== history[index + 1]?.text);
  const kept: Version[] = [];
  let characters = 0;
  for (const version of distinct.toReversed()) {
    characters += version.text.length;
    if (characters > historyCharactersMax && kept.length > 0) break;
    kept.unshift(version);
  }
  return kept;
}

function storedKeys(): string[] {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isExerciseRecord(value: unknown): value is ExerciseRecord {
  return (
    isObject(value) &&
    (value["text"] === undefined || typeof value["text"] === "string") &&
    ["guided", "skeleton", "blank"].includes(value["depth"] as string) &&
    isObject(value["hints"]) &&
    typeof value["attempts"] === "number" &&
    Array.isArray(value["history"]) &&
    value["history"].every((version) => isObject(version) && typeof version["text"] === "string")
  );
}

function isProgressFile(value: unknown): value is ProgressFile {
  return (
    isObject(value) &&
    value["schema"] === "offset-zero/progress/1" &&
    isObject(value["exercises"]) &&
    isObject(value["predictions"])
  );
}
