/** The search as a reader meets it: a dialog over the page, whose code and texts are fetched when it opens. */
import { href } from "../lib/links.ts";
import { addStyles } from "../scripts/styles.ts";
import styles from "../styles/search.css?url";
import { makeFinder, type Found, type SearchDocument } from "./find.ts";

const kindNames: Readonly<Record<SearchDocument["kind"], string>> = {
  lesson: "Lesson",
  exercise: "Exercise",
  error: "Error code",
  limit: "Limit",
  page: "Page",
};

type Finder = ReturnType<typeof makeFinder>;

let finder: Promise<Finder> | undefined;
let dialog: HTMLDialogElement | undefined;

/** Opens the dialog, and makes it the first time. */
export async function openSearch(): Promise<void> {
  await addStyles(styles);
  dialog ??= makeDialog();
  if (!dialog.open) dialog.showModal();
  const input = dialog.querySelector("input");
  input?.focus();
  input?.select();
}

function loadFinder(): Promise<Finder> {
  finder ??= fetch(href("search.json"))
    .then((response) => response.json() as Promise<SearchDocument[]>)
    .then(makeFinder);
  // A failure is not for ever: the network may come back.
  finder.catch(() => (finder = undefined));
  return finder;
}

function makeDialog(): HTMLDialogElement {
  const made = element("dialog", { className: "search-dialog" });
  made.setAttribute("aria-label", "Search the course");
  const input = element("input", {
    type: "search",
    placeholder: "Lessons, exercises, errors, limits",
    spellcheck: false,
  });
  input.setAttribute("aria-label", "Search for");
  input.setAttribute("aria-describedby", "search-count");
  const close = element("button", { type: "button", className: "button is-quiet", textContent: "Close" });
  const count = element("p", { className: "search-count", id: "search-count" });
  count.setAttribute("role", "status");
  const list = element("ol", { className: "search-results" });
  const head = element("div", { className: "search-head" });
  head.append(input, close);
  made.append(head, count, list);
  close.addEventListener("click", () => made.close());
  made.addEventListener("click", (event) => {
    const isBackdrop = event.target === made;
    const isSamePage = (event.target as Element).closest("a") !== null;
    if (isBackdrop || isSamePage) made.close();
  });
  input.addEventListener("input", () => void find(input.value, list, count));
  made.addEventListener("keydown", (event) => walk(event, made, input));
  document.body.append(made);
  void loadFinder().catch(() => undefined);
  return made;
}

async function find(query: string, list: HTMLElement, count: HTMLElement): Promise<void> {
  try {
    const found = (await loadFinder())(query);
    list.replaceChildren(...found.map(resultOf));
    count.textContent =
      query.trim() === "" ? "" : found.length === 0 ? "Nothing found." : `${found.length} found.`;
  } catch {
    count.textContent = "The texts to search could not be fetched. Try again when there is a network.";
  }
}

/** Down and up walk through the results; Enter in the field opens the first. */
function walk(event: KeyboardEvent, within: HTMLElement, input: HTMLInputElement): void {
  const links = [...within.querySelectorAll<HTMLAnchorElement>(".search-results a")];
  const at = links.indexOf(document.activeElement as HTMLAnchorElement);
  if (event.key === "Enter" && at < 0 && document.activeElement === input) {
    event.preventDefault();
    links[0]?.click();
  }
  const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (by === 0 || links.length === 0) return;
  event.preventDefault();
  (links[at + by] ?? (by < 0 ? input : links.at(-1)!)).focus();
}

function resultOf({ document: found, excerpt }: Found): HTMLElement {
  const link = element("a", { href: href(found.id) });
  const title = element("span", { className: "search-title", textContent: found.title });
  const heading = element("span", {
    className: "search-where",
    textContent: [kindNames[found.kind], found.heading].filter(Boolean).join(" · "),
  });
  const text = element("span", { className: "search-excerpt" });
  text.append(
    ...excerpt.map((part) => (part.isMatch ? element("mark", { textContent: part.text }) : part.text)),
  );
  link.append(title, " ", heading, " ", text);
  const item = element("li", {});
  item.append(link);
  return item;
}

function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]>,
): HTMLElementTagNameMap[Name] {
  return Object.assign(document.createElement(name), properties);
}
