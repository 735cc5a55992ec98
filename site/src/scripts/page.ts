/**
 * The script of every page, a few kilobytes: theme, progress marks, export and import, and the door to the workspace,
 * whose own code is fetched when an exercise is opened and not before.
 */
import { showProgress } from "./progress-marks.ts";
import { exportProgress, importProgress } from "./storage.ts";

const root = document.documentElement;

/** Says something to screen readers without moving the focus. */
function announce(text: string): void {
  const region = document.querySelector("[data-announce]");
  if (region !== null) region.textContent = text;
}

function wireTheme(): void {
  const select = document.querySelector<HTMLSelectElement>("[data-theme-choice]");
  if (select === null) return;
  select.value = root.dataset["theme"] ?? "system";
  select.addEventListener("change", () => {
    if (select.value === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = select.value;
    try {
      localStorage.setItem("oz:theme", select.value);
    } catch {
      // The choice then lasts for this page only.
    }
    document.dispatchEvent(new CustomEvent("oz:theme"));
  });
}

function wireExport(): void {
  document.querySelector("[data-export]")?.addEventListener("click", () => {
    const blob = new Blob([JSON.stringify(exportProgress(), undefined, 2)], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `offset-zero-${new Date().toISOString().slice(0, 10)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    announce("Progress exported.");
  });
  document.querySelector("[data-import]")?.addEventListener("click", () => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = "application/json";
    input.addEventListener("change", () => void takeIn(input.files?.[0]));
    input.click();
  });
}

async function takeIn(file: File | undefined): Promise<void> {
  if (file === undefined) return;
  const result = importProgress(await file.text());
  const note = document.querySelector(".keep");
  const text =
    "problem" in result
      ? result.problem
      : `Brought in ${result.count} exercises; earlier texts are in their history.`;
  note?.querySelector(".import-note")?.remove();
  note?.append(
    Object.assign(document.createElement("strong"), { className: "import-note", textContent: ` ${text}` }),
  );
  announce(text);
  showProgress();
}

async function openExercise(id: string): Promise<void> {
  const host = document.querySelector<HTMLElement>("[data-workspace]");
  if (host === null) return;
  const address = new URL(location.href);
  address.searchParams.set("exercise", id);
  history.replaceState(null, "", address);
  host.hidden = false;
  document.body.classList.add("has-workspace");
  document
    .querySelector(`[data-progress="${CSS.escape(id)}"]`)
    ?.scrollIntoView({ block: "center", behavior: "instant" });
  if (host.childElementCount === 0) host.textContent = "Opening the workspace …";
  try {
    const { openWorkspace } = await import("../workspace/open.tsx");
    await openWorkspace(host, id, { announce, onProgress: showProgress, onClose: closeExercise });
  } catch (error) {
    host.textContent = `The workspace could not be loaded (${String(error)}). Reload the page to try again.`;
  }
}

function closeExercise(): void {
  const host = document.querySelector<HTMLElement>("[data-workspace]");
  const address = new URL(location.href);
  const id = address.searchParams.get("exercise");
  address.searchParams.delete("exercise");
  history.replaceState(null, "", address);
  document.body.classList.remove("has-workspace");
  delete document.body.dataset["pane"];
  if (host !== null) host.hidden = true;
  const button = document.querySelector<HTMLElement>(`[data-exercise="${CSS.escape(id ?? "")}"]`);
  button?.scrollIntoView({ block: "center", behavior: "instant" });
  button?.focus();
}

function wireExercises(): void {
  for (const button of document.querySelectorAll<HTMLElement>("[data-exercise]")) {
    button.addEventListener("click", () => void openExercise(button.dataset["exercise"] ?? ""));
  }
  const asked = new URLSearchParams(location.search).get("exercise");
  if (asked !== null && document.querySelector(`[data-exercise="${CSS.escape(asked)}"]`) !== null) {
    void openExercise(asked);
  }
}

/** On narrow windows the contents start folded: the text comes first. */
function foldContents(): void {
  const aside = document.querySelector<HTMLDetailsElement>(".lesson-aside");
  if (aside !== null && matchMedia("(width < 70rem)").matches) aside.open = false;
}

wireTheme();
wireExport();
wireExercises();
foldContents();
showProgress();
