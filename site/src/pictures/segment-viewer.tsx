/** The segment viewer: the files of a small log to scale, and the way from an offset to its bytes. */
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Words } from "./parts.tsx";
import {
  describeLookUp,
  intervals,
  lookUp,
  makeLog,
  offsetFirst,
  type LogView,
  type LookUp,
  type SegmentView,
} from "./log-model.ts";

export function mount(stage: HTMLElement): void {
  render(<SegmentViewer />, stage);
}

function SegmentViewer() {
  const [interval, setInterval] = useState<number>(intervals[1]);
  const [offset, setOffset] = useState<number>(offsetFirst);
  const [shown, setShown] = useState<{ readonly view: LogView; readonly found: LookUp }>();
  const [log, setLog] = useState<LogView>();
  useEffect(() => {
    let isCurrent = true;
    void makeLog(interval).then((view) => isCurrent && setLog(view));
    return () => void (isCurrent = false);
  }, [interval]);
  useEffect(() => {
    if (log === undefined) return;
    let isCurrent = true;
    void lookUp(log, Math.min(offset, log.endOffset - 1)).then(
      (found) => isCurrent && setShown({ view: log, found }),
    );
    return () => void (isCurrent = false);
  }, [log, offset]);
  if (shown === undefined) return <p>Writing a log …</p>;
  const { view, found } = shown;
  const widest = Math.max(...view.segments.map(({ bytes }) => bytes));
  return (
    <div class="segment-viewer">
      <div class="picture-controls">
        <label class="is-wide">
          Offset to find: <output>{found.offset}</output>
          <input
            type="range"
            min={0}
            max={view.endOffset - 1}
            value={found.offset}
            onInput={(event) => setOffset(Number(event.currentTarget.value))}
          />
        </label>
        <label>
          An index entry every{" "}
          <select
            value={String(interval)}
            onChange={(event) => setInterval(Number(event.currentTarget.value))}
          >
            {intervals.map((bytes) => (
              <option key={bytes} value={String(bytes)}>
                {bytes} bytes
              </option>
            ))}
          </select>
        </label>
      </div>
      {view.segments.map((segment) => (
        <Segment key={segment.name} segment={segment} found={found} widest={widest} onSelect={setOffset} />
      ))}
      <ol class="look-up" aria-live="polite">
        {stepsOf(view, found).map((step) => (
          <li key={step}>{step}</li>
        ))}
      </ol>
      <Words text={describeLookUp(view, found)} />
    </div>
  );
}

/** The numbered lines of the text, without their numbers. */
function stepsOf(view: LogView, found: LookUp): string[] {
  return describeLookUp(view, found)
    .split("\n")
    .flatMap((line) => /^\d\. (.*)$/.exec(line)?.[1] ?? []);
}

interface SegmentProps {
  readonly segment: SegmentView;
  readonly found: LookUp;
  readonly widest: number;
  readonly onSelect: (offset: number) => void;
}

function Segment({ segment, found, widest, onSelect }: SegmentProps) {
  const isHere = found.segment.baseOffset === segment.baseOffset;
  const visited = isHere ? found.visited : [];
  const percent = (bytes: number): string => `${(bytes / widest) * 100}%`;
  const entries = Array.from({ length: segment.index.count }, (_, number) => number);
  return (
    <div class={`segment ${isHere ? "is-here" : ""}`}>
      <p class="segment-name">
        {segment.name.replace(/^0+(?=\d)/, "…")}{" "}
        <span>
          offsets {segment.baseOffset}–{segment.endOffset - 1}
        </span>
      </p>
      <div class="segment-bar" aria-hidden="true">
        {segment.batches.map((batch) => {
          const place = visited.findIndex(({ position }) => position === batch.position);
          const state = place < 0 ? "" : place === visited.length - 1 ? "is-target" : "is-visited";
          return (
            <span
              key={batch.position}
              class={`batch ${state}`}
              style={{ width: percent(batch.bytes) }}
              title={`offsets ${batch.baseOffset}–${batch.nextOffset - 1}, byte ${batch.position}`}
              onClick={() => onSelect(batch.baseOffset)}
            >
              {batch.baseOffset}
            </span>
          );
        })}
      </div>
      <div class="segment-index" aria-hidden="true">
        {entries.map((number) => (
          <span
            key={number}
            class={isHere && number === found.entry ? "is-floor" : ""}
            style={{ left: percent(segment.index.positionAt(number)) }}
            title={`index entry: offset ${segment.index.offsetAt(number)} is at byte ${segment.index.positionAt(number)}`}
          />
        ))}
      </div>
    </div>
  );
}
