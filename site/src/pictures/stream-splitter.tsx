/** The stream splitter: the reader cuts the stream, the broker's decoder puts the frames together again. */
import { render } from "preact";
import { useState } from "preact/hooks";
import { ByteRow, Words } from "./parts.tsx";
import {
  damaged,
  describePlay,
  describeStep,
  makeStream,
  nameOfByte,
  play,
  presets,
  randomCuts,
  type ChunkStep,
} from "./splitter-model.ts";

export function mount(stage: HTMLElement): void {
  render(<StreamSplitter />, stage);
}

const whole = makeStream();

function StreamSplitter() {
  const [cuts, setCuts] = useState<ReadonlySet<number>>(() => new Set(presets["Inside a length"](whole)));
  const [isDamaged, setDamaged] = useState(false);
  const [selected, setSelected] = useState(1);
  const [seed, setSeed] = useState(1);
  const stream = isDamaged ? damaged(whole) : whole;
  const steps = play(stream, cuts);
  const toggle = (at: number): void => {
    setSelected(at);
    if (at > 0)
      setCuts(cuts.has(at) ? new Set([...cuts].filter((cut) => cut !== at)) : new Set([...cuts, at]));
  };
  const frameOf = (at: number): number =>
    stream.frames.findIndex(({ start, end }) => at >= start && at < end);
  const damagedAt = isDamaged ? stream.frames[1]!.start + 4 : -1;
  return (
    <div class="stream-splitter">
      <div class="picture-controls">
        {Object.entries(presets).map(([name, cutsOf]) => (
          <button key={name} type="button" class="button" onClick={() => setCuts(new Set(cutsOf(stream)))}>
            {name}
          </button>
        ))}
        <button
          type="button"
          class="button"
          onClick={() => {
            setCuts(new Set(randomCuts(stream, seed)));
            setSeed(seed + 1);
          }}
        >
          As it comes
        </button>
        <label>
          <input
            type="checkbox"
            checked={isDamaged}
            onChange={(event) => setDamaged(event.currentTarget.checked)}
          />{" "}
          damage frame 2
        </label>
      </div>
      <ByteRow
        label="Bytes of the stream: press one to cut before it"
        bytes={stream.bytes}
        selected={selected}
        nameOf={(at) => `${nameOfByte(stream, at)}${cuts.has(at) ? ", cut before it" : ""}`}
        classOf={(at) =>
          `${frameOf(at) % 2 === 0 ? "is-even" : "is-odd"} ${cuts.has(at) ? "is-cut" : ""} ${at === damagedAt ? "is-damaged" : ""}`
        }
        isPressed={(at) => cuts.has(at)}
        onSelect={setSelected}
        onPress={toggle}
      />
      <ol class="chunks" aria-live="polite">
        {steps.map((step) => (
          <Chunk key={step.start} step={step} />
        ))}
      </ol>
      <p class="picture-note">
        {steps.length} {steps.length === 1 ? "chunk" : "chunks"}, {steps.at(-1)?.copied ?? 0} bytes copied
        because a border cut a frame.
      </p>
      <Words text={describePlay(steps)} />
    </div>
  );
}

function Chunk({ step }: { readonly step: ChunkStep }) {
  const state =
    step.fault !== undefined
      ? "is-fault"
      : step.isIgnored
        ? "is-ignored"
        : step.frames.length > 0
          ? "is-whole"
          : "";
  return (
    <li class={state}>
      <span class="chunk-range">
        bytes {step.start}–{step.end - 1}:
      </span>{" "}
      {describeStep(step)}
    </li>
  );
}
