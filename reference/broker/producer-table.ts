/**
 * Idempotent producers: how a batch that is sent twice is stored once.
 *
 * When a reply is lost, a producer cannot know whether its batch was stored, and can only send it again. So every batch
 * carries the producer's id and the sequence number of its first record, and the partition remembers the last batches
 * of each producer. A batch that follows on the last one is new; one that is remembered is answered as it was the first
 * time; anything else is a gap, which would break the producer's order, and is refused.
 *
 * A producer that is told of a gap although it misses no answer has been forgotten: it goes on under the next epoch,
 * and counts from 0 again.
 *
 * The table is not stored: after a restart it is read back from the end of the log, where the batches themselves stand.
 * It remembers what can still be under way, not everything. Kafka keeps five batches for each producer too, and writes
 * snapshots of its table beside the log.
 */
import { assert } from "#reference/base/assert.ts";

/** Batches remembered for each producer: as many as it may have under way at once. */
export const batchesRemembered = 8;

/** Producers remembered for each partition; beyond it, the one that has been silent longest is forgotten. */
export const producersRemembered = 10_000;

/** Sequence numbers are 32 bits wide and start again at 0. */
const sequenceCount = 2 ** 32;

/** One batch that was appended. */
export interface RememberedBatch {
  readonly sequence: number;
  readonly count: number;
  readonly baseOffset: number;
  readonly idMilliseconds: number;
  readonly idSequence: number;
}

/** The last batches of one producer, oldest first. */
interface ProducerState {
  epoch: number;
  nextSequence: number;
  readonly batches: RememberedBatch[];
}

/** One producer as a snapshot keeps it, in the order of the last batches. */
export interface SavedProducer {
  readonly id: number;
  readonly epoch: number;
  readonly nextSequence: number;
  readonly batches: readonly RememberedBatch[];
}

/** What a batch is to the table. */
export type SequenceVerdict =
  | { readonly kind: "new" }
  | { readonly kind: "repeated"; readonly batch: RememberedBatch }
  | { readonly kind: "gap"; readonly expected: number }
  | { readonly kind: "fenced"; readonly epoch: number };

const verdictNew: SequenceVerdict = { kind: "new" };

/** The producers of one partition. */
export class ProducerTable {
  /** In order of their last batch: a Map keeps the order of insertion. */
  readonly #producers = new Map<number, ProducerState>();
  /** Whether the end of the log has been read. Until then, a producer that is not known may still be in it. */
  isLoaded = false;

  /** Judges a batch before it is appended. */
  judge(producerId: number, epoch: number, sequence: number, count: number): SequenceVerdict {
    const state = this.#producers.get(producerId);
    if (state === undefined || epoch > state.epoch) {
      // An unknown producer must begin at the beginning: whatever came before may be lost, or still be on its way.
      return sequence === 0 ? verdictNew : { kind: "gap", expected: 0 };
    }
    if (epoch < state.epoch) return { kind: "fenced", epoch: state.epoch };
    if (sequence === state.nextSequence) return verdictNew;
    const batch = state.batches.find((known) => known.sequence === sequence && known.count === count);
    return batch === undefined ? { kind: "gap", expected: state.nextSequence } : { kind: "repeated", batch };
  }

  /** Remembers a batch that was appended, or that was found in the log. */
  remember(producerId: number, epoch: number, batch: RememberedBatch): void {
    assert(producerId > 0, "a batch without a producer has nothing to remember");
    let state = this.#producers.get(producerId);
    if (state === undefined || epoch > state.epoch) state = { epoch, nextSequence: 0, batches: [] };
    state.batches.push(batch);
    if (state.batches.length > batchesRemembered) state.batches.shift();
    state.nextSequence = (batch.sequence + batch.count) % sequenceCount;
    this.#producers.delete(producerId);
    this.#producers.set(producerId, state);
    if (this.#producers.size > producersRemembered) {
      for (const oldest of this.#producers.keys()) {
        this.#producers.delete(oldest);
        break;
      }
    }
  }

  /** Whether anything is known of a producer. */
  has(producerId: number): boolean {
    return this.#producers.has(producerId);
  }

  /** Takes over what another table knows of a producer. */
  adopt(other: ProducerTable, producerId: number): void {
    const state = other.#producers.get(producerId);
    if (state !== undefined) this.#producers.set(producerId, { ...state, batches: [...state.batches] });
  }

  /** Forgets one producer. */
  drop(producerId: number): void {
    this.#producers.delete(producerId);
  }

  /** All that is remembered, for a snapshot. */
  save(): readonly SavedProducer[] {
    return [...this.#producers].map(([id, { epoch, nextSequence, batches }]) => ({
      id,
      epoch,
      nextSequence,
      batches: [...batches],
    }));
  }

  /** Takes over what another table remembered. */
  load(saved: readonly SavedProducer[]): void {
    this.#producers.clear();
    for (const { id, epoch, nextSequence, batches } of saved) {
      this.#producers.set(id, { epoch, nextSequence, batches: [...batches] });
    }
    this.isLoaded = true;
  }

  /** A commit failed, so the log took batches back: what is remembered may not be there. Read the log again. */
  forget(): void {
    this.#producers.clear();
    this.isLoaded = false;
  }
}
