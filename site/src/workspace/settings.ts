/** What the learner has chosen for the workspace as a whole: editor, backend, sizes of the panes. */
import { signal } from "@preact/signals";
import type { Backend } from "#exercises/grader/backend.ts";
import { containerObstacle } from "#exercises/grader/webcontainer/obstacle.ts";
import { readStored, writeStored } from "../scripts/storage.ts";
import type { EditorChoice } from "./editor/editor.ts";
import { embeddedBackend } from "./run.ts";

export const editorChoice = signal<EditorChoice>(readChoice());

export function setEditorChoice(choice: EditorChoice): void {
  editorChoice.value = choice;
  writeStored("oz:editor", choice);
}

/** Whether the full editor has Vim keys. */
export const hasVimKeys = signal(readStored("oz:vim") === true);

export function setVimKeys(isOn: boolean): void {
  hasVimKeys.value = isOn;
  writeStored("oz:vim", isOn);
}

function readChoice(): EditorChoice {
  const value = readStored("oz:editor");
  return value === "monaco" || value === "light" ? value : "auto";
}

/** A size that is remembered, in percent. */
export function rememberedSize(name: string, usual: number): number {
  const value = readStored(`oz:size:${name}`);
  return typeof value === "number" && value > 5 && value < 95 ? value : usual;
}

export function rememberSize(name: string, percent: number): void {
  writeStored(`oz:size:${name}`, Math.round(percent));
}

/** Where the tests run. Not remembered: the one that always works is the one to start with. */
export type BackendChoice = "embedded" | "webcontainer";
export const backendChoice = signal<BackendChoice>("embedded");

let container: Backend | undefined;

/** The backend for the next run; a container that is no longer possible gives way to the page's own. */
export async function chosenBackend(): Promise<Backend> {
  if (backendChoice.value === "embedded" || containerObstacle() !== undefined) return embeddedBackend();
  container ??= await (await import("./container.ts")).openContainerBackend();
  return container;
}
