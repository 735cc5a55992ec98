/**
 * Everything that is kept, as one file: out of this browser, and back into it or another one.
 *
 * A file is taken in whole or not at all. What is wrong with it is said in one line, and then nothing has changed; if
 * the browser's storage fills up half-way, what was written is taken back. Texts that are replaced go into the history
 * of their exercises, and the whole import can be undone.
 */
import {
  exercisePrefix,
  isExerciseRecord,
  predictionPrefix,
  readExercise,
  readStored,
  readText,
  recordText,
  reviewPrefix,
  saveEvent,
  storageProblem,
  storedEvent,
  storedKeys,
  writeText,
  type ExerciseRecord,
  type TestMemory,
} from "./storage.ts";

/** The file that export writes and import reads. */
export interface ProgressFile {
  readonly schema: "offset-zero/progress/1";
  readonly savedAt: string;
  readonly exercises: Readonly<Record<string, ExerciseRecord>>;
  readonly predictions: Readonly<Record<string, number>>;
  /** What the review keeps, by key. Absent in files from before there was one. */
  readonly review?: Readonly<Record<string, unknown>>;
}

/** What came of an import. */
export type Imported =
  | { readonly kind: "taken"; readonly count: number; readonly note: string; readonly undo: () => void }
  | Refused;

/** Why nothing was brought in, in one line. */
export interface Refused {
  readonly kind: "refused";
  readonly problem: string;
}

const schemaPattern = /^offset-zero\/progress\/(\d+)$/;
const idPattern = /^[\w-]+(\/[\w-]+)*$/;
/** More than all exercises with all their history can fill. */
const fileCharactersMax = 20_000_000;

/** Everything that is kept, as one value. */
export function exportProgress(): ProgressFile {
  document.dispatchEvent(new CustomEvent(saveEvent));
  const exercises: Record<string, ExerciseRecord> = {};
  const predictions: Record<string, number> = {};
  const review: Record<string, unknown> = {};
  for (const key of storedKeys()) {
    const value = readStored(key);
    if (key.startsWith(exercisePrefix) && isExerciseRecord(value)) {
      exercises[key.slice(exercisePrefix.length)] = value;
    } else if (key.startsWith(predictionPrefix) && typeof value === "number") {
      predictions[key.slice(predictionPrefix.length)] = value;
    } else if (key.startsWith(reviewPrefix)) {
      review[key] = value;
    }
  }
  return {
    schema: "offset-zero/progress/1",
    savedAt: new Date().toISOString(),
    exercises,
    predictions,
    review,
  };
}

/** Takes in an exported file. What is already solved stays solved, and what was written stays in the history. */
export function importProgress(text: string): Imported {
  const file = parseProgressFile(text);
  if ("problem" in file) return file;
  document.dispatchEvent(new CustomEvent(saveEvent));
  const now = Date.now();
  const changes = new Map<string, string>();
  for (const [id, incoming] of Object.entries(file.exercises)) {
    changes.set(exercisePrefix + id, recordText(merge(readExercise(id), incoming, now)));
  }
  for (const [id, choice] of Object.entries(file.predictions)) {
    changes.set(predictionPrefix + id, JSON.stringify(choice));
  }
  for (const [key, value] of Object.entries(file.review ?? {})) {
    if (readText(key) === undefined) changes.set(key, JSON.stringify(value));
  }
  const before = new Map([...changes.keys()].map((key) => [key, readText(key)]));
  const takeBack = (): void => {
    for (const [key, old] of before) writeText(key, old);
    document.dispatchEvent(new CustomEvent(storedEvent));
  };
  for (const [key, value] of changes) {
    if (writeText(key, value)) continue;
    const reason = storageProblem() === "full" ? "is full" : "is switched off";
    takeBack();
    return refuse(`This browser's storage ${reason}.`);
  }
  document.dispatchEvent(new CustomEvent(storedEvent));
  const count = Object.keys(file.exercises).length;
  const exercises = count === 1 ? "1 exercise" : `${count} exercises`;
  const note = `Brought in ${exercises}; earlier texts are in the history.`;
  return { kind: "taken", count, note, undo: takeBack };
}

function refuse(why: string): Refused {
  return { kind: "refused", problem: `Nothing was brought in, nothing has changed. ${why}` };
}

/** The file, or what is wrong with it. Checked to the last field, since all that follows trusts it. */
export function parseProgressFile(text: string): ProgressFile | Refused {
  if (text.length > fileCharactersMax) return refuse("The file is too large to be a progress file.");
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return refuse("The file is not JSON, or it is cut off, so it is not a progress file.");
  }
  const version = isObject(file) ? schemaPattern.exec(String(file["schema"]))?.[1] : undefined;
  if (!isObject(file) || version === undefined) return refuse("This is not a progress file of Offset Zero.");
  if (version !== "1") {
    return refuse(
      `The file is of version ${version}, and this page reads version 1: reload the page for a newer one.`,
    );
  }
  const problem = problemOf(file);
  if (problem !== undefined) return refuse(`The file is damaged: ${problem}.`);
  return file as unknown as ProgressFile;
}

function problemOf(file: Record<string, unknown>): string | undefined {
  const { exercises, predictions, review = {} } = file;
  if (!isObject(exercises)) return "it has no exercises";
  if (!isObject(predictions)) return "it has no predictions";
  if (!isObject(review)) return "its review is not a list of values";
  for (const [id, record] of Object.entries(exercises)) {
    const problem = idPattern.test(id) ? problemOfRecord(record) : "there can be no exercise of this name";
    if (problem !== undefined) return `exercise ${quote(id)}: ${problem}`;
  }
  for (const [id, choice] of Object.entries(predictions)) {
    if (!Number.isInteger(choice) || (choice as number) < 0) return `prediction ${quote(id)} is not a choice`;
  }
  const stray = Object.keys(review).find((key) => !key.startsWith(reviewPrefix));
  return stray === undefined ? undefined : `${quote(stray)} does not belong to a review`;
}

function problemOfRecord(record: unknown): string | undefined {
  if (!isExerciseRecord(record)) return "its record is not complete";
  const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
  const isTime = (value: unknown): boolean => value === undefined || Number.isFinite(value);
  if (!Object.values(record.hints).every(isCount)) return "its hints are not numbers";
  if (!isCount(record.attempts)) return "its attempts are not a number";
  if (!isTime(record.solvedAt)) return "its time of solving is not a time";
  if (!record.history.every(({ at, why }) => Number.isFinite(at) && typeof why === "string")) {
    return "its history has an entry without time or reason";
  }
  const { best, tests = {} } = record as { best?: unknown; tests?: Record<string, unknown> };
  if (best !== undefined && !(isObject(best) && isCount(best["earned"]) && isCount(best["possible"]))) {
    return "its best result is not a number of points";
  }
  const isMemory = (value: unknown): boolean =>
    isObject(value) && isCount(value["failures"]) && isTime(value["passedAt"]) && isTime(value["failedAt"]);
  return Object.values(tests).every(isMemory) ? undefined : "what it says about its tests cannot be read";
}

/** Quoted and short enough for one line, whatever the file calls things. */
function quote(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function merge(present: ExerciseRecord | undefined, incoming: ExerciseRecord, now: number): ExerciseRecord {
  if (present === undefined) return incoming;
  const kept = [...present.history, ...incoming.history].toSorted((a, b) => a.at - b.at);
  if (present.text !== undefined && present.text !== incoming.text && incoming.text !== undefined) {
    kept.push({ at: now, why: "import", text: present.text });
  }
  const text = incoming.text ?? present.text;
  const solvedAt = Math.min(present.solvedAt ?? Infinity, incoming.solvedAt ?? Infinity);
  const best = better(present.best, incoming.best);
  return {
    depth: incoming.text === undefined ? present.depth : incoming.depth,
    hints: { ...present.hints, ...incoming.hints },
    attempts: Math.max(present.attempts, incoming.attempts),
    history: kept,
    tests: mergeTests(present.tests ?? {}, incoming.tests ?? {}),
    ...(text !== undefined && { text }),
    ...(Number.isFinite(solvedAt) && { solvedAt }),
    ...(best !== undefined && { best }),
    ...((present.hasSeenSolution ?? incoming.hasSeenSolution) === true && { hasSeenSolution: true }),
  };
}

function mergeTests(
  present: Readonly<Record<string, TestMemory>>,
  incoming: Readonly<Record<string, TestMemory>>,
): Record<string, TestMemory> {
  const merged = { ...present };
  for (const [id, theirs] of Object.entries(incoming)) {
    const mine = merged[id];
    const passedAt = Math.min(mine?.passedAt ?? Infinity, theirs.passedAt ?? Infinity);
    const failedAt = Math.max(mine?.failedAt ?? -Infinity, theirs.failedAt ?? -Infinity);
    merged[id] = {
      failures: Math.max(mine?.failures ?? 0, theirs.failures),
      ...(Number.isFinite(passedAt) && { passedAt }),
      ...(Number.isFinite(failedAt) && { failedAt }),
    };
  }
  return merged;
}

function better(a: ExerciseRecord["best"], b: ExerciseRecord["best"]): ExerciseRecord["best"] {
  if (a === undefined || b === undefined) return a ?? b;
  return a.earned >= b.earned ? a : b;
}

/** Hands everything that is kept to the reader as a download. */
export function downloadProgress(): void {
  const blob = new Blob([JSON.stringify(exportProgress(), undefined, 2)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `offset-zero-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Lets the reader choose a file and takes it in; undefined when they choose none. */
export function chooseProgress(): Promise<Imported | undefined> {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "application/json,.json";
  return new Promise((resolve) => {
    input.addEventListener("cancel", () => resolve(undefined));
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file === undefined) return resolve(undefined);
      file.text().then(
        (text) => resolve(importProgress(text)),
        () => resolve(refuse("The file could not be read.")),
      );
    });
    input.click();
  });
}
