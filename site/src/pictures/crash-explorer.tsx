/** The crash explorer: drag the crash along the disk's calls, and see what each fsync policy has kept. */
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Words } from "./parts.tsx";
import {
  crashAt,
  crashFirstMs,
  crashes,
  describeCrash,
  describeOutcome,
  policies,
  runPolicy,
  sendTimesMs,
  survivalOf,
  timelineMs,
  type Crash,
  type CrashOutcome,
  type Fate,
  type PolicyRun,
} from "./crash-model.ts";

export function mount(stage: HTMLElement): void {
  render(<CrashExplorer />, stage);
}

const percent = (atMs: number): string => `${(atMs / timelineMs) * 100}%`;

const fateMarks: Readonly<Record<Fate, { readonly mark: string; readonly name: string }>> = {
  unsent: { mark: "·", name: "not sent yet" },
  kept: { mark: "✓", name: "acknowledged and kept" },
  lost: { mark: "✕", name: "acknowledged and lost" },
  surprising: { mark: "+", name: "kept, never acknowledged" },
  unpromised: { mark: "–", name: "gone, never acknowledged" },
};

interface Shown {
  readonly atMs: number;
  readonly crash: Crash;
  readonly outcomes: readonly CrashOutcome[];
}

function CrashExplorer() {
  const [runs, setRuns] = useState<readonly PolicyRun[]>();
  const [atMs, setAtMs] = useState<number>(crashFirstMs);
  const [crash, setCrash] = useState<Crash>("power");
  const [seed, setSeed] = useState(1);
  const [shown, setShown] = useState<Shown>();
  useEffect(() => void Promise.all(policies.map(runPolicy)).then(setRuns), []);
  useEffect(() => {
    if (runs === undefined) return;
    let isCurrent = true;
    const all = runs.map((run) => crashAt(run, atMs, survivalOf(crash, seed)));
    void Promise.all(all).then((outcomes) => isCurrent && setShown({ atMs, crash, outcomes }));
    return () => void (isCurrent = false);
  }, [runs, atMs, crash, seed]);
  if (runs === undefined || shown === undefined) return <p>Running the broker's log three times …</p>;
  return (
    <div class="crash-explorer">
      <div class="picture-controls">
        <label>
          What happens{" "}
          <select value={crash} onChange={(event) => setCrash(event.currentTarget.value as Crash)}>
            {Object.entries(crashes).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        {crash === "luck" && (
          <button type="button" class="button" onClick={() => setSeed(seed + 1)}>
            Throw the dice again
          </button>
        )}
      </div>
      <div class="lanes">
        {runs.map((run, index) => (
          <Lane key={run.policy} run={run} outcome={shown.outcomes[index]!} atMs={atMs} onCrash={setAtMs} />
        ))}
      </div>
      <CrashTime runs={runs} atMs={atMs} onCrash={setAtMs} />
      <p class="picture-note fate-key">
        <span>
          <span class="key-sent" aria-hidden="true" /> a record is sent
        </span>
        <span>
          <span class="key-write" aria-hidden="true" /> write
        </span>
        <span>
          <span class="key-sync" aria-hidden="true" /> fsync
        </span>
      </p>
      <ul class="outcomes-list" aria-live="polite">
        {shown.outcomes.map((outcome) => (
          <li key={outcome.policy}>{describeOutcome(outcome)}</li>
        ))}
      </ul>
      <p class="picture-note fate-key">
        {Object.entries(fateMarks).map(([fate, { mark, name }]) => (
          <span key={fate}>
            <span class={`fate is-${fate}`} aria-hidden="true">
              {mark}
            </span>{" "}
            {name}
          </span>
        ))}
      </p>
      <Words text={describeCrash(shown.atMs, shown.crash, shown.outcomes)} />
    </div>
  );
}

interface LaneProps {
  readonly run: PolicyRun;
  readonly outcome: CrashOutcome;
  readonly atMs: number;
  readonly onCrash: (atMs: number) => void;
}

function Lane({ run, outcome, atMs, onCrash }: LaneProps) {
  const drag = (event: PointerEvent): void => {
    if (event.buttons === 0 && event.type !== "pointerdown") return;
    const { left, width } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
    onCrash(Math.round((share * timelineMs) / 10) * 10);
  };
  return (
    <div class="lane">
      <p class="lane-name">fsync {run.policy}</p>
      <div class="lane-track" aria-hidden="true" onPointerDown={drag} onPointerMove={drag}>
        {sendTimesMs.map((sentMs, number) => (
          <span
            key={sentMs}
            class="sent"
            style={{ left: percent(sentMs) }}
            title={`record ${number + 1} is sent`}
          />
        ))}
        {run.calls.map(({ operation, startMs, endMs }) => (
          <span
            key={`${operation}-${startMs}`}
            class={`call is-${operation}`}
            style={{ left: percent(startMs), width: percent((endMs ?? timelineMs) - startMs) }}
            title={`${operation}, ${startMs} to ${endMs ?? "after the end"} ms`}
          />
        ))}
        <span class="crash-line" style={{ left: percent(atMs) }} />
      </div>
      <ol class="fates" aria-label={`Records under ${run.policy}`}>
        {outcome.fates.map((fate, number) => (
          <li key={number} class={`fate is-${fate}`}>
            <span aria-hidden="true">{fateMarks[fate].mark}</span>
            <span class="visually-hidden">
              record {number + 1}: {fateMarks[fate].name}
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}

/** The time of the crash as a slider, and jumps to where a call begins or ends. */
function CrashTime({
  runs,
  atMs,
  onCrash,
}: {
  runs: readonly PolicyRun[];
  atMs: number;
  onCrash: (atMs: number) => void;
}) {
  const borders = runs
    .flatMap(({ calls }) =>
      calls.flatMap(({ startMs, endMs }) => (endMs === undefined ? [startMs] : [startMs, endMs])),
    )
    .toSorted((a, b) => a - b);
  const before = borders.findLast((border) => border < atMs);
  const after = borders.find((border) => border > atMs);
  return (
    <div class="crash-time">
      <label>
        <span class="visually-hidden">Time of the crash</span>
        <input
          type="range"
          min={0}
          max={timelineMs}
          step={10}
          value={atMs}
          aria-valuetext={`${atMs} milliseconds`}
          onInput={(event) => onCrash(Number(event.currentTarget.value))}
        />
      </label>
      <div class="picture-controls">
        <output>crash at {atMs} ms</output>
        <button
          type="button"
          class="button"
          disabled={before === undefined}
          onClick={() => onCrash(before ?? 0)}
        >
          Call before
        </button>
        <button
          type="button"
          class="button"
          disabled={after === undefined}
          onClick={() => onCrash(after ?? timelineMs)}
        >
          Next call
        </button>
      </div>
    </div>
  );
}
