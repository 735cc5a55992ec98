/**
 * The buffer pool: a fixed number of buffers, handed out and taken back. And its story, which is the lesson.
 *
 * The design notes used a pool to keep a broker from running out of memory. It was safe and then not alive: a record
 * keeps its buffer for as long as it is kept, so the pool ran dry and every request stopped. Here is that pool done
 * right (no buffer twice, none lost, none written to by whoever gave it back), and it starves all the same:
 * `starvingSeed` is the proof. So the broker keeps records in stream-store.ts, which can let go of them, and uses a
 * pool only for what is short: a buffer between a socket and a file, taken and given back within one request.
 *
 *     a block:   ┌───────────────────────────────┐   whole: one loan
 *                └───────────────────────────────┘
 *                ┌───────┬───────┬───────┬───────┐   split: one loan for each part; when all parts that were
 *                │ taken │ taken │ back  │ free  │   taken are back, the block is joined and whole again
 *                └───────┴───────┴───────┴───────┘
 *
 * *Use after release.* Filling a released buffer with poison finds a stale reader, and only if nobody has taken the
 * buffer meanwhile: that check and the next owner race. JavaScript can do better: `ArrayBuffer.transfer` moves the
 * memory to a new buffer without copying it, and every old view is empty from then on: a stale write goes nowhere.
 * Parts of a block share a buffer, so a part that came back is not lent again before the block is joined: safe, at the
 * price of parts that lie idle. It is always one or the other.
 */
import { assert, unreachable } from "../base/assert.ts";

/** What to do when no buffer is free. Each has its way of going wrong. */
export type ExhaustionPolicy =
  /** Refuse: the caller tells its client to come back. */
  | { readonly kind: "refuse" }
  /** Queue the request: it is served when a buffer comes back, if one ever does. */
  | { readonly kind: "wait"; readonly waitersMax: number }
  /** Make more blocks, up to a limit; then refuse. */
  | { readonly kind: "grow"; readonly blockCountMax: number };

/** The shape of a pool. */
export interface BufferPoolOptions {
  readonly blockCount: number;
  readonly blockBytes: number;
  /** Into how many parts a block is split for small requests. */
  readonly partsPerBlock: number;
  readonly policy: ExhaustionPolicy;
}

/** What `take` answers. */
export type TakeOutcome =
  | { readonly kind: "loan"; readonly loan: Loan }
  | { readonly kind: "refused"; readonly reason: "exhausted" | "too-large" }
  /** `serve` of the request will be called with the loan; `cancel` leaves the queue. */
  | { readonly kind: "waiting"; readonly cancel: () => boolean };

/** A block of memory: whole, lent, or split. */
interface Block {
  buffer: ArrayBuffer;
  state: "free" | "lent" | "split";
  /** Parts handed out since the block was split, and how many of them came back. */
  partsTaken: number;
  partsBack: number;
}

interface Waiter {
  readonly size: number;
  readonly serve: (loan: Loan) => void;
}

/** A buffer on loan. Its bytes are there until the release, and not a moment longer. */
export class Loan {
  readonly size: number;
  #bytes: Uint8Array | undefined;
  #giveBack: (() => void) | undefined;

  constructor(bytes: Uint8Array, giveBack: () => void) {
    this.size = bytes.length;
    this.#bytes = bytes;
    this.#giveBack = giveBack;
  }

  /** The memory. Asking after the release is a bug, and says so. */
  get bytes(): Uint8Array {
    assert(this.#bytes !== undefined, "use of a buffer after its release");
    return this.#bytes;
  }

  // #region release
  /** Gives the buffer back. A second call is refused: false, and the pool has not changed. */
  release(): boolean {
    // 1. Only the first release has something to give back: a buffer that is in the pool twice gets two owners.
    const giveBack = this.#giveBack;
    if (giveBack === undefined) return false;
    // 2. Forget it before the pool has it, so that nothing reaches it through this loan.
    this.#giveBack = undefined;
    this.#bytes = undefined;
    giveBack();
    return true;
  }
  // #endregion release
}

/** A pool of equal blocks, whole or in parts. */
export class BufferPool {
  readonly #options: BufferPoolOptions;
  readonly #blocks: Block[] = [];
  readonly #waiters: Waiter[] = [];

  constructor(options: BufferPoolOptions) {
    const { blockCount, blockBytes, partsPerBlock } = options;
    assert(
      blockBytes % partsPerBlock === 0,
      `${blockBytes} bytes do not split into ${partsPerBlock} equal parts`,
    );
    this.#options = options;
    for (let count = 0; count < blockCount; count++) this.#addBlock();
  }

  /** All memory of the pool, lent or not. */
  get totalBytes(): number {
    return this.#blocks.length * this.#options.blockBytes;
  }

  /** What is neither lent nor waiting for the rest of its block. */
  get freeBytes(): number {
    const partBytes = this.#options.blockBytes / this.#options.partsPerBlock;
    let bytes = 0;
    for (const block of this.#blocks) {
      if (block.state === "free") bytes += this.#options.blockBytes;
      else if (block.state === "split") bytes += (this.#options.partsPerBlock - block.partsTaken) * partBytes;
    }
    return bytes;
  }

  /** Requests in the queue. */
  get waitingCount(): number {
    return this.#waiters.length;
  }

  // #region take
  /** A buffer of at least `size` bytes. `serve` gets it later when the policy is to wait. */
  take(size: number, serve: (loan: Loan) => void = () => undefined): TakeOutcome {
    // 1. What is larger than a block never fits: waiting for it would be for ever.
    const { blockBytes, policy } = this.#options;
    if (size > blockBytes) return { kind: "refused", reason: "too-large" };
    // 2. First come, first served: whoever waits already is before this one.
    const loan = this.#waiters.length === 0 ? this.#find(size) : undefined;
    if (loan !== undefined) return { kind: "loan", loan };
    // 3. Nothing free: the policy decides, and every policy has a limit.
    switch (policy.kind) {
      case "refuse":
        return { kind: "refused", reason: "exhausted" };
      case "grow": {
        if (this.#blocks.length >= policy.blockCountMax) return { kind: "refused", reason: "exhausted" };
        this.#addBlock();
        return this.take(size, serve);
      }
      case "wait": {
        if (this.#waiters.length >= policy.waitersMax) return { kind: "refused", reason: "exhausted" };
        const waiter: Waiter = { size, serve };
        this.#waiters.push(waiter);
        return { kind: "waiting", cancel: () => this.#cancel(waiter) };
      }
      default:
        return unreachable(policy, "policy");
    }
  }

  /** A loan from what is free: a part for a small request, a whole block for a large one. */
  #find(size: number): Loan | undefined {
    // 1. A small request takes the next part of a block that is split already; only then is another block split.
    const partBytes = this.#options.blockBytes / this.#options.partsPerBlock;
    if (size <= partBytes) {
      const isOpen = ({ state, partsTaken }: Block): boolean =>
        state === "split" && partsTaken < this.#options.partsPerBlock;
      const block = this.#blocks.find(isOpen) ?? this.#blocks.find(({ state }) => state === "free");
      return block === undefined ? undefined : this.#lendPart(block, partBytes);
    }
    // 2. A large one takes a whole block. Free parts of several blocks do not add up to one.
    const block = this.#blocks.find(({ state }) => state === "free");
    if (block === undefined) return undefined;
    block.state = "lent";
    return new Loan(new Uint8Array(block.buffer), () => this.#join(block));
  }

  /** Lends the next part of a block; splits it first when it is whole. */
  #lendPart(block: Block, partBytes: number): Loan {
    // 1. Parts are lent in order, each once: what came back is not lent again before the block is joined.
    block.state = "split";
    const part = new Uint8Array(block.buffer, block.partsTaken * partBytes, partBytes);
    block.partsTaken++;
    return new Loan(part, () => {
      // 2. The last part to come back joins the block, also when some parts were never taken.
      block.partsBack++;
      if (block.partsBack === block.partsTaken) this.#join(block);
    });
  }
  // #endregion take

  // #region join
  /** A block is whole and free again; whoever waits gets it. */
  #join(block: Block): void {
    // 1. Move the memory to a new buffer: every view that anybody kept of the old one is empty from now on.
    block.buffer = block.buffer.transfer();
    block.state = "free";
    block.partsTaken = 0;
    block.partsBack = 0;
    // 2. Serve the queue in order, and stop at the first that cannot be served: nobody overtakes.
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const loan = this.#find(waiter.size);
      if (loan === undefined) return;
      this.#waiters.shift();
      waiter.serve(loan);
    }
  }
  // #endregion join

  #cancel(waiter: Waiter): boolean {
    const at = this.#waiters.indexOf(waiter);
    if (at >= 0) this.#waiters.splice(at, 1);
    return at >= 0;
  }

  #addBlock(): void {
    const buffer = new ArrayBuffer(this.#options.blockBytes);
    this.#blocks.push({ buffer, state: "free", partsTaken: 0, partsBack: 0 });
  }
}

/** Records of streams in pooled buffers: what the notes did, with the returns that they forgot. */
export class PooledStreams {
  readonly #pool: BufferPool;
  readonly #streams = new Map<string, { readonly loan: Loan; readonly size: number }[]>();

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Copies a record into a buffer of the pool: now, when a buffer comes back, or not at all. */
  append(stream: string, record: Uint8Array): "stored" | "waiting" | "refused" {
    const store = (loan: Loan): void => {
      loan.bytes.set(record);
      const records = this.#streams.get(stream) ?? [];
      records.push({ loan, size: record.length });
      this.#streams.set(stream, records);
    };
    const outcome = this.#pool.take(record.length, store);
    if (outcome.kind === "loan") store(outcome.loan);
    return outcome.kind === "loan" ? "stored" : outcome.kind;
  }

  /** The records of a stream, oldest first, as views: valid until they are trimmed. */
  records(stream: string): Uint8Array[] {
    return (this.#streams.get(stream) ?? []).map(({ loan, size }) => loan.bytes.subarray(0, size));
  }

  // #region give-back
  /** Keeps only the newest `keep` records of a stream. */
  trim(stream: string, keep: number): void {
    // 1. Taking a record out of the list does not take its buffer back: release each one.
    const records = this.#streams.get(stream) ?? [];
    for (const { loan } of records.splice(0, Math.max(0, records.length - keep))) loan.release();
  }

  /** Ends a stream. */
  delete(stream: string): void {
    // 1. All its buffers go back, then its name goes.
    this.trim(stream, 0);
    this.#streams.delete(stream);
  }
  // #endregion give-back
}
