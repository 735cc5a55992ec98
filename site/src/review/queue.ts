/** The queue of the review: the reader's own failures and wrong predictions, as cards with the day they are due. */
import { readExercise, readPrediction, reviewPrefix, storedKeys, writeStored } from "../scripts/storage.ts";
import type { ExerciseCards, TestCard } from "./cards.ts";
import { predictionKey, readEntry } from "./note.ts";
import { answered, dueAt, failedAgain, stumblesOf, type ReviewEntry } from "./schedule.ts";

export type Card =
  | { readonly kind: "test"; readonly exercise: ExerciseCards; readonly test: TestCard }
  | { readonly kind: "prediction"; readonly exercise: ExerciseCards }
  /** A prediction of the prose alone: it is made again where it stands. */
  | { readonly kind: "elsewhere"; readonly prompt: string; readonly path: string };

export interface QueuedCard {
  readonly card: Card;
  /** Where its entry is kept. */
  readonly key: string;
  readonly entry: ReviewEntry;
  readonly dueAt: number;
}

/** Every card that is not done, the one that is due first at the front. */
export function readQueue(exercises: readonly ExerciseCards[], now: number): QueuedCard[] {
  const cards = exercises.flatMap((exercise) => [...testCards(exercise), ...predictionCards(exercise, now)]);
  const own = new Set(exercises.map(({ prediction }) => predictionKey(prediction.id)));
  const elsewhere = storedKeys()
    .filter((key) => key.startsWith(predictionKey("")) && !own.has(key))
    .flatMap((key) => {
      const entry = readEntry(key);
      const { prompt, path } = entry ?? {};
      if (entry === undefined || prompt === undefined || path === undefined) return [];
      return queued(key, entry, { kind: "elsewhere", prompt, path });
    });
  return [...cards, ...elsewhere].toSorted((a, b) => a.dueAt - b.dueAt);
}

/** Keeps what the reader said about a card. */
export function answer({ key, entry }: QueuedCard, isKnown: boolean, now: number): void {
  writeStored(key, answered(entry, isKnown, now));
}

function testCards(exercise: ExerciseCards): QueuedCard[] {
  const record = readExercise(exercise.id);
  if (record === undefined) return [];
  const ids = exercise.tests.map(({ test }) => test);
  return stumblesOf(record, ids).flatMap(({ test, failedAt }) => {
    const key = `${reviewPrefix}:test:${exercise.id}#${test}`;
    const card = exercise.tests.find((one) => one.test === test)!;
    return queued(key, failedAgain(readEntry(key), failedAt), { kind: "test", exercise, test: card });
  });
}

/** A choice may have been kept before there was a review: then it counts from the first look. */
function predictionCards(exercise: ExerciseCards, now: number): QueuedCard[] {
  const { id, answer: right } = exercise.prediction;
  const key = predictionKey(id);
  let entry = readEntry(key);
  const choice = readPrediction(id);
  if (entry === undefined && choice !== undefined && choice !== right) {
    entry = { stage: 0, since: now };
    writeStored(key, entry);
  }
  return entry === undefined ? [] : queued(key, entry, { kind: "prediction", exercise });
}

function queued(key: string, entry: ReviewEntry, card: Card): QueuedCard[] {
  const due = dueAt(entry);
  return due === undefined ? [] : [{ key, entry, card, dueAt: due }];
}
