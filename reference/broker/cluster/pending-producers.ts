/**
 * What producers have sent, as a leader must see it: agreed on, and on its way to be.
 *
 * Every replica remembers the batches that were agreed on, and the table of these goes into snapshots. The leader
 * has to judge a new batch also by those that it has proposed itself and nobody has agreed on yet. They are kept
 * apart, for the producers that have such batches only: when another leader takes them back, nothing has to be
 * undone.
 */
import { getUint16, getUint32, getUint53 } from "../../storage/integers.ts";
import { baseOffsetAt, batchLayout, recordCountAt } from "../../storage/record-batch.ts";
import type { SequenceVerdict } from "../producer-table.ts";
import { ProducerTable } from "../producer-table.ts";

const verdictNew: SequenceVerdict = { kind: "new" };

/** The producers of one partition. */
export class PendingProducers {
  /** Those of the batches that were agreed on. */
  readonly agreed = new ProducerTable();
  readonly #pending = new ProducerTable();
  /** How many batches of a producer are on their way. */
  readonly #counts = new Map<number, number>();

  /** Judges a batch that has just come in. */
  judge(batch: Uint8Array): SequenceVerdict {
    const id = producerIdOf(batch);
    if (id <= 0) return verdictNew;
    const epoch = getUint16(batch, batchLayout.producerEpoch);
    const sequence = getUint32(batch, batchLayout.baseSequence);
    const table = this.#pending.has(id) ? this.#pending : this.agreed;
    return table.judge(id, epoch, sequence, recordCountAt(batch, 0));
  }

  /** The leader has this batch in its log. */
  proposed(batch: Uint8Array): void {
    const id = producerIdOf(batch);
    if (id <= 0) return;
    if (!this.#pending.has(id)) this.#pending.adopt(this.agreed, id);
    remember(this.#pending, id, batch);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  /** A batch was agreed on. */
  committed(batch: Uint8Array): void {
    const id = producerIdOf(batch);
    if (id <= 0) return;
    remember(this.agreed, id, batch);
    const count = this.#counts.get(id);
    if (count === undefined) return;
    if (count > 1) return void this.#counts.set(id, count - 1);
    this.#counts.delete(id);
    this.#pending.drop(id);
  }

  /** This node leads no more: what it proposed may come to nothing. */
  clear(): void {
    for (const id of this.#counts.keys()) this.#pending.drop(id);
    this.#counts.clear();
  }
}

function producerIdOf(batch: Uint8Array): number {
  return getUint53(batch, batchLayout.producerId);
}

function remember(table: ProducerTable, id: number, batch: Uint8Array): void {
  table.remember(id, getUint16(batch, batchLayout.producerEpoch), {
    sequence: getUint32(batch, batchLayout.baseSequence),
    count: recordCountAt(batch, 0),
    baseOffset: baseOffsetAt(batch, 0),
    idMilliseconds: getUint53(batch, batchLayout.idMilliseconds),
    idSequence: getUint32(batch, batchLayout.idSequence),
  });
}
