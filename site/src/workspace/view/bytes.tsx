/**
 * Where a failure lies: bytes in rows of sixteen, and the fields that they should be. A field lights up its bytes, a
 * byte names its field. The bytes in question are marked by colour, by a frame and by a note in words.
 */
import { useComputed, useSignal, type Signal } from "@preact/signals";
import { fieldsOf, parseWhere, type Block, type ByteRow, type FieldRow } from "../where.ts";

type Range = Pick<FieldRow, "start" | "end">;

export function Where({ text }: { readonly text: string }) {
  const blocks = parseWhere(text);
  const active = useSignal<{ readonly owner: string; readonly range: Range } | undefined>(undefined);
  return (
    <div class="where">
      {blocks.map((block, index) => {
        if (block.kind === "text") return <PlainText key={index} text={block.text} />;
        const owner = ownerOf(block);
        if (block.kind === "bytes") {
          const fields = fieldsOf(blocks, block);
          return <Bytes key={index} block={block} fields={fields} owner={owner} active={active} />;
        }
        return <Fields key={index} block={block} owner={owner} active={active} />;
      })}
    </div>
  );
}

type Active = Signal<{ readonly owner: string; readonly range: Range } | undefined>;

/** "actual bytes" and "actual fields" belong together. */
function ownerOf({ title }: { readonly title: string }): string {
  return title.split(" ")[0] ?? "";
}

function PlainText({ text }: { readonly text: string }) {
  return (
    <pre class="where-text" tabIndex={0} aria-label="Where it happened">
      {text.split("\n").map((line, index) => (
        <span key={index} class={/^[\s|]*\^+/.test(line) ? "caret-line" : undefined}>
          {line}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}

interface BytesProps {
  readonly block: Block & { readonly kind: "bytes" };
  readonly fields: readonly FieldRow[];
  readonly owner: string;
  readonly active: Active;
}

function Bytes({ block, fields, owner, active }: BytesProps) {
  const notes = block.rows.flatMap(({ marks }) => marks).filter(({ note }) => note !== "");
  return (
    <div class="bytes" tabIndex={0} role="region" aria-label={block.title || "Bytes"}>
      <table>
        <caption>{block.title || "Bytes"}</caption>
        <tbody>
          {block.rows.map((row) => (
            <Row key={row.offset} row={row} fields={fields} owner={owner} active={active} />
          ))}
        </tbody>
      </table>
      {notes.map(({ start, note }) => (
        <p class="byte-note" key={start}>
          Byte {start}: {note}
        </p>
      ))}
    </div>
  );
}

function Row({ row, fields, owner, active }: Omit<BytesProps, "block"> & { readonly row: ByteRow }) {
  const range = useComputed(() => (active.value?.owner === owner ? active.value.range : undefined));
  const last = Math.max(row.bytes.length, ...row.marks.map(({ end }) => Math.min(end - row.offset, 16)));
  const cells = Array.from({ length: last }, (_, index) => {
    const at = row.offset + index;
    const field = fields.find(({ start, end }) => at >= start && at < end);
    const isMarked = row.marks.some(({ start, end }) => at >= start && at < end);
    const isLit = range.value !== undefined && at >= range.value.start && at < range.value.end;
    const classes = [isMarked && "is-marked", isLit && "is-lit", index === 8 && "is-middle"].filter(Boolean);
    return (
      <td
        key={at}
        class={classes.join(" ")}
        title={field === undefined ? `byte ${at}` : `byte ${at}: ${field.name}`}
        onPointerEnter={() => (active.value = field && { owner, range: field })}
      >
        {row.bytes[index] ?? <span class="missing-byte">··</span>}
        {isMarked && <span class="visually-hidden"> (here)</span>}
      </td>
    );
  });
  return (
    <>
      {row.isAfterGap && (
        <tr>
          <th scope="row">…</th>
        </tr>
      )}
      <tr onPointerLeave={() => (active.value = undefined)}>
        <th scope="row">{row.offset.toString(16).padStart(4, "0")}</th>
        {cells}
        {last < 16 && <td colSpan={16 - last} />}
        <td class="byte-text">{row.text}</td>
      </tr>
    </>
  );
}

interface FieldsProps {
  readonly block: Block & { readonly kind: "fields" };
  readonly owner: string;
  readonly active: Active;
}

function Fields({ block, owner, active }: FieldsProps) {
  return (
    <div class="fields" tabIndex={0} role="region" aria-label={block.title || "Fields"}>
      <table>
        <caption>{block.title || "Fields"}</caption>
        <thead>
          <tr>
            <th scope="col">bytes</th>
            <th scope="col">field</th>
            <th scope="col">value</th>
          </tr>
        </thead>
        <tbody>
          {block.fields.map((field) => (
            <tr
              key={`${field.start}${field.name}`}
              class={field.isMarked ? "is-marked" : ""}
              onPointerEnter={() => (active.value = { owner, range: field })}
              onPointerLeave={() => (active.value = undefined)}
            >
              <td>
                {field.start}–{field.end}
              </td>
              <th scope="row">
                {field.name}
                {field.isMarked && <span class="field-here"> ← here</span>}
              </th>
              <td>{field.value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
