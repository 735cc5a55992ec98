/** The frame inspector: type in fields and see bytes, paste bytes and see fields, flip a bit and see what notices. */
import { render } from "preact";
import { useState } from "preact/hooks";
import type { FrameKind } from "#reference/protocol/frame.ts";
import type { MessageName } from "#reference/protocol/messages.ts";
import { ByteRow, Words } from "./parts.tsx";
import {
  describeFrame,
  encodeForm,
  exampleFrame,
  exampleNames,
  fieldNumbers,
  firstFrame,
  flipBit,
  formFields,
  formOf,
  parseHex,
  readFrame,
  spacedHex,
  type FrameForm,
  type FrameReading,
} from "./frame-model.ts";

export function mount(stage: HTMLElement): void {
  render(<FrameInspector />, stage);
}

/** Makes the ids of fields unique in the page, which may show more than one inspector. */
let fieldCount = 0;

interface State {
  readonly reading: FrameReading;
  readonly form: FrameForm;
  /** What stands in the field for bytes, which may not be bytes yet. */
  readonly hexText: string;
  readonly problem: { readonly field: string; readonly problem: string } | undefined;
}

function stateOf(bytes: Uint8Array, kind: FrameKind, form?: FrameForm, hexText = spacedHex(bytes)): State {
  const reading = readFrame(bytes, kind);
  return { reading, form: formOf(reading, form), hexText, problem: undefined };
}

function FrameInspector() {
  const [state, setState] = useState(() => stateOf(firstFrame(), "request"));
  const [example, setExample] = useState<MessageName>("Fetch");
  const [selected, setSelected] = useState(4);
  const { reading, form, problem } = state;
  const { kind, bytes } = reading;
  const at = Math.min(selected, bytes.length - 1);
  const show = (next: Uint8Array, nextKind = kind): void => setState(stateOf(next, nextKind, form));

  const choose = (name: MessageName, nextKind: FrameKind): void => {
    setExample(name);
    show(exampleFrame(nextKind, name), nextKind);
  };
  const typeHex = (hexText: string): void => {
    const parsed = parseHex(hexText);
    if (parsed instanceof Uint8Array) setState(stateOf(parsed, kind, form, hexText));
    else setState({ ...state, hexText, problem: { field: "bytes", problem: parsed.problem } });
  };
  const typeField = (field: string, text: string): void => {
    const next = { ...form, [field]: text };
    const encoded = encodeForm(kind, next);
    if ("problem" in encoded) return setState({ ...state, form: next, problem: encoded });
    setState({ ...stateOf(encoded, kind, next), form: next });
  };
  const seal = (): void => {
    const encoded = encodeForm(kind, form);
    if (encoded instanceof Uint8Array) show(encoded);
    else setState({ ...state, problem: encoded });
  };
  const numbers = fieldNumbers(reading);
  const nameOf = (byte: number): string => reading.fields[numbers[byte] ?? -1]?.name ?? "no field";
  return (
    <div class="frame-inspector">
      <div class="picture-controls">
        <Choice
          label="Frame"
          value={kind}
          choices={["request", "response"]}
          onChange={(to) => choose(example, to as FrameKind)}
        />
        <Choice
          label="Example"
          value={example}
          choices={exampleNames}
          onChange={(to) => choose(to as MessageName, kind)}
        />
        <button type="button" class="button" onClick={seal}>
          Recompute length and checksum
        </button>
      </div>
      <div class="frame-form">
        {formFields(kind).map((field) => (
          <FormField
            key={field}
            name={field}
            value={form[field] ?? ""}
            problem={problem?.field === field ? problem.problem : undefined}
            onInput={(text) => typeField(field, text)}
          />
        ))}
      </div>
      <FormField
        name="bytes"
        label="All bytes, in hexadecimal"
        value={state.hexText}
        problem={problem?.field === "bytes" ? problem.problem : undefined}
        isLong
        onInput={typeHex}
      />
      <p class={`picture-verdict is-${reading.state}`} role="status">
        {reading.verdict}
      </p>
      <ByteRow
        label="Bytes of the frame"
        bytes={bytes}
        selected={at}
        nameOf={nameOf}
        classOf={(byte) =>
          `${(numbers[byte] ?? 0) % 2 === 0 ? "is-even" : "is-odd"} ${numbers[byte] === numbers[at] ? "is-field" : ""}`
        }
        onSelect={setSelected}
      />
      {at >= 0 && (
        <Bits byte={bytes[at]!} at={at} name={nameOf(at)} onFlip={(bit) => show(flipBit(bytes, at, bit))} />
      )}
      <Tree reading={reading} at={at} onSelect={setSelected} />
      <Words text={describeFrame(reading)} />
    </div>
  );
}

function Choice(props: {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly string[];
  readonly onChange: (to: string) => void;
}) {
  return (
    <label>
      {props.label}{" "}
      <select value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    </label>
  );
}

function FormField(props: {
  readonly name: string;
  readonly label?: string;
  readonly value: string;
  readonly problem: string | undefined;
  readonly isLong?: boolean;
  readonly onInput: (text: string) => void;
}) {
  const [id] = useState(() => `frame-field-${fieldCount++}`);
  const isText = props.isLong === true || props.name === "payload";
  const shared = {
    id,
    value: props.value,
    spellcheck: false,
    autocomplete: "off",
    "aria-invalid": props.problem !== undefined,
    "aria-describedby": `${id}-problem`,
  };
  return (
    <div class={`frame-field ${isText ? "is-long" : ""}`}>
      <label for={id}>
        {props.label ?? (props.name === "payload" ? "payload, in hexadecimal" : props.name)}
      </label>
      {isText ? (
        <textarea {...shared} rows={2} onInput={(event) => props.onInput(event.currentTarget.value)} />
      ) : (
        <input
          {...shared}
          inputMode="numeric"
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
      )}
      <span class="frame-problem" id={`${id}-problem`} role="status">
        {props.problem}
      </span>
    </div>
  );
}

const bits = [7, 6, 5, 4, 3, 2, 1, 0] as const;

function Bits({
  byte,
  at,
  name,
  onFlip,
}: {
  byte: number;
  at: number;
  name: string;
  onFlip: (bit: number) => void;
}) {
  return (
    <div class="bit-row" role="group" aria-label={`Bits of byte ${at}`}>
      <span class="bit-label">
        byte {at}, {name}: flip a bit
      </span>
      {bits.map((bit) => (
        <button
          key={bit}
          type="button"
          class="bit"
          aria-label={`Bit ${bit} of byte ${at} is ${(byte >> bit) & 1}: flip it`}
          onClick={() => onFlip(bit)}
        >
          {(byte >> bit) & 1}
        </button>
      ))}
    </div>
  );
}

function Tree({
  reading,
  at,
  onSelect,
}: {
  reading: FrameReading;
  at: number;
  onSelect: (at: number) => void;
}) {
  return (
    <div class="picture-table" tabIndex={0} role="region" aria-label="Fields of the frame">
      <table>
        <thead>
          <tr>
            <th scope="col">Bytes</th>
            <th scope="col">Field</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {reading.fields.flatMap(({ name, start, end, value }) => [
            <Row key={name} name={name} start={start} end={end} value={value} at={at} onSelect={onSelect} />,
            ...(name === "payload" ? reading.payload : []).map((part) => (
              <Row
                key={`payload.${part.name}.${part.start}`}
                name={part.name}
                start={part.start}
                end={part.end}
                value={part.text ?? part.kind}
                isInside
                at={at}
                onSelect={onSelect}
              />
            )),
          ])}
        </tbody>
      </table>
    </div>
  );
}

function Row(props: {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly value: string;
  readonly isInside?: boolean;
  readonly at: number;
  readonly onSelect: (at: number) => void;
}) {
  const { name, start, end, value, isInside, at, onSelect } = props;
  const range = start === end ? "none" : end - start === 1 ? `${start}` : `${start}–${end - 1}`;
  const isHere = at >= start && at < end;
  return (
    <tr
      class={`${isHere ? "is-field" : ""} ${isInside === true ? "is-inside" : ""}`}
      onClick={() => onSelect(start)}
    >
      <td>{range}</td>
      <th scope="row">{name}</th>
      <td>{value}</td>
    </tr>
  );
}
