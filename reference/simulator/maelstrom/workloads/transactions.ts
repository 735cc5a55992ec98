/** Transactions of a few reads and writes, over lists or registers. */
import { checkTransactions, type TransactionResult } from "#reference/checkers/transactions/models.ts";
import type { Key, MicroOperation, Value } from "#reference/checkers/transactions/history.ts";
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
      return {
        verdict: result.verdict,
        problems: problemsOf(result),
        fields: {
          "anomaly-types": result.anomalies,
          "allowed-anomaly-types": result.allowed,
          "committed-count": result.committedCount,
        },
      };
    },
  };
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
