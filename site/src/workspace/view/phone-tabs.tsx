/** Narrow windows show one pane at a time; these buttons choose which. */
import { useSignalEffect } from "@preact/signals";
import { pane, showPane, type Pane } from "../pane.ts";
import type { Session } from "../session.ts";

const panes: readonly { readonly name: Pane; readonly text: string }[] = [
  { name: "prose", text: "Text" },
  { name: "code", text: "Code" },
  { name: "results", text: "Results" },
];

export function PhoneTabs({ session }: { readonly session: Session }) {
  useSignalEffect(() => {
    if (session.running.value !== undefined && pane.peek() !== "results") showPane("results");
  });
  const grade = session.grade.value;
  const note = grade === undefined ? undefined : `${grade.points.earned}/${grade.points.possible}`;
  return (
    <nav class="phone-tabs" aria-label="Panes">
      {panes.map(({ name, text }) => (
        <button
          key={name}
          type="button"
          aria-current={pane.value === name ? "true" : undefined}
          onClick={() => showPane(name)}
        >
          {text}
          {name === "results" && note !== undefined && <span class="tab-note">{note}</span>}
        </button>
      ))}
    </nav>
  );
}
