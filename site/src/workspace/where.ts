/**
 * Reads what a failure says about its place (`where`, made by exercises/lib/hex-dump.ts and field-tree.ts) back into
 * bytes and fields, so that the page can show them as tables and light up the bytes of a field.
 *
 * The text stays the one form that every grade carries; what is not recognised here is shown as the text it is.
 */

/** Bytes to point at within a row, as indices of the whole: `start` to `end`. */
export interface ByteMark {
  readonly start: number;
  readonly end: number;
  readonly note: string;
}

/** Up to sixteen bytes as hexadecimal digits. A row of "…" stands for rows that were left out. */
export interface ByteRow {
  readonly offset: number;
  readonly bytes: readonly string[];
  readonly text: string;
  readonly marks: readonly ByteMark[];
  /** Whether rows before this one were left out. */
  readonly isAfterGap: boolean;
}

/** A field with the bytes that it covers. */
export interface FieldRow {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly value: string;
  readonly isMarked: boolean;
}

export type Block =
  | { readonly kind: "bytes"; readonly title: string; readonly rows: readonly ByteRow[] }
  | { readonly kind: "fields"; readonly title: string; readonly fields: readonly FieldRow[] }
  | { readonly kind: "text"; readonly text: string };

const rowBytes = 16;
const hexRow = /^([0-9a-f]{4,}) (.{49}) {2}\|(.*)\|$/;
const caretRow = /^( +)(\^+)(?: (.*))?$/;
const gapRow = /^ +…$/;
const fieldRow = /^([> ]) +(\d+)\.\.(\d+) {2,}(\S+(?: \S+)*)(?: {2,}(.*))?$/;

export function parseWhere(where: string): Block[] {
  const blocks: Block[] = [];
  let plain: string[] = [];
  /** A line right above a table is its title. */
  const takeTitle = (): string => {
    const title = plain.pop() ?? "";
    if (plain.length > 0) blocks.push({ kind: "text", text: plain.join("\n") });
    plain = [];
    return title;
  };
  const lines = where.split("\n");
  let at = 0;
  while (at < lines.length) {
    const bytes = readByteRows(lines, at);
    const fields = readFieldRows(lines, at);
    if (bytes.rows.length > 0) {
      blocks.push({ kind: "bytes", title: takeTitle(), rows: bytes.rows });
      at = bytes.next;
    } else if (fields.length > 0) {
      blocks.push({ kind: "fields", title: takeTitle(), fields });
      at += fields.length;
    } else {
      plain.push(lines[at]!);
      at++;
    }
  }
  if (plain.length > 0) blocks.push({ kind: "text", text: plain.join("\n") });
  return blocks;
}

/** The fields that belong to a block of bytes: those with the same first word in their title, or the only ones. */
export function fieldsOf(
  blocks: readonly Block[],
  bytes: Block & { readonly kind: "bytes" },
): readonly FieldRow[] {
  const owner = bytes.title.split(" ")[0];
  const own = blocks.find((block) => block.kind === "fields" && block.title.split(" ")[0] === owner);
  return own?.kind === "fields" ? own.fields : [];
}

function readByteRows(
  lines: readonly string[],
  from: number,
): { readonly rows: ByteRow[]; readonly next: number } {
  const rows: ByteRow[] = [];
  let at = from;
  let isAfterGap = false;
  let digitCount = 0;
  for (; at < lines.length; at++) {
    const line = lines[at]!;
    const [, digits, cells, text] = hexRow.exec(line) ?? [];
    if (digits !== undefined && cells !== undefined) {
      const offset = Number.parseInt(digits, 16);
      digitCount = digits.length;
      const bytes = Array.from({ length: rowBytes }, (_, index) => {
        const column = columnOf(index);
        return cells.slice(column, column + 2).trim();
      }).filter((byte) => byte !== "");
      rows.push({ offset, bytes, text: text ?? "", marks: [], isAfterGap });
      isAfterGap = false;
      continue;
    }
    const row = rows.at(-1);
    if (row === undefined) break;
    const mark = readCarets(line, row.offset, digitCount);
    if (mark !== undefined) rows[rows.length - 1] = { ...row, marks: [...row.marks, mark] };
    else if (gapRow.test(line)) isAfterGap = true;
    else break;
  }
  return { rows, next: at };
}

function readCarets(line: string, offset: number, digitCount: number): ByteMark | undefined {
  const [, indent, carets, note = ""] = caretRow.exec(line) ?? [];
  if (indent === undefined || carets === undefined) return undefined;
  const column = indent.length - digitCount - 1;
  const start = indexOf(column);
  const end = indexOf(column + carets.length - 2) + 1;
  return { start: offset + start, end: offset + end, note };
}

/** Where the digits of a byte stand within its row, behind the offset and a space; and the way back. */
function columnOf(index: number): number {
  return 1 + index * 3 + (index >= 8 ? 1 : 0);
}

function indexOf(column: number): number {
  return (column > columnOf(7) ? column - 2 : column - 1) / 3;
}

function readFieldRows(lines: readonly string[], from: number): FieldRow[] {
  const fields: FieldRow[] = [];
  for (let at = from; at < lines.length; at++) {
    const [, sign, start, end, name, value = ""] = fieldRow.exec(lines[at]!) ?? [];
    if (name === undefined) break;
    fields.push({ start: Number(start), end: Number(end), name, value, isMarked: sign === ">" });
  }
  return fields;
}
