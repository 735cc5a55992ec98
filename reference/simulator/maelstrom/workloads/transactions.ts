/** Transactions of a few reads and writes, over lists or registers. */
import { checkTransactions, type TransactionResult } from "#reference/checkers/transactions/models.ts";
import type { Key, MicroOperation, Value } from "#reference/checkers/transactions/history.ts";
import type { Operation } from "#reference/checkers/history.ts";
import { examplesMax } from "#reference/checkers/verdict.ts";
import { failureOf, isList } from "../client.ts";
import { KeyPool } from "../key-pool.ts";
import { timeoutMsDefault, type Workload, type WorkloadSettings } from "../workload.ts";

type Transaction = readonly MicroOperation[];

export function makeTransactionWorkload(
  write: "append" | "w",
  settings: WorkloadSettings,
): Workload<Transaction, Transaction> {
  const { random, transactionLengthMax, consistencyModel } = settings;
  const pool = new KeyPool(settings);
  const finals = new Map<number, Transaction>();
  return {
    timeoutMs: timeoutMsDefault,
    keepsClient: true,
    nameOf: () => "txn",
    next: () =>
      Array.from({ length: random.nextBetween(1, transactionLengthMax) }, (): MicroOperation => {
        if (random.nextChance(0.5)) return ["r", Number(pool.pick()), null];
        const [key, value] = pool.nextWrite();
        return [write, Number(key), value];
      }),
    nextFinal({ index }) {
      if (finals.has(index)) return undefined;
      const reads = pool.latestKeys(finalKeysMax).map((key): MicroOperation => ["r", Number(key), null]);
      finals.set(index, reads);
      return reads;
    },
    async run({ client }, input) {
      const answer = await client.ask({ type: "txn", txn: input }, { txn: isList }, timeoutMsDefault);
      if (answer.kind !== "ok") return failureOf(answer);
      return {
        kind: "ok",
        output: answer.body["txn"] as unknown as readonly (readonly ["r", Key, Value | null])[],
      };
    },
    judge(operations) {
      const result = checkTransactions(operations, write, consistencyModel);
      const inputs = new Set<unknown>(finals.values());
      const diverged = divergence(operations.filter(({ input }) => inputs.has(input)));
      return {
        verdict: diverged.length > 0 ? "invalid" : result.verdict,
        problems: [...problemsOf(result), ...diverged],
        fields: {
          "anomaly-types": result.anomalies,
          "allowed-anomaly-types": result.allowed,
          "committed-count": result.committedCount,
          "diverged-count": diverged.length,
        },
      };
    },
  };
}

/** The keys that everybody reads in the end. */
const finalKeysMax = 20;

/**
 * Keys on which the last reads disagree. No isolation level of one moment says that nodes must ever come to agree, so
 * the real Maelstrom passes two that never speak with each other; whoever replicates means more than that.
 */
function divergence(finalReads: readonly Operation<Transaction, Transaction>[]): readonly string[] {
  const seen = new Map<Key, Map<string, string>>();
  for (const { process, outcome } of finalReads) {
    if (outcome.kind !== "ok") continue;
    for (const [, key, value] of outcome.output) {
      const values = seen.get(key) ?? new Map<string, string>();
      seen.set(key, values.set(JSON.stringify(value), process));
    }
  }
  return [...seen]
    .filter(([, values]) => values.size > 1)
    .map(([key, values]) => {
      const shown = [...values].map(([value, process]) => `${value} (${process})`).join(" and ");
      return `diverged: key ${key} is read in the end as ${shown}`;
    })
    .slice(0, examplesMax);
}

function problemsOf({ problems, cycles, anomalies }: TransactionResult): readonly string[] {
  return [
    ...problems
      .filter(({ anomaly }) => anomalies.includes(anomaly))
      .map(({ anomaly, reason }) => `${anomaly}: ${reason}`),
    ...cycles
      .filter(({ kind }) => anomalies.includes(kind))
      .map(
        ({ kind, edges }) =>
          `${kind}: ${edges.map(({ from, kind: edge, reason }) => `T${from} ${edge} (${reason})`).join(", ")}`,
      ),
  ];
}
