/**
 * No acknowledged loss, the second half, as clients see it: every counter that they share behaves like one
 * counter in one place, though it lives on five machines that crash.
 *
 * Clients do two things: add one and be told the new value, or read the value. For such a counter
 * linearizability has a simple form, checked as answers come, with unknown outcomes allowed for:
 *
 * - no two additions are told the same value: else one was lost, or one was executed twice;
 * - whoever asks after an answer `v` was given is told at least `v`, and more than `v` if it adds;
 * - no value exceeds the number of additions that were begun.
 */
import { broken } from "./checker.ts";

/** A client's request, as it was begun. */
export interface CounterRequest {
  readonly key: number;
  readonly isRead: boolean;
  /** The highest value that anybody had been told when it began. */
  readonly floor: number;
}

interface Counter {
  /** Additions that were begun, whatever became of them. */
  begun: number;
  /** The highest value that a client has been told. */
  told: number;
  /** Values that additions were told. */
  readonly given: Set<number>;
}

/** The history of all counters. */
export class AcknowledgedHistory {
  readonly rule = "acknowledged";
  readonly #counters = new Map<number, Counter>();

  /** A client asks. */
  begin(key: number, isRead: boolean): CounterRequest {
    const counter = this.#counter(key);
    if (!isRead) counter.begun++;
    return { key, isRead, floor: counter.told };
  }

  /** A client is told. An unknown outcome is not reported: it stays begun. */
  end({ key, isRead, floor }: CounterRequest, value: number): void {
    const counter = this.#counter(key);
    if (value > counter.begun) {
      broken(
        this.rule,
        `counter ${key} is ${value} after ${counter.begun} additions: one was executed twice`,
      );
    }
    if (isRead) {
      if (value < floor) {
        broken(this.rule, `a read of counter ${key} is told ${value} after ${floor} was told`);
      }
    } else {
      if (counter.given.has(value)) broken(this.rule, `two additions to counter ${key} are told ${value}`);
      if (value <= floor) {
        broken(this.rule, `an addition to counter ${key} is told ${value} after ${floor} was told`);
      }
      counter.given.add(value);
    }
    counter.told = Math.max(counter.told, value);
  }

  /**
   * At the end, when all is quiet: the value that every server must have is within what was acknowledged and
   * begun.
   */
  checkFinal(key: number, value: number): void {
    const { begun, told, given } = this.#counter(key);
    if (!(value >= told && value >= given.size)) {
      broken(
        this.rule,
        `counter ${key} ends at ${value}, and clients were told ${told}: an acknowledged addition is lost`,
      );
    }
    if (value > begun) {
      broken(this.rule, `counter ${key} ends at ${value} after ${begun} additions`);
    }
  }

  /** Counters that anybody asked about. */
  get keys(): Iterable<number> {
    return this.#counters.keys();
  }

  #counter(key: number): Counter {
    let counter = this.#counters.get(key);
    if (counter === undefined) this.#counters.set(key, (counter = { begun: 0, told: 0, given: new Set() }));
    return counter;
  }
}
