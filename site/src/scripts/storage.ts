/**
 * What is kept in this browser, and nowhere else: one entry of `localStorage` for each exercise, one for predictions.
 *
 * Entries are small and independent, so that two open tabs damage each other as little as possible, and a page can show
 * progress without loading the workspace. `localStorage` answers at once, so a page that is closed in the middle of a
 * word has saved it. When the browser refuses to store (private mode, a full disk), values live on in this page's
 * memory: everything works, export included, and `storageProblem` says what to tell the reader.
 */
import type { Depth } from "#exercises/lib/exercise.ts";

/** One earlier text of the learner's file, kept so that nothing is ever lost by a click. */
export interface Version {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** What replaced it: "reset", "depth", "import", "solution", …, or "run" for an attempt. */
  readonly why: string;
  readonly text: string;
  /** Points of the attempt, when the version was run. */
  readonly earned?: number;
}

/** What the runs so far say about one test: the course map and the review are made from it. */
export interface TestMemory {
  /** When the test passed for the first time. */
  readonly passedAt?: number;
  /** When the test failed last. */
  readonly failedAt?: number;
  /** How many runs it failed. */
  readonly failures: number;
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
  /** Test id to what its runs said. Absent in records from before this was kept. */
  readonly tests?: Readonly<Record<string, TestMemory>>;
  readonly history: readonly Version[];
}

/** Begins the key of every exercise's record. */
export const exercisePrefix = "oz:exercise:";
/** Begins the key of every prediction. */
export const predictionPrefix = "oz:prediction:";
/** Begins the keys of the review; their shape is its own, and export takes them along as they are. */
export const reviewPrefix = "oz:review";
/** Sent on the document before everything is read: an open exercise then stores what it has not stored yet. */
export const saveEvent = "oz:save";
/** Sent on the document after stored values were replaced from outside: an open exercise then shows them. */
export const storedEvent = "oz:stored";
/** The characters of history kept for one exercise; 35 exercises then stay below half of what browsers allow. */
const historyCharactersMax = 40_000;

/** Why the browser did not store the last value: storage is switched off, or there is no room. */
export type StorageProblem = "off" | "full";

/** What could not be stored, by key, as JSON. It outlives nothing but is better than nothing. */
const unstored = new Map<string, string>();
let problem: StorageProblem | undefined;

/** What is wrong with storage, while something is not stored. */
export function storageProblem(): StorageProblem | undefined {
  return unstored.size === 0 ? undefined : problem;
}

/** Reads one value of any shape; undefined when there is none, or storage is off, or it is not JSON. */
export function readStored(key: string): unknown {
  try {
    const text = readText(key);
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

/** Writes one value; false when the browser refuses, so that the page can say that it is not saved. */
export function writeStored(key: string, value: unknown): boolean {
  return writeText(key, JSON.stringify(value));
}

/** The stored text of a key; undefined when there is none. */
export function readText(key: string): string | undefined {
  const text = unstored.get(key);
  if (text !== undefined) return text;
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Stores a text, or takes the key away when there is none. */
export function writeText(key: string, text: string | undefined): boolean {
  try {
    if (text === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
    unstored.delete(key);
    return true;
  } catch (error) {
    problem = error instanceof DOMException && error.name === "QuotaExceededError" ? "full" : "off";
    if (text === undefined) unstored.delete(key);
    else unstored.set(key, text);
    return false;
  }
}

/** Every key that something is kept under, in this browser or in this page. */
export function storedKeys(): string[] {
  let stored: string[];
  try {
    stored = Object.keys(localStorage);
  } catch {
    stored = [];
  }
  return [...new Set([...stored, ...unstored.keys()])];
}

export function readExercise(id: string): ExerciseRecord | undefined {
  const value = readStored(exercisePrefix + id);
  return isExerciseRecord(value) ? value : undefined;
}

export function writeExercise(id: string, record: ExerciseRecord): boolean {
  return writeText(exercisePrefix + id, recordText(record));
}

/** A record as it is stored: with no more history than there is room for. */
export function recordText(record: ExerciseRecord): string {
  return JSON.stringify({ ...record, history: trimHistory(record.history) });
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

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value has the shape of a record; what comes from storage may be from another version of the course. */
export function isExerciseRecord(value: unknown): value is ExerciseRecord {
  return (
    isObject(value) &&
    (value["text"] === undefined || typeof value["text"] === "string") &&
    ["guided", "skeleton", "blank"].includes(value["depth"] as string) &&
    isObject(value["hints"]) &&
    typeof value["attempts"] === "number" &&
    (value["tests"] === undefined || isObject(value["tests"])) &&
    Array.isArray(value["history"]) &&
    value["history"].every((version) => isObject(version) && typeof version["text"] === "string")
  );
}
