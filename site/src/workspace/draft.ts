/**
 * The learner's text of one exercise, and its record in storage.
 *
 * The rule above all others: nothing replaces the learner's text without putting the old one into the history first,
 * and without an undo on the screen. So every replacement, whoever asks for it, goes through `replace`.
 */
import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Depth, ExerciseBundle } from "#exercises/lib/exercise.ts";
import {
  exerciseKey,
  isExerciseRecord,
  readExercise,
  readStored,
  readText,
  saveEvent,
  storageProblem,
  storedEvent,
  writeExercise,
  writeText,
  type ExerciseRecord,
  type StorageProblem,
  type Version,
} from "../scripts/storage.ts";

/** A line at the bottom of the workspace, with at most one thing to do about it. */
export interface Toast {
  readonly text: string;
  readonly undo?: () => void;
}

/** Whether the text is stored: not yet, or not at all and why. */
export type Saving = "saved" | "pending" | StorageProblem;

export interface Draft {
  readonly record: ReadonlySignal<ExerciseRecord>;
  readonly text: ReadonlySignal<string>;
  readonly saving: ReadonlySignal<Saving>;
  readonly toast: Signal<Toast | undefined>;
  /** The learner's own typing. */
  readonly edit: (text: string) => void;
  /** Stores some fields of the record. */
  readonly change: (changes: Partial<ExerciseRecord>) => void;
  /** Replaces the learner's text; `why` names in the history what the old one had to give way to. */
  readonly replace: (next: string, why: string, note: string, changes?: Partial<ExerciseRecord>) => void;
  /** Puts a note on the screen with an undo that brings back `before`. */
  readonly offerUndo: (before: string, note: string) => void;
  /** Stores what is not stored yet. */
  readonly save: () => void;
  readonly close: () => void;
}

export interface DraftOptions {
  readonly bundle: ExerciseBundle;
  readonly announce: (text: string) => void;
  readonly onProgress: () => void;
}

const saveDelayMs = 250;

export function openDraft({ bundle, announce, onProgress }: DraftOptions): Draft {
  const { id, depth } = bundle.exercise;
  const key = exerciseKey(id);
  const toast = signal<Toast | undefined>(undefined);
  setAsideUnreadable(id, toast);
  const record = signal(readExercise(id) ?? freshRecord(depth));
  const text = signal(record.value.text ?? bundle.stubs[record.value.depth]);
  const saving = signal<Saving>("saved");
  let saveTimer: ReturnType<typeof setTimeout> | undefined;

  function save(): void {
    clearTimeout(saveTimer);
    saveTimer = undefined;
    // An exercise that was only looked at leaves no record behind.
    if (record.value.text === undefined && readText(key) === undefined && isFresh(record.value)) return;
    saving.value = writeExercise(id, record.value) ? "saved" : (storageProblem() ?? "off");
  }
  function change(changes: Partial<ExerciseRecord>): void {
    record.value = { ...record.value, ...changes };
    save();
    onProgress();
  }
  function edit(next: string): void {
    if (next === text.value) return;
    text.value = next;
    record.value = { ...record.value, text: next };
    if (saving.value === "saved") saving.value = "pending";
    clearTimeout(saveTimer);
    saveTimer = setTimeout(save, saveDelayMs);
  }
  function replace(next: string, why: string, note: string, changes: Partial<ExerciseRecord> = {}): void {
    const before = { text: text.value, depth: record.value.depth };
    const old: Version = { at: Date.now(), why, text: before.text };
    text.value = next;
    const { history } = { ...record.value, ...changes };
    // A stub can be had again at any time; only what the learner wrote is worth a place in the history.
    const isOwn = !Object.values(bundle.stubs).includes(old.text);
    change({ ...changes, text: next, history: isOwn ? withVersion(history, old) : history });
    offerUndo(before.text, note, { depth: before.depth });
  }
  function offerUndo(before: string, note: string, changes: Partial<ExerciseRecord> = {}): void {
    const next = text.value;
    announce(`${note} Undo is at the bottom of the workspace.`);
    toast.value = {
      text: note,
      undo: () => {
        // What was typed since the replacement is kept too.
        const undone: Version = { at: Date.now(), why: "undo", text: text.value };
        const later = record.value.history;
        text.value = before;
        change({
          ...changes,
          text: before,
          history: undone.text === next ? later : withVersion(later, undone),
        });
        toast.value = { text: "Your code is back." };
        announce("Your code is back.");
      },
    };
  }
  /**
   * Takes what another tab, or an import, has stored. What is saved here is known there, so only unsaved
   * text is kept.
   */
  function takeStored(why: string, note: string): void {
    const theirs = readExercise(id) ?? freshRecord(depth);
    const next = theirs.text ?? bundle.stubs[theirs.depth];
    if (next !== text.value && saving.value !== "saved") return replace(next, why, note, theirs);
    const isNews = next !== text.value;
    record.value = theirs;
    text.value = next;
    onProgress();
    if (!isNews || toast.value?.text === note) return;
    toast.value = { text: note };
    announce(note);
  }
  const onStorage = (event: StorageEvent): void => {
    if (event.key !== key || event.newValue === null) return;
    takeStored("other tab", "Another tab changed this exercise; its text is shown.");
  };
  const onStored = (): void => takeStored("import", "The text that was brought in is shown.");
  const onLeave = (event: BeforeUnloadEvent): void => {
    save();
    if (saving.value === "off" || saving.value === "full") event.preventDefault();
  };
  addEventListener("storage", onStorage);
  addEventListener("pagehide", save);
  addEventListener("beforeunload", onLeave);
  document.addEventListener(saveEvent, save);
  document.addEventListener(storedEvent, onStored);
  return {
    record,
    text,
    saving,
    toast,
    edit,
    change,
    replace,
    offerUndo,
    save,
    close() {
      save();
      removeEventListener("storage", onStorage);
      removeEventListener("pagehide", save);
      removeEventListener("beforeunload", onLeave);
      document.removeEventListener(saveEvent, save);
      document.removeEventListener(storedEvent, onStored);
    },
  };
}

/** The history with one more version; a text that stands last already is not repeated, but a run's points are kept. */
export function withVersion(history: readonly Version[], version: Version): readonly Version[] {
  if (history.at(-1)?.text !== version.text) return [...history, version];
  return version.why === "run" ? [...history.slice(0, -1), version] : history;
}

function freshRecord(depth: Depth): ExerciseRecord {
  return { depth, hints: {}, attempts: 0, history: [] };
}

function isFresh(record: ExerciseRecord): boolean {
  return record.attempts === 0 && record.history.length === 0 && Object.keys(record.hints).length === 0;
}

/** A record that this version cannot read is kept beside, before a new one takes its place. */
function setAsideUnreadable(id: string, toast: Signal<Toast | undefined>): void {
  const key = exerciseKey(id);
  const raw = readText(key);
  if (raw === undefined || isExerciseRecord(readStored(key))) return;
  const aside = `oz:unreadable:${id}`;
  if (writeText(aside, raw)) writeText(key, undefined);
  toast.value = {
    text: `What was stored for this exercise cannot be read. It is kept in this browser as ${aside}.`,
  };
}
