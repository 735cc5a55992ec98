/**
 * The disk of one simulated Raft server: the broker's own journal, on the files of the simulated disk, in virtual time.
 *
 * Term, vote, log and snapshots become the journal's records (reference/broker/cluster/journal-file.ts), and its steps
 * are carried out on file images: a write is in the page cache at once, a sync takes its time, and what was not synced
 * is lost or torn by sectors when the server crashes. A start reads the bytes that are left, cuts off a torn end, and
 * writes anew what it relies on, which takes two syncs and may be interrupted as well.
 */
import { crc32 } from "#reference/base/crc32.ts";
import type { SeededRandom } from "#reference/base/prng.ts";
import { metadataGroup, groupKey } from "#reference/broker/cluster/group-id.ts";
import type { JournalRecord } from "#reference/broker/cluster/journal-codec.ts";
import { JournalFile, type JournalStep, type JournalSteps } from "#reference/broker/cluster/journal-file.ts";
import type { JournalState } from "#reference/broker/cluster/journal-state.ts";
import { InvariantViolation } from "#reference/checkers/raft/checker.ts";
import type { Write } from "#reference/raft/effects.ts";
import { emptyState, type DurableState } from "#reference/raft/persistence.ts";
import { DirectoryImage, FileImage, type Survival } from "../disk-image.ts";
import type { FaultyDisk } from "../faults.ts";
import { drawLatencyMs, type Latency } from "../latency.ts";
import { usPerMs, type ScheduledEvent, type Scheduler } from "../scheduler.ts";
import { DurableModel } from "./durable-model.ts";

/** What a crash does to what was not synced. */
export const unsyncedFates = ["kept", "lost", "torn", "mixed"] as const;
export type UnsyncedFate = (typeof unsyncedFates)[number];

/** What a disk is like. */
export interface RaftDiskOptions {
  readonly latency: Latency;
  /**
   * `kept`: the machine did not stop, only the process, perhaps in the middle of a write. `lost`: nothing had been
   * written back. `torn`: each sector by itself. `mixed`: now this, now that.
   */
  readonly unsynced: UnsyncedFate;
  /** The journal begins anew when it is longer than this, and has doubled. */
  readonly rewriteBytesMin: number;
}

/** What a start found, for the trace. */
export interface Found {
  readonly bytes: number;
  /** Bytes behind the last whole record: they are cut off. */
  readonly tornBytes: number;
}

/** What a disk tells its server. */
export interface DiskListener {
  /** A start has read what there is, and has made it durable. */
  onOpen(state: DurableState, found: Found): void;
  onDurable(number: number): void;
  /** The disk has failed, or is full. Nothing is called afterwards. */
  onError(): void;
}

const path = "journal";
const temporaryPath = `${path}.new`;

/** One server's disk. */
export class RaftDisk implements FaultyDisk {
  isFailing = false;
  isFull = false;
  /** What is durable, as far as it was reported. */
  readonly durable = new DurableModel();
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #options: RaftDiskOptions;
  #directory = new DirectoryImage();
  /** The journal's file; its name is in the directory. */
  #file: FileImage | undefined;
  #listener: DiskListener | undefined;
  #journal: JournalFile | undefined;
  /** Writes that wait for the round that is being written, and those of that round. */
  #waiting: Write[] = [];
  #round: Write[] = [];
  /** Writes that were given up since the last crash. */
  #givenUp = 0;
  /** The sync that is under way. */
  #pending: { readonly run: () => void; event: ScheduledEvent } | undefined;
  /** The last write, until it is synced. */
  #written: { readonly file: FileImage; readonly from: number } | undefined;
  #slowness = 1;

  constructor(scheduler: Scheduler, random: SeededRandom, options: RaftDiskOptions) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#options = options;
  }

  get slowness(): number {
    return this.#slowness;
  }

  /** A disk that recovers does not let what was begun before wait as if it had not. */
  set slowness(slowness: number) {
    const hasRecovered = slowness < this.#slowness;
    this.#slowness = slowness;
    const pending = this.#pending;
    if (!hasRecovered || pending === undefined) return;
    this.#scheduler.cancel(pending.event);
    this.#later(pending.run);
  }

  /** A server starts. */
  open(listener: DiskListener): void {
    this.#listener = listener;
    const file = (this.#file = this.#fileAt(path));
    const bytes = file?.bytes.slice(0, file.length);
    const { rewriteBytesMin } = this.#options;
    this.#carryOut(JournalFile.open(bytes, { checksum: crc32, rewriteBytesMin }), (opened) => {
      // Here nothing ever damages what was synced.
      if (opened.kind === "damaged") throw new InvariantViolation("nothing-forgotten", opened.problem);
      this.#journal = opened.file;
      listener.onOpen(stateOf(opened.file.state), {
        bytes: bytes?.length ?? 0,
        tornBytes: opened.tornBytes,
      });
    });
  }

  /** Takes a write. What comes while a round is being written goes out together, with one sync. */
  write(write: Write): void {
    this.#waiting.push(write);
    if (this.#round.length === 0) this.#writeRound();
  }

  /**
   * The server is gone, and what was not synced is left to chance. Returns how many writes had not been reported.
   */
  crash(): number {
    this.#stop();
    const unreported = this.#givenUp;
    this.#givenUp = 0;
    const survival = this.#drawSurvival();
    if (survival.kind === "everything") this.#interruptWrite();
    else this.#directory = this.#directory.afterPowerLoss(survival, this.#random);
    this.#written = undefined;
    return unreported;
  }

  #writeRound(): void {
    const journal = this.#journal;
    if (journal === undefined || this.#waiting.length === 0) return;
    const round = this.#waiting;
    this.#waiting = [];
    this.#round = round;
    this.#carryOut(journal.store(round.map(recordOf)), () => {
      const listener = this.#listener;
      for (const write of round) {
        this.durable.apply(write);
        listener?.onDurable(write.number);
        // What the server did then may have ended it.
        if (this.#round !== round) return;
      }
      this.#round = [];
      this.#writeRound();
    });
  }

  /** Step after step; a step that fails is the last. */
  #carryOut<Result>(steps: JournalSteps<Result>, then: (result: Result) => void): void {
    const next = steps.next();
    if (next.done === true) return then(next.value);
    this.#do(next.value, () => this.#carryOut(steps, then));
  }

  #do(step: JournalStep, then: () => void): void {
    switch (step.kind) {
      case "write":
        if (this.#put(this.#file!, step.bytes, step.position)) then();
        return;
      case "sync":
        return this.#sync(this.#file!, then);
      case "replace":
        return this.#replace(step.bytes, then);
    }
  }

  /** As `writeAtomically` in reference/storage/file-io.ts. */
  #replace(bytes: Uint8Array, then: () => void): void {
    const file = this.#fileAt(temporaryPath) ?? new FileImage();
    if (!this.#directory.names.has(temporaryPath)) this.#directory.add(temporaryPath, file);
    // What an interrupted attempt left behind may be longer.
    file.truncate(0);
    if (!this.#put(file, bytes, 0)) return;
    this.#sync(file, () => {
      this.#directory.rename(temporaryPath, path);
      this.#file = file;
      this.#later(() => {
        if (this.isFailing) return this.#fail();
        this.#directory.sync();
        then();
      });
    });
  }

  /** Into the page cache. On a full disk only a part of it fits, and that is the end. */
  #put(file: FileImage, bytes: Uint8Array, position: number): boolean {
    const fits = this.isFull ? this.#random.nextBetween(0, bytes.length - 1) : bytes.length;
    file.write(fits === bytes.length ? bytes : bytes.subarray(0, fits), position);
    this.#written = { file, from: position };
    if (fits < bytes.length) this.#fail();
    return fits === bytes.length;
  }

  #sync(file: FileImage, then: () => void): void {
    this.#later(() => {
      if (this.isFailing) {
        // The kernel gives up on what was dirty: reads still see it, and no later sync writes it.
        file.forgetDirty();
        return this.#fail();
      }
      file.sync();
      this.#written = undefined;
      then();
    });
  }

  #later(run: () => void): void {
    const delayUs = drawLatencyMs(this.#options.latency, this.#random) * usPerMs * this.#slowness;
    const event = this.#scheduler.after(Math.max(1, delayUs), () => {
      this.#pending = undefined;
      run();
    });
    this.#pending = { run, event };
  }

  #fail(): void {
    this.isFailing = false;
    const listener = this.#listener;
    // A server that goes on all the same gets no word of what was on its way.
    this.#stop();
    listener?.onError();
  }

  #stop(): void {
    if (this.#pending !== undefined) this.#scheduler.cancel(this.#pending.event);
    this.#pending = undefined;
    this.#givenUp += this.#round.length + this.#waiting.length;
    this.#waiting = [];
    this.#round = [];
    this.#journal = undefined;
    this.#listener = undefined;
  }

  /** The process ended in the middle of a write: only a part of it has come to the page cache. */
  #interruptWrite(): void {
    if (this.#written === undefined || this.#random.nextChance(0.5)) return;
    const { file, from } = this.#written;
    file.truncate(this.#random.nextBetween(from, file.length));
  }

  #drawSurvival(): Survival {
    const { unsynced } = this.#options;
    const fate =
      unsynced === "mixed" ? this.#random.pick(["kept", "lost", "torn", "torn"] as const) : unsynced;
    if (fate === "kept") return { kind: "everything" };
    return fate === "lost" ? { kind: "nothing" } : { kind: "random", seed: 0 };
  }

  #fileAt(name: string): FileImage | undefined {
    const node = this.#directory.names.get(name);
    return node?.kind === "file" ? node : undefined;
  }
}

/** A server has one group, and all its entries are in the journal: as the group that describes a broker's cluster. */
function recordOf({ term, votedFor, snapshot, replaceFrom, entries }: Write): JournalRecord {
  const group = metadataGroup;
  return { kind: "write", group, term, votedFor, snapshot, replaceFrom, entries, catchUpFrom: undefined };
}

function stateOf({ groups }: JournalState): DurableState {
  const found = groups.get(groupKey(metadataGroup));
  if (found === undefined) return emptyState;
  const { term, votedFor, snapshot, entries } = found;
  // The journal goes on changing its own list.
  return { term, votedFor, snapshot, entries: [...entries] };
}
