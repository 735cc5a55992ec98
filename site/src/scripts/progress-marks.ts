/** Shows the reader's own progress on the marks that the pages leave for it: `data-progress`, `data-resume`. */
import { readExercise } from "./storage.ts";

/** Fills every mark of the page in; called again after a run. */
export function showProgress(): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-progress]")) showOne(element);
  showResume();
}

function showOne(element: HTMLElement): void {
  const record = readExercise(element.dataset["progress"] ?? "");
  const text = element.querySelector(".progress-text");
  if (record === undefined || text === null) return;
  if (record.solvedAt !== undefined) {
    element.dataset["state"] = "solved";
    text.textContent = "solved";
  } else if (record.best !== undefined) {
    element.dataset["state"] = "begun";
    text.textContent = `${record.best.earned} of ${record.best.possible} points`;
  } else if (record.text !== undefined) {
    element.dataset["state"] = "begun";
    text.textContent = "begun";
  }
}

/** Turns "Start" into "Continue" for a reader who has begun: at the first exercise that is not solved. */
function showResume(): void {
  const button = document.querySelector<HTMLAnchorElement>("[data-resume]");
  if (button === null) return;
  const starts = JSON.parse(button.dataset["resume"] ?? "[]") as { id: string; href: string }[];
  const isBegun = starts.some(({ id }) => readExercise(id) !== undefined);
  const next = starts.find(({ id }) => readExercise(id)?.solvedAt === undefined);
  if (!isBegun || next === undefined) return;
  button.href = next.href;
  button.textContent = "Continue where you left off";
}
