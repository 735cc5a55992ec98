/**
 * The script of every page, a few kilobytes: theme, progress marks, export and import, and the door to the workspace,
 * whose own code is fetched when an exercise is opened and not before.
 */
import type { Imported } from "./progress-file.ts";
import { wireShortcuts } from "./keys.ts";
import { showProgress } from "./progress-marks.ts";

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

/** Export and import, whose code is fetched when it is asked for. */
function wireExport(): void {
  document.querySelector("[data-export]")?.addEventListener("click", () => {
    void import("./progress-file.ts").then(({ downloadProgress }) => {
      downloadProgress();
      announce("Progress exported.");
    });
  });
  document.querySelector("[data-import]")?.addEventListener("click", () => {
    void import("./progress-file.ts")
      .then(({ chooseProgress }) => chooseProgress())
      .then((result) => result !== undefined && showImported(result));
  });
}

/** Says what came of an import, with an undo beside it. */
function showImported(result: Imported): void {
  const text = result.kind === "refused" ? result.problem : result.note;
  const note = Object.assign(document.createElement("strong"), {
    className: "import-note",
    textContent: ` ${text} `,
  });
  const keep = document.querySelector(".keep");
  keep?.querySelector(".import-note")?.remove();
  keep?.append(note);
  announce(text);
  showProgress();
  if (result.kind === "refused") return;
  const undo = Object.assign(document.createElement("button"), {
    className: "link-button",
    textContent: "Undo",
  });
  undo.addEventListener("click", () => {
    result.undo();
    note.textContent = " The import is undone: everything is as it was.";
    announce(note.textContent);
    showProgress();
  });
  note.append(undo);
}

async function openExercise(id: string): Promise<void> {
  const host = document.querySelector<HTMLElement>("[data-workspace]");
  if (host === null) return;
  const address = new URL(location.href);
  // Pane, test and seed belong to the exercise that the address names.
  if (address.searchParams.get("exercise") !== id) forgetPlace(address);
  address.searchParams.set("exercise", id);
  history.replaceState(null, "", address);
  host.hidden = false;
  root.classList.add("has-workspace");
  document
    .querySelector(`[data-progress="${CSS.escape(id)}"]`)
    ?.scrollIntoView({ block: "center", behavior: "instant" });
  if (host.childElementCount === 0) host.textContent = "Opening the workspace …";
  // Asked for now and not by the workspace's script, so that both are on their way at once.
  const bundle = fetch(`${root.dataset["base"]}exercises/${id}.json`);
  // Without an effect when nobody waits for it: what went wrong is said where it is waited for.
  bundle.catch(() => undefined);
  try {
    const { openWorkspace } = await import("../workspace/open.tsx");
    await openWorkspace(host, id, { announce, onProgress: showProgress, onClose: closeExercise, bundle });
  } catch (error) {
    host.textContent = `The workspace could not be loaded (${String(error)}). Reload the page to try again.`;
  }
}

/** Takes everything out of an address that says which exercise is open, and where in it. */
function forgetPlace(address: URL): void {
  for (const name of ["exercise", "pane", "test", "seed"]) address.searchParams.delete(name);
}

function closeExercise(): void {
  const host = document.querySelector<HTMLElement>("[data-workspace]");
  const address = new URL(location.href);
  const id = address.searchParams.get("exercise");
  forgetPlace(address);
  history.replaceState(null, "", address);
  root.classList.remove("has-workspace");
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
  } else {
    // theme.js has made room for an exercise, and there is none of that name.
    root.classList.remove("has-workspace");
  }
}

/**
 * On wide windows the contents stand beside the text; styles show them there from the first paint, and this tells it
 * to browsers and screen readers.
 */
function unfoldContents(): void {
  const aside = document.querySelector<HTMLDetailsElement>(".lesson-aside");
  if (aside !== null && matchMedia("(width >= 70rem)").matches) aside.open = true;
}

wireTheme();
wireShortcuts();
wireExport();
wireExercises();
unfoldContents();
showProgress();
