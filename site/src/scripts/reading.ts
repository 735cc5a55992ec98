/** What every page has for readers, apart from exercises: the search, and the course without a network. */
import { isSingleKey } from "./keys.ts";
import { wireOffline } from "./offline.ts";

/** The search opens by its button and by `/`, and its code comes then. */
function wireSearch(): void {
  const open = (): void => void import("../search/dialog.ts").then(({ openSearch }) => openSearch());
  document.querySelector("[data-search]")?.addEventListener("click", open);
  addEventListener("keydown", (event) => {
    if (!isSingleKey(event, "/")) return;
    event.preventDefault();
    open();
  });
}

/** Marks in the contents which section is being read: the last whose heading has come up to the reader. */
function wireContents(): void {
  const links = [...document.querySelectorAll<HTMLAnchorElement>(".toc a")];
  const sections = new Map(links.map((link) => [document.getElementById(link.hash.slice(1)), link]));
  const mark = (): void => {
    let current: HTMLAnchorElement | undefined;
    for (const [heading, link] of sections) {
      if (heading !== null && heading.getBoundingClientRect().top < innerHeight / 3) current = link;
      link.removeAttribute("aria-current");
    }
    current?.setAttribute("aria-current", "location");
  };
  const observer = new IntersectionObserver(mark, { rootMargin: "0px 0px -66% 0px", threshold: [0, 1] });
  for (const heading of sections.keys()) if (heading !== null) observer.observe(heading);
}

wireSearch();
wireOffline();
wireContents();
