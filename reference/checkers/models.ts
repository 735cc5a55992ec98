/**
 * Sequential models: what one operation after the other would do. Linearizability is judged against them.
 */
import type { SequentialModel } from "./linearizability.ts";

/** What clients ask of a key-value store. Values are compared as they are, so they are numbers or text. */
export type KeyValueInput =
  | { readonly kind: "read"; readonly key: string }
  | { readonly kind: "write"; readonly key: string; readonly value: Scalar }
  | {
      readonly kind: "cas";
      readonly key: string;
      readonly from: Scalar;
      readonly to: Scalar;
      readonly createIfMissing?: boolean;
    };

export type Scalar = number | string | boolean | null;

/** What they are told: the value read, or nothing. A missing key is `undefined`. */
export type KeyValueOutput =
  | { readonly kind: "value"; readonly value: Scalar | undefined }
  | { readonly kind: "done" }
  /** The compare of a compare-and-swap saw another value: a definite answer that tells something about the state. */
  | { readonly kind: "mismatch" }
  | { readonly kind: "missing" };

/** One key of a key-value store: a register with compare-and-swap, empty at first. Partition by `input.key`. */
export const registerModel: SequentialModel<Scalar | undefined, KeyValueInput, KeyValueOutput> = {
  initial: undefined,
  apply(value, input) {
    switch (input.kind) {
      case "read":
        return { state: value, output: { kind: "value", value } };
      case "write":
        return { state: input.value, output: { kind: "done" } };
      case "cas":
        if (value === undefined) {
          const isCreated = input.createIfMissing === true;
          return isCreated
            ? { state: input.to, output: { kind: "done" } }
            : { state: value, output: { kind: "missing" } };
        }
        return value === input.from
          ? { state: input.to, output: { kind: "done" } }
          : { state: value, output: { kind: "mismatch" } };
    }
  },
  isSameOutput(expected, actual) {
    // A read of a key that is not there may be told so in either way.
    const isMissing = (output: KeyValueOutput): boolean =>
      output.kind === "missing" || (output.kind === "value" && output.value === undefined);
    if (isMissing(expected) || isMissing(actual)) return isMissing(expected) && isMissing(actual);
    if (expected.kind === "value" && actual.kind === "value") return expected.value === actual.value;
    return expected.kind === actual.kind;
  },
  keyOfState: (value) => (value === undefined ? "" : `${typeof value}:${value}`),
  keyOfInput: (input) => JSON.stringify(input),
};

/** An append to a log of one partition, a read of one record of it, or a question after its end. */
export type LogInput =
  | { readonly kind: "append"; readonly value: string }
  | { readonly kind: "read"; readonly offset: number }
  | { readonly kind: "end" };

export type LogOutput =
  | { readonly kind: "appended"; readonly offset: number }
  /** `undefined`: nothing is there yet. */
  | { readonly kind: "record"; readonly value: string | undefined }
  /** The offset that the next record will get. */
  | { readonly kind: "end"; readonly offset: number };

/** A log: its last value and what was before it. Two logs with the same contents are the same object. */
export interface LogState {
  readonly id: number;
  readonly length: number;
  readonly value?: string;
  readonly before?: LogState;
  /** The logs that one more append has made of this one, by the value. */
  readonly longer: Map<string, LogState>;
}

/** A partition's log. A model belongs to one check: it remembers every log that the check has looked at. */
export function makeLogModel(): SequentialModel<LogState, LogInput, LogOutput> {
  let logs = 0;
  const appended = (before: LogState, value: string): LogState => {
    const known = before.longer.get(value);
    if (known !== undefined) return known;
    const log = { id: logs++, length: before.length + 1, value, before, longer: new Map<string, LogState>() };
    before.longer.set(value, log);
    return log;
  };
  return {
    initial: { id: logs++, length: 0, longer: new Map() },
    apply(log, input) {
      if (input.kind === "append")
        return { state: appended(log, input.value), output: { kind: "appended", offset: log.length } };
      if (input.kind === "end") return { state: log, output: { kind: "end", offset: log.length } };
      let node: LogState | undefined = log;
      while (node !== undefined && node.length > input.offset + 1) node = node.before;
      const value = node?.length === input.offset + 1 ? node.value : undefined;
      return { state: log, output: { kind: "record", value } };
    },
    isSameOutput(expected, actual) {
      if (expected.kind === "record") return actual.kind === "record" && expected.value === actual.value;
      return actual.kind === expected.kind && expected.offset === actual.offset;
    },
    keyOfState: (log) => `${log.id}`,
    keyOfInput: (input) => JSON.stringify(input),
  };
}
