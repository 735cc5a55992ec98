/** Predictions: the reader commits to a choice, then sees the answer. The choice is kept for the review. */
import { notePrediction } from "../review/note.ts";
import { readPrediction, writePrediction } from "./storage.ts";

for (const box of document.querySelectorAll<HTMLElement>("[data-predict]")) wire(box);

function wire(box: HTMLElement): void {
  const id = box.dataset["predict"] ?? "";
  const answer = Number(box.dataset["answer"]);
  const form = box.querySelector("form");
  const inputs = [...box.querySelectorAll<HTMLInputElement>("input")];
  const verdict = box.querySelector(".verdict");
  const details = box.querySelector("details");
  const show = (choice: number): void => {
    box.dataset["state"] = choice === answer ? "right" : "wrong";
    inputs.forEach((input, index) => input.closest("label")?.classList.toggle("is-answer", index === answer));
    if (verdict === null) return;
    verdict.textContent =
      choice === answer ? "As you predicted." : "Not what you predicted. That is the useful case: read why.";
  };
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const choice = inputs.findIndex((input) => input.checked);
    if (choice < 0) {
      if (verdict !== null) verdict.textContent = "Choose one first, even if you are not sure.";
      return;
    }
    writePrediction(id, choice);
    if (choice !== answer) notePrediction(id, box.querySelector(".prompt")?.textContent.trim() ?? "");
    show(choice);
    if (details !== null) details.open = true;
  });
  const earlier = readPrediction(id);
  if (earlier === undefined || inputs[earlier] === undefined) return;
  inputs[earlier].checked = true;
  show(earlier);
}
