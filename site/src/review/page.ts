/** The page of progress: the objectives that are reached, and the review, one card after the other. */
import { textParts } from "../lib/inline-code.ts";
import { href } from "../lib/links.ts";
import { readExercise, storedEvent } from "../scripts/storage.ts";
import type { ExerciseCards } from "./cards.ts";
import { answer, readQueue, type QueuedCard } from "./queue.ts";
import { objectiveState } from "./schedule.ts";

function showObjectives(): void {
  let reached = 0;
  const items = [...document.querySelectorAll<HTMLElement>("[data-objective]")];
  for (const item of items) {
    const record = readExercise(item.dataset["exercise"] ?? "");
    const { state, passed, total } = objectiveState(record, (item.dataset["objective"] ?? "").split(" "));
    item.dataset["state"] = state === "reached" ? "solved" : state;
    const text = item.querySelector(".objective-text");
    if (text !== null) {
      text.textContent =
        state === "reached" ? "reached" : state === "begun" ? `${passed} of ${total} tests` : "open";
    }
    if (state === "reached") reached++;
  }
  const sum = document.querySelector("[data-objective-sum]");
  if (sum !== null) sum.textContent = `${reached} of ${items.length} objectives reached.`;
}

async function showReview(): Promise<void> {
  const stage = document.querySelector<HTMLElement>("[data-review]");
  if (stage === null) return;
  try {
    const response = await fetch(href("review.json"));
    const exercises = (await response.json()) as ExerciseCards[];
    showNext(stage, exercises);
  } catch {
    stage.textContent = "The cards could not be fetched. Try again when there is a network.";
  }
}

function showNext(stage: HTMLElement, exercises: readonly ExerciseCards[], hasFocus = false): void {
  const now = Date.now();
  const queue = readQueue(exercises, now);
  const due = queue.filter(({ dueAt }) => dueAt <= now);
  const [first] = due;
  stage.replaceChildren(paragraph("review-count", countText(due.length, queue, now)));
  if (first === undefined) return;
  const card = cardOf(first, () => showNext(stage, exercises, true));
  stage.append(card);
  if (hasFocus) card.querySelector<HTMLElement>("h3")?.focus();
}

function countText(due: number, queue: readonly QueuedCard[], now: number): string {
  const later = queue.filter(({ dueAt }) => dueAt > now);
  const next = later[0];
  const when =
    next === undefined
      ? ""
      : ` ${later.length} later, the next on ${new Date(next.dueAt).toLocaleDateString("en-GB", { day: "numeric", month: "long" })}.`;
  if (due > 0) return `${due} to review now.${when}`;
  if (next !== undefined) return `Nothing to review now.${when}`;
  return "Nothing to review. What goes wrong in a run or in a prediction comes back here after a day.";
}

function cardOf(queued: QueuedCard, done: () => void): HTMLElement {
  const { card } = queued;
  const box = element("section", { className: "review-card" });
  const heading = element("h3", { tabIndex: -1 });
  box.append(heading);
  const close = (isKnown: boolean): void => {
    answer(queued, isKnown, Date.now());
    done();
  };
  switch (card.kind) {
    case "test": {
      heading.append(...inline(card.test.name.split(" > ").at(-1) ?? ""));
      box.prepend(paragraph("eyebrow", `${card.exercise.number} · a test that you failed`));
      box.append(paragraph("", card.test.ask));
      const answerParts = [paragraph("", card.test.rule)];
      if (card.test.mistake !== undefined)
        answerParts.push(paragraph("", `A common mistake: ${card.test.mistake}`));
      const to = `${card.exercise.lesson}?exercise=${card.exercise.id}&test=${card.test.test}`;
      answerParts.push(link(to, "Open the exercise at this test"));
      box.append(revealed("Show the rule", answerParts, close));
      break;
    }
    case "prediction": {
      heading.append(...inline(card.exercise.prediction.prompt));
      box.prepend(paragraph("eyebrow", `${card.exercise.number} · a prediction that was wrong`));
      box.append(choicesOf(card.exercise, close));
      break;
    }
    case "elsewhere": {
      heading.append(...inline(card.prompt));
      box.prepend(paragraph("eyebrow", "A prediction that was wrong"));
      box.append(revealed("Show where the answer stands", [link(card.path, "Go to the answer")], close));
      break;
    }
  }
  return box;
}

/** What the reader judges alone: think, look, say whether it was known. */
function revealed(
  label: string,
  parts: readonly HTMLElement[],
  close: (isKnown: boolean) => void,
): HTMLElement {
  const place = element("div", {});
  const show = button(label, () => {
    const actions = element("p", { className: "review-actions" });
    actions.append(
      button("I knew it", () => close(true)),
      button("Not yet", () => close(false)),
    );
    place.replaceChildren(...parts, actions);
    actions.querySelector("button")?.focus();
  });
  place.append(show);
  return place;
}

/** What the page can judge: the same choices again. */
function choicesOf({ prediction }: ExerciseCards, close: (isKnown: boolean) => void): HTMLElement {
  const { choices, answer: right, explanation } = prediction;
  const list = element("div", { className: "review-choices" });
  choices.forEach((choice, index) => {
    const option = button("", () => {
      const isRight = index === right;
      const verdict = paragraph("verdict", isRight ? "Right." : "Not yet. It will come back tomorrow.");
      verdict.setAttribute("role", "status");
      const parts = explanation.split("\n\n").map((text) => paragraph("", text));
      const chosen = paragraph("right-choice", choices[right] ?? "");
      const next = button("Next", () => close(isRight));
      list.replaceChildren(verdict, chosen, ...parts, next);
      next.focus();
    });
    option.append(...inline(choice));
    list.append(option);
  });
  return list;
}

function inline(text: string): (Node | string)[] {
  return textParts(text).map((part) =>
    part.isCode ? element("code", { textContent: part.text }) : part.text,
  );
}

function paragraph(className: string, text: string): HTMLElement {
  const made = element("p", { className });
  made.append(...inline(text));
  return made;
}

function link(path: string, text: string): HTMLElement {
  const made = element("p", {});
  made.append(element("a", { href: href(path), textContent: text }));
  return made;
}

function button(label: string, act: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", className: "button", textContent: label });
  made.addEventListener("click", act);
  return made;
}

function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]>,
): HTMLElementTagNameMap[Name] {
  return Object.assign(document.createElement(name), properties);
}

function showAll(): void {
  showObjectives();
  void showReview();
}

showAll();
document.addEventListener(storedEvent, showAll);
