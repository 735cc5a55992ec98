/**
 * Hex dumps with a caret: bytes as a person reads them, and a pointer to the ones that are wrong.
 *
 * ```
 * 0000  00 00 00 10 00 00 00 00  00 00 00 2a 01 01 00 00  |...........*....|
 *                                             ^^ type
 * ```
 */

/** Bytes to point at: `start` to `end`, which may lie one past the last byte to mark something that is missing. */
export interface HexMark {
  readonly start: number;
  readonly end: number;
  readonly note?: string;
}

/** Bytes in a row. */
const rowBytes = 16;
/** Rows shown before and after a marked row when the whole is too long. */
const contextRows = 1;
/** A dump of at most this many rows is shown whole. */
const wholeRowsMax = 8;

/** A dump of `bytes` in rows of sixteen, with a row of carets under the rows that `marks` touch. No colour. */
export function hexDump(bytes: Uint8Array, marks: readonly HexMark[] = []): string {
  const markedEnd = Math.max(bytes.length, ...marks.map((mark) => mark.end));
  const rowCount = Math.max(1, Math.ceil(markedEnd / rowBytes));
  const digits = Math.max(4, (rowCount * rowBytes).toString(16).length);
  const lines: string[] = [];
  let isGap = false;
  for (let row = 0; row < rowCount; row++) {
    if (!isShown(row, rowCount, marks)) {
      if (!isGap) lines.push(`${" ".repeat(digits)}  …`);
      isGap = true;
      continue;
    }
    isGap = false;
    lines.push(dumpRow(bytes, row * rowBytes, digits));
    lines.push(...caretRows(row * rowBytes, digits, marks));
  }
  return lines.join("\n");
}

/** All rows of a short dump; of a long one the first, the last, and those around a mark. */
function isShown(row: number, rowCount: number, marks: readonly HexMark[]): boolean {
  if (rowCount <= wholeRowsMax || row === 0 || row === rowCount - 1) return true;
  return marks.some(({ start, end }) => {
    const first = Math.floor(start / rowBytes) - contextRows;
    const last = Math.min(Math.floor(Math.max(start, end - 1) / rowBytes), first + 2) + contextRows;
    return row >= first && row <= last;
  });
}

function dumpRow(bytes: Uint8Array, start: number, digits: number): string {
  let hex = "";
  let text = "";
  for (let at = start; at < start + rowBytes; at++) {
    const byte = bytes[at];
    hex += at === start + 8 ? "  " : " ";
    hex += byte === undefined ? "  " : byte.toString(16).padStart(2, "0");
    if (byte !== undefined) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
  }
  return `${start.toString(16).padStart(digits, "0")} ${hex}  |${text}|`;
}

/** One row of carets for each mark that begins or goes on in this row; the note stands where the mark begins. */
function caretRows(start: number, digits: number, marks: readonly HexMark[]): string[] {
  const rows: string[] = [];
  for (const mark of marks) {
    const from = Math.max(mark.start, start);
    const to = Math.min(Math.max(mark.end, mark.start + 1), start + rowBytes);
    if (from >= to) continue;
    const indent = " ".repeat(digits + 1 + columnOf(from - start));
    const width = columnOf(to - 1 - start) + 2 - columnOf(from - start);
    const note = mark.note !== undefined && from === mark.start ? ` ${mark.note}` : "";
    rows.push(indent + "^".repeat(width) + note);
  }
  return rows;
}

/** Where the digits of byte `index` of a row stand, behind the offset and its space. */
function columnOf(index: number): number {
  return 1 + index * 3 + (index >= 8 ? 1 : 0);
}
