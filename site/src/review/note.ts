/** What the review keeps, an entry of storage for each card; and the note that a lesson makes of a wrong prediction. */
import { readStored, reviewPrefix, writeStored } from "../scripts/storage.ts";
import type { ReviewEntry } from "./schedule.ts";

/** The key of a prediction's entry; `id` is the name under which the choice is kept. */
export function predictionKey(id: string): string {
  return `${reviewPrefix}:prediction:${id}`;
}

/** Notes a prediction that went wrong on this page just now: it begins anew, however often it was known before. */
export function notePrediction(id: string, prompt: string): void {
  const base = new URL(document.documentElement.dataset["base"] ?? "/", location.href).pathname;
  const path = `${location.pathname.slice(base.length)}#${id}`;
  const entry: ReviewEntry = { stage: 0, since: Date.now(), prompt, path };
  writeStored(predictionKey(id), entry);
}

/** The entry under a key; undefined when there is none, or something else. */
export function readEntry(key: string): ReviewEntry | undefined {
  const value = readStored(key) as Partial<ReviewEntry> | undefined;
  const isEntry = typeof value?.stage === "number" && typeof value.since === "number";
  return isEntry ? (value as ReviewEntry) : undefined;
}
