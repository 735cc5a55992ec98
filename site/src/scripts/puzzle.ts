/** Ordering puzzles: buttons move a line; the check says how far the order is right from the top. */
for (const box of document.querySelectorAll<HTMLElement>("[data-puzzle]")) wire(box);

function wire(box: HTMLElement): void {
  const list = box.querySelector("ol");
  const verdict = box.querySelector(".verdict");
  if (list === null || verdict === null) return;
  list.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>("[data-move]");
    const item = button?.closest("li");
    if (button === null || button === undefined || item === null || item === undefined) return;
    move(item, Number(button.dataset["move"]));
    button.focus();
    delete box.dataset["state"];
    const place = [...list.children].indexOf(item) + 1;
    verdict.textContent = `Now line ${place} of ${list.children.length}.`;
  });
  box.querySelector("[data-check]")?.addEventListener("click", () => check(box, list, verdict));
}

function move(item: HTMLLIElement, by: number): void {
  if (by < 0) item.previousElementSibling?.before(item);
  else item.nextElementSibling?.after(item);
}

function check(box: HTMLElement, list: HTMLOListElement, verdict: Element): void {
  const items = [...list.querySelectorAll<HTMLLIElement>(":scope > li")];
  const right = items.findIndex((item, index) => Number(item.dataset["line"]) !== index);
  items.forEach((item, index) => item.classList.toggle("is-right", right < 0 || index < right));
  if (right < 0) {
    box.dataset["state"] = "right";
    verdict.textContent = "That is the order. Read why below.";
    box.querySelector("details")?.setAttribute("open", "");
    return;
  }
  box.dataset["state"] = "wrong";
  verdict.textContent =
    right === 0
      ? "The first line is not the first step yet."
      : `The first ${right} of ${items.length} are in place.`;
}
