/**
 * Isolation levels by what they forbid. The names of levels and anomalies, and which forbids what, are those of Elle,
 * so that a verdict here can be held against one there; "malformed-answer" and "invented-read", which Elle lets pass,
 * are forbidden everywhere.
 */
import { examplesMax, type Verdict } from "../verdict.ts";
import type { Cycle, CycleKind, PlainCycle } from "./cycles.ts";
import type { TransactionAnomaly, TransactionOperation, TransactionProblem } from "./history.ts";
import { findListAppendAnomalies } from "./list-append.ts";
import { findRegisterAnomalies } from "./rw-register.ts";

type Anomaly = TransactionAnomaly | CycleKind;

const readUncommitted: readonly Anomaly[] = [
  "malformed-answer",
  "invented-read",
  "G0",
  "duplicate-elements",
  "cyclic-versions",
];
const readCommitted: readonly Anomaly[] = [
  ...readUncommitted,
  "G1a",
  "G1b",
  "G1c",
  "future-read",
  "incompatible-order",
];
const readAtomic: readonly Anomaly[] = [...readCommitted, "internal"];
const cursorStability: readonly Anomaly[] = [...readCommitted, "lost-update"];
const consistentView: readonly Anomaly[] = [...cursorStability, "G-single"];
const snapshotIsolation: readonly Anomaly[] = [...consistentView, "internal", "G-nonadjacent"];
const repeatableRead: readonly Anomaly[] = [...cursorStability, "G-single", "G-nonadjacent", "G2-item"];
const serializable: readonly Anomaly[] = [...new Set([...snapshotIsolation, ...repeatableRead])];

const plainCycles: readonly PlainCycle[] = ["G0", "G1c", "G-single", "G-nonadjacent", "G2-item"];

/** The level at which also cycles are forbidden that need the order of a client's own transactions, or the clock's. */
function withOrder(anomalies: readonly Anomaly[], suffix: "process" | "realtime"): readonly Anomaly[] {
  const own = plainCycles.filter((cycle) => anomalies.includes(cycle));
  const inSession = own.map((cycle): CycleKind => `${cycle}-process`);
  if (suffix === "process") return [...anomalies, ...inSession];
  return [...anomalies, ...inSession, ...own.map((cycle): CycleKind => `${cycle}-realtime`)];
}

/** What each level forbids. */
export const consistencyModels = {
  "read-uncommitted": readUncommitted,
  "read-committed": readCommitted,
  "read-atomic": readAtomic,
  "cursor-stability": cursorStability,
  "update-atomic": [...cursorStability, "internal"],
  "parallel-snapshot-isolation": [...cursorStability, "internal"],
  "consistent-view": consistentView,
  "snapshot-isolation": snapshotIsolation,
  "repeatable-read": repeatableRead,
  serializable,
  "strong-session-read-committed": withOrder(readCommitted, "process"),
  "strong-session-snapshot-isolation": withOrder(snapshotIsolation, "process"),
  "strong-session-serializable": withOrder(serializable, "process"),
  "strong-read-committed": withOrder(readCommitted, "realtime"),
  "strong-snapshot-isolation": withOrder(snapshotIsolation, "realtime"),
  "strict-serializable": withOrder(serializable, "realtime"),
} as const satisfies Readonly<Record<string, readonly Anomaly[]>>;

export type ConsistencyModel = keyof typeof consistencyModels;

export interface TransactionResult {
  readonly verdict: Verdict;
  readonly committedCount: number;
  /** Kinds of anomaly that were found and that the model forbids. */
  readonly anomalies: readonly Anomaly[];
  /** Kinds that were found and are allowed at this level. */
  readonly allowed: readonly Anomaly[];
  /** Kinds that the model forbids and that were not looked for to the end. */
  readonly undecided: readonly Anomaly[];
  readonly problems: readonly TransactionProblem[];
  readonly cycles: readonly Cycle[];
}

/**
 * Judges transactions over append-only lists (`append`) or registers (`w`) at an isolation level. `stepsMax` is how long
 * a cycle of a forbidden kind is looked for.
 */
export function checkTransactions(
  operations: readonly TransactionOperation[],
  write: "append" | "w",
  model: ConsistencyModel,
  stepsMax?: number,
): TransactionResult {
  const find = write === "append" ? findListAppendAnomalies : findRegisterAnomalies;
  const forbidden = new Set<Anomaly>(consistencyModels[model]);
  const { problems, cycles, undecided, committedCount } = find(operations, forbidden, stepsMax);
  const found = [
    ...new Set<Anomaly>([...problems.map(({ anomaly }) => anomaly), ...cycles.map(({ kind }) => kind)]),
  ];
  const anomalies = found.filter((anomaly) => forbidden.has(anomaly));
  const isOpen = committedCount === 0 || undecided.length > 0;
  return {
    verdict: anomalies.length > 0 ? "invalid" : isOpen ? "unknown" : "valid",
    committedCount,
    anomalies,
    allowed: found.filter((anomaly) => !forbidden.has(anomaly)),
    undecided,
    problems: problems.slice(0, 2 * examplesMax),
    cycles: cycles.slice(0, examplesMax),
  };
}
