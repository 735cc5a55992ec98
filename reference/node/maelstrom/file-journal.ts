/**
 * A node's journal as a file: one JSON record a line, behind its checksum. A line that a crash has torn is the
 * last one, and is dropped; a broken one before that is damage, and the node refuses to start.
 */
import { crc32 } from "node:zlib";
import fs from "node:fs";
import path from "node:path";
import type { Json } from "#reference/maelstrom/message.ts";
import type { Journal } from "#reference/maelstrom/node.ts";

/** What opening a journal came to. */
export type OpenedJournal =
  | { readonly kind: "open"; readonly journal: Journal }
  | { readonly kind: "refused"; readonly problem: string };

/** Opens the journal of that name in a folder, or makes it. */
export function openFileJournal(folder: string, name: string): OpenedJournal {
  // A name is made a file's: whatever init says, it stays in this folder.
  if (!/^[\w.-]+$/.test(name)) return { kind: "refused", problem: `${name} is no name for a journal` };
  try {
    return openIn(folder, name);
  } catch (error) {
    return {
      kind: "refused",
      problem: `${folder}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
    };
  }
}

function openIn(folder: string, name: string): OpenedJournal {
  fs.mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${name}.journal`);
  const records: Json[] = [];
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  const lines = text.split("\n");
  let goodLength = 0;
  for (const [index, line] of lines.entries()) {
    if (index === lines.length - 1) break;
    const record = parseRecord(line);
    if (record === undefined) {
      const isLast = index === lines.length - 2;
      if (isLast) break;
      return { kind: "refused", problem: `${file}: line ${index + 1} is damaged, and others follow` };
    }
    records.push(record);
    goodLength += Buffer.byteLength(line) + 1;
  }
  return { kind: "open", journal: new FileJournal(file, records, goodLength) };
}

class FileJournal implements Journal {
  readonly #file: string;
  readonly #records: readonly Json[];
  #descriptor: number;
  /** Lines that wait for the next sync, and who is to be told. */
  #waiting: { line: string; onDurable: () => void; replaceAll: boolean }[] = [];
  #isWriting = false;

  constructor(file: string, records: readonly Json[], goodLength: number) {
    this.#file = file;
    this.#records = records;
    this.#descriptor = fs.openSync(file, "a");
    fs.ftruncateSync(this.#descriptor, goodLength);
    syncFolderOf(file);
  }

  load(): readonly Json[] {
    return this.#records;
  }

  append(record: Json, onDurable: () => void, replaceAll = false): void {
    this.#waiting.push({ line: formatRecord(record), onDurable, replaceAll });
    if (this.#isWriting) return;
    this.#isWriting = true;
    setImmediate(() => this.#flush());
  }

  /** All that has come meanwhile goes out together: one sync for many records. */
  #flush(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    // What comes before a record that takes the place of everything need not be written.
    const from = batch.findLastIndex(({ replaceAll }) => replaceAll);
    const text = batch
      .slice(Math.max(0, from))
      .map(({ line }) => line)
      .join("");
    if (from >= 0) this.#replace(text);
    else fs.writeSync(this.#descriptor, text);
    fs.fdatasync(this.#descriptor, (error) => {
      // What a disk does after a failed sync is anybody's guess: this node must not go on.
      if (error !== null) throw error;
      this.#isWriting = this.#waiting.length > 0;
      if (this.#isWriting) setImmediate(() => this.#flush());
      for (const { onDurable } of batch) onDurable();
    });
  }

  #replace(text: string): void {
    const next = `${this.#file}.next`;
    fs.writeFileSync(next, text, { flush: true });
    fs.renameSync(next, this.#file);
    syncFolderOf(this.#file);
    fs.closeSync(this.#descriptor);
    this.#descriptor = fs.openSync(this.#file, "a");
  }
}

function formatRecord(record: Json): string {
  const text = JSON.stringify(record);
  return `${crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
}

function parseRecord(line: string): Json | undefined {
  const text = line.slice(9);
  if (line[8] !== " " || crc32(text).toString(16).padStart(8, "0") !== line.slice(0, 8)) return undefined;
  return JSON.parse(text) as Json;
}

function syncFolderOf(file: string): void {
  if (process.platform === "win32") return;
  const descriptor = fs.openSync(path.dirname(file), "r");
  fs.fsyncSync(descriptor);
  fs.closeSync(descriptor);
}
