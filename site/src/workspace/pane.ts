/** On narrow windows one pane is on screen at a time. Style sheets follow the attribute on the body. */
import { signal } from "@preact/signals";

export type Pane = "prose" | "code" | "results";

export const pane = signal<Pane>("prose");

/** A pane that is not on screen loses its scroll position, so the text's is kept here. */
let proseScroll: number | undefined;

export function showPane(next: Pane): void {
  const prose = document.querySelector(".prose-pane");
  const isShown = prose !== null && prose.clientHeight > 0;
  if (isShown && document.documentElement.classList.contains("has-workspace")) proseScroll = prose.scrollTop;
  pane.value = next;
  document.body.dataset["pane"] = next;
  if (!isShown && prose !== null && prose.clientHeight > 0) {
    if (proseScroll !== undefined) prose.scrollTop = proseScroll;
    else openCard()?.scrollIntoView({ block: "center", behavior: "instant" });
  }
}

/** The card of the exercise that the address names. */
function openCard(): Element | null {
  const id = new URLSearchParams(location.search).get("exercise") ?? "";
  return document.querySelector(`.exercise-card[data-progress="${CSS.escape(id)}"]`);
}
