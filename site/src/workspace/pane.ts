/** On narrow windows one pane is on screen at a time. Style sheets follow the attribute on the body. */
import { signal } from "@preact/signals";

export type Pane = "prose" | "code" | "results";

export const pane = signal<Pane>("prose");

export function showPane(next: Pane): void {
  pane.value = next;
  document.body.dataset["pane"] = next;
}
