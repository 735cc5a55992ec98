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

wireSearch();
wireOffline();
