/** The learner's code beside another text: the solution, or an earlier version. Differences are taken one by one. */
import { useSignal, useSignalEffect, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { CodeEditor, Comparing } from "../editor/editor.ts";
import type { Comparison, Session } from "../session.ts";

interface ComparisonProps {
  readonly session: Session;
  readonly comparison: Comparison;
  readonly editor: Signal<CodeEditor | undefined>;
}

export function ComparisonView({ session, comparison, editor }: ComparisonProps) {
  const host = useRef<HTMLDivElement>(null);
  const back = useRef<HTMLButtonElement>(null);
  const comparing = useRef<Comparing | undefined>(undefined);
  const place = useSignal<{ readonly count: number; readonly current: number } | undefined>(undefined);
  const current = editor.value;
  useEffect(() => {
    if (current === undefined) return undefined;
    const opened = current.compare({
      parent: host.current!,
      name: comparison.name,
      text: comparison.text,
      onCount: (count, at) => (place.value = { count, current: at }),
    });
    comparing.current = opened;
    return () => opened.close();
  }, [current, comparison]);
  useEffect(() => {
    back.current?.focus();
    // Once this is gone the editor beneath takes the focus again.
    return () => requestAnimationFrame(() => editor.value?.focus());
  }, []);
  useSignalEffect(() => comparing.current?.setText(session.text.value));
  const take = (): void => {
    const before = session.text.value;
    comparing.current?.take();
    if (session.text.value === before) return;
    session.offerUndo(before, "One difference is taken over.");
  };
  const count = place.value?.count;
  const isNone = count === 0;
  return (
    <div class="comparison" role="region" aria-label={`Your code beside ${comparison.name}`}>
      <div class="comparison-bar">
        <p>
          {current?.kind === "light"
            ? `Green lines with a button are those of ${comparison.name}, the others are yours.`
            : `Left: ${comparison.name}. Right: yours, still editable.`}
        </p>
        <p class="comparison-count" role="status">
          {count !== undefined &&
            (isNone ? "No differences." : `Difference ${place.value?.current} of ${count}`)}
        </p>
        <span class="comparison-actions">
          <button
            type="button"
            class="button"
            aria-label="Previous difference"
            disabled={isNone}
            onClick={() => comparing.current?.go("previous")}
          >
            ↑
          </button>
          <button
            type="button"
            class="button"
            aria-label="Next difference"
            disabled={isNone}
            onClick={() => comparing.current?.go("next")}
          >
            ↓
          </button>
          <button type="button" class="button" disabled={isNone} onClick={take}>
            Take this one
          </button>
          {comparison.kind === "version" && (
            <button type="button" class="button" disabled={isNone} onClick={() => session.restoreCompared()}>
              Bring it back whole
            </button>
          )}
          <button type="button" class="button" ref={back} onClick={session.closeComparison}>
            Back to your code
          </button>
        </span>
      </div>
      <div class="comparison-host" ref={host} />
    </div>
  );
}
