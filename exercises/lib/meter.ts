/**
 * A meter for what code costs in bytes: how many it allocates and how many it copies while a function runs.
 *
 * Budgets are counted, not timed, so that they hold on every machine. The meter replaces the constructors and the
 * copying methods of byte arrays for the length of the call; loops that copy byte by byte are not seen, but what they
 * copy into is. Above the limit it stops the call at once: quadratic code fails in milliseconds and not in minutes.
 */
import { Explanation } from "./explain.ts";

/** What a call cost. */
export interface Cost {
  allocatedBytes: number;
  copiedBytes: number;
}

type Constructor = new (...args: unknown[]) => object;
type Copying = (this: Uint8Array, ...args: unknown[]) => unknown;

/** The constructors that the meter watches; `Array` costs eight bytes an item. */
const watched = ["Uint8Array", "ArrayBuffer", "Array"] as const;

/** Runs `call` and returns its cost; throws `tooMuch(cost)` as soon as a limit is passed. */
export function measure(
  call: () => void,
  limits: Cost,
  tooMuch: (cost: Cost) => Explanation = (cost) =>
    new Explanation(`more than ${limits.allocatedBytes} bytes allocated or ${limits.copiedBytes} copied`, {
      actual: `${cost.allocatedBytes} allocated, ${cost.copiedBytes} copied`,
    }),
): Cost {
  const cost: Cost = { allocatedBytes: 0, copiedBytes: 0 };
  const state: { stopped?: Explanation } = {};
  const charge = (allocated: number, copied: number): void => {
    cost.allocatedBytes += allocated;
    cost.copiedBytes += copied;
    if (cost.allocatedBytes <= limits.allocatedBytes && cost.copiedBytes <= limits.copiedBytes) return;
    state.stopped ??= tooMuch({ ...cost });
    throw state.stopped;
  };
  const restore = [...watched.map((name) => watchConstructor(name, charge)), ...watchCopies(charge)];
  try {
    call();
  } finally {
    for (const undo of restore) undo();
  }
  // A subject may have caught the exception that stopped it.
  if (state.stopped !== undefined) throw state.stopped;
  return cost;
}

type Charge = (allocatedBytes: number, copiedBytes: number) => void;

function watchConstructor(name: (typeof watched)[number], charge: Charge): () => void {
  const scope = globalThis as unknown as Record<string, Constructor>;
  const original = scope[name]!;
  const unit = name === "Array" ? 8 : 1;
  const sized = ([first]: unknown[]): void => {
    if (typeof first === "number") return charge(first * unit, 0);
    // From another array: new bytes, and a copy. From a buffer: a window, which is free.
    const length = (first as { length?: unknown } | undefined)?.length;
    if (name === "Uint8Array" && typeof length === "number") charge(length, length);
  };
  scope[name] = new Proxy(original, {
    construct(target, args: unknown[], newTarget): object {
      sized(args);
      return Reflect.construct(target, args, newTarget) as object;
    },
    apply(target, self, args: unknown[]): unknown {
      sized(args);
      return Reflect.apply(target as unknown as () => unknown, self, args);
    },
  });
  return () => void (scope[name] = original);
}

function watchCopies(charge: Charge): (() => void)[] {
  const prototype = Uint8Array.prototype as unknown as Record<string, Copying>;
  const watch = (name: string, wrap: (original: Copying) => Copying): (() => void) => {
    const own = Object.getOwnPropertyDescriptor(prototype, name);
    const original = prototype[name]!;
    Object.defineProperty(prototype, name, { value: wrap(original), configurable: true, writable: true });
    return () => {
      if (own === undefined) Reflect.deleteProperty(prototype, name);
      else Object.defineProperty(prototype, name, own);
    };
  };
  return [
    watch("set", (original) => {
      // Called for every chunk of a long stream: no list of arguments, no `apply`.
      const call = Function.prototype.call.bind(original);
      return function (this: Uint8Array, source: unknown, offset: unknown): unknown {
        charge(0, (source as ArrayLike<number>).length);
        return call(this, source, offset);
      };
    }),
    watch("slice", (original) => {
      return function (this: Uint8Array, ...args: unknown[]): unknown {
        const copy = original.apply(this, args) as Uint8Array;
        charge(copy.length, copy.length);
        return copy;
      };
    }),
    watch("copyWithin", (original) => {
      return function (this: Uint8Array, ...args: unknown[]): unknown {
        const [, start = 0, end = this.length] = args as number[];
        charge(0, Math.max(0, Math.min(end, this.length) - start));
        return original.apply(this, args);
      };
    }),
  ];
}
