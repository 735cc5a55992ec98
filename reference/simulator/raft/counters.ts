/**
 * The state machine of the simulated cluster: a few counters.
 *
 * The smallest machine that can tell everything apart: a lost addition, one that was executed twice, and a
 * read of an old value all show in a number.
 */
import type { StateMachine } from "#reference/raft/clients.ts";

/** How many counters there are. */
export const counterCount = 3;

/** The command that adds one to a counter; the answer is its new value in four bytes. */
export function addCommand(key: number): Uint8Array {
  return new Uint8Array([key]);
}

/** The value in an answer. */
export function readAnswer(answer: Uint8Array): number {
  return ((answer[0]! << 24) | (answer[1]! << 16) | (answer[2]! << 8) | answer[3]!) >>> 0;
}

/** The counters of one server. */
export class Counters implements StateMachine {
  readonly values: number[] = Array.from({ length: counterCount }, () => 0);

  apply(command: Uint8Array): Uint8Array {
    const key = command[0]! % counterCount;
    this.values[key]!++;
    const value = this.values[key]!;
    return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
  }

  save(): Uint8Array {
    const bytes = new Uint8Array(counterCount * 4);
    const view = new DataView(bytes.buffer);
    for (const [key, value] of this.values.entries()) view.setUint32(key * 4, value);
    return bytes;
  }

  load(state: Uint8Array): void {
    const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
    for (let key = 0; key < counterCount; key++) this.values[key] = view.getUint32(key * 4);
  }
}
