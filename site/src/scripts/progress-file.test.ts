/** A file is taken in whole or not at all, and what it replaces stays in the history. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { exportProgress, importProgress } from "./progress-file.ts";
import { readExercise, writeExercise, writeStored, type ExerciseRecord } from "./storage.ts";

const record: ExerciseRecord = { depth: "blank", hints: {}, attempts: 2, history: [], text: "mine" };

/** A `localStorage` with room for so many characters; its entries are own properties, as in a browser. */
function storageOf(charactersMax = Infinity): Storage {
  const entries: Record<string, string> = {};
  const methods = {
    getItem: (key: string) => entries[key] ?? null,
    removeItem: (key: string) => delete entries[key],
    setItem(key: string, value: string) {
      const size = Object.entries({ ...entries, [key]: value }).join("").length;
      if (size > charactersMax) throw new DOMException("full", "QuotaExceededError");
      entries[key] = value;
    },
  };
  return new Proxy(entries, {
    get: (target, name: string) => methods[name as keyof typeof methods] ?? target[name],
  }) as unknown as Storage;
}

beforeEach(() => {
  vi.stubGlobal("localStorage", storageOf());
  vi.stubGlobal("document", new EventTarget());
});
afterEach(() => vi.unstubAllGlobals());

function kept(): string {
  return JSON.stringify(exportProgress(), (key, value: unknown) => (key === "savedAt" ? "" : value));
}

test("what goes out comes back in an empty browser", () => {
  writeExercise("01-protocol/02-frame", { ...record, tests: { known: { failures: 2, failedAt: 7 } } });
  writeStored("oz:prediction:predict-x", 2);
  writeStored("oz:review", { due: [1] });
  const text = JSON.stringify(exportProgress());
  const before = kept();
  vi.stubGlobal("localStorage", storageOf());
  expect(importProgress(text)).toMatchObject({ kind: "taken", count: 1 });
  expect(kept()).toBe(before);
});

test("present code goes to the history, a solved exercise stays solved, and undo takes all of it back", () => {
  writeExercise("a", { ...record, solvedAt: 5, best: { earned: 9, possible: 9 } });
  const before = kept();
  const file = {
    schema: "offset-zero/progress/1",
    predictions: {},
    exercises: { a: { ...record, text: "theirs" } },
  };
  const result = importProgress(JSON.stringify(file));
  expect(readExercise("a")).toMatchObject({ text: "theirs", solvedAt: 5, best: { earned: 9 } });
  expect(readExercise("a")?.history).toMatchObject([{ why: "import", text: "mine" }]);
  if (result.kind === "taken") result.undo();
  expect(kept()).toBe(before);
});

const sound = { schema: "offset-zero/progress/1", exercises: { a: record }, predictions: { p: 1 } };
const damaged: readonly (readonly [string, unknown])[] = [
  ["is not JSON, or it is cut off", '{"schema": "offset-zero/prog'],
  ["is not a progress file", []],
  ["is not a progress file", { ...sound, schema: "something else" }],
  ["is of version 2", { ...sound, schema: "offset-zero/progress/2" }],
  ["it has no exercises", { ...sound, exercises: [] }],
  ["it has no predictions", { ...sound, predictions: undefined }],
  ['exercise "a": its record is not complete', { ...sound, exercises: { a: { ...record, depth: "deep" } } }],
  ['exercise "a": its record is not complete', { ...sound, exercises: { a: { ...record, text: 7 } } }],
  [
    'exercise "a": its hints are not numbers',
    { ...sound, exercises: { a: { ...record, hints: { h: "2" } } } },
  ],
  ['exercise "a": its attempts', { ...sound, exercises: { a: { ...record, attempts: 1.5 } } }],
  ['exercise "a": its history', { ...sound, exercises: { a: { ...record, history: [{ text: "x" }] } } }],
  ['exercise "a": its best', { ...sound, exercises: { a: { ...record, best: { earned: "9" } } } }],
  ['exercise "a": its time', { ...sound, exercises: { a: { ...record, solvedAt: "now" } } }],
  [
    'exercise "a": what it says about its tests',
    { ...sound, exercises: { a: { ...record, tests: { t: 1 } } } },
  ],
  ['exercise "../x": there can be no exercise', { ...sound, exercises: { "../x": record } }],
  ['prediction "p" is not a choice', { ...sound, predictions: { p: -1 } }],
  ['"oz:theme" does not belong to a review', { ...sound, review: { "oz:theme": "dark" } }],
];

test.each(damaged)("a file that %s is refused in one line, and nothing changes", (line, file) => {
  writeExercise("a", { ...record, text: "before" });
  const before = kept();
  const result = importProgress(typeof file === "string" ? file : JSON.stringify(file));
  expect(result).toMatchObject({ kind: "refused", problem: expect.stringContaining(line) });
  expect(JSON.stringify(result)).not.toContain("\\n");
  expect(kept()).toBe(before);
});

test("when the storage fills up half-way, what was written is taken back", () => {
  vi.stubGlobal("localStorage", storageOf(1_000));
  writeExercise("a", record);
  const before = kept();
  const exercises = { a: { ...record, text: "new" }, b: { ...record, text: "x".repeat(2_000) } };
  expect(importProgress(JSON.stringify({ ...sound, exercises }))).toMatchObject({
    kind: "refused",
    problem: "Nothing was brought in, nothing has changed. This browser's storage is full.",
  });
  expect(kept()).toBe(before);
});
