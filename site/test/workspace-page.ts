/** What the tests of the workspace share: typing as a learner does, and what an exercise has kept. */
import type { Page } from "playwright-core";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import type { ExerciseRecord } from "../src/scripts/storage.ts";
import { readBundle } from "./site-page.ts";

/** The exercise and the lesson that most tests use. */
export const id = "01-protocol/01-primitives";
export const lesson = "01-protocol/01-bytes/";
export const recordKey = `oz:exercise:${id}`;

/** Waits until the full editor has the focus, as it does when an exercise opens. */
export async function editorReady(page: Page): Promise<void> {
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
}

/** Puts a text into the focused editor in one go, as a paste does. */
export async function replaceText(page: Page, text: string): Promise<void> {
  await page.keyboard.press("Control+A");
  await page.evaluate((pasted) => {
    const data = new DataTransfer();
    data.setData("text/plain", pasted);
    const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    document.activeElement?.dispatchEvent(event);
  }, text);
}

/** The verdict's text once a run has ended, which `expected` it must say. */
export async function verdict(page: Page, expected: RegExp): Promise<string> {
  const line = page.locator(".verdict-line h2").filter({ hasText: expected });
  await line.waitFor();
  return line.innerText();
}

/** What the browser keeps of an exercise. */
export function stored(page: Page, key = recordKey): Promise<Partial<ExerciseRecord>> {
  return page.evaluate(
    (name) => JSON.parse(localStorage.getItem(name) ?? "{}") as Partial<ExerciseRecord>,
    key,
  );
}

/** A typical wrong solution, by the number of the mistake in the catalogue. */
export function wrongSolution(bundle: ExerciseBundle, mutantId: string): string {
  const mutant = bundle.exercise.mutants.find((candidate) => candidate.id === mutantId);
  if (mutant === undefined) throw new Error(`there is no mutant ${mutantId}`);
  return mutant.edits.reduce((text, { find, replace }) => text.replace(find, () => replace), bundle.solution);
}

/** A record with a text of the learner's, as a visit before would have left it. */
export function recordWith(text: string, more: Partial<ExerciseRecord> = {}): ExerciseRecord {
  return { text, depth: readBundle(id).exercise.depth, hints: {}, attempts: 1, history: [], ...more };
}

/** Leaves values in the browser's storage before the page's own scripts run; only where there are none yet. */
export async function seedStorage(page: Page, values: Readonly<Record<string, unknown>>): Promise<void> {
  await page.addInitScript((entries) => {
    for (const [key, value] of Object.entries(entries)) {
      if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
    }
  }, values);
}

/** Opens the menu and presses one of its entries. */
export async function choose(page: Page, name: string): Promise<void> {
  await page.locator(".menu summary").click();
  await page.getByRole("button", { name, exact: true }).click();
}
