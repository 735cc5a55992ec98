/**
 * The checkers of transactions against one that tries every serial order: what they condemn must have none, and for
 * lists, whose reads tell the whole story, what has none must be condemned.
 */
import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { MicroOperation, TransactionOperation, Value } from "./history.ts";
import { checkTransactions } from "./models.ts";

type Store = ReadonlyMap<string, readonly Value[]>;

/** Runs a transaction on a store of lists; a register is the last element of one. */
function execute(store: Store, steps: readonly MicroOperation[], isList: boolean) {
  const after = new Map(store);
  const answer = steps.map((step): MicroOperation => {
    const [kind, key, value] = step;
    const list = after.get(String(key)) ?? [];
    if (kind === "r") return ["r", key, isList ? list : (list.at(-1) ?? null)];
    after.set(String(key), [...list, value as Value]);
    return step;
  });
  return { after, answer };
}

/** Whether some order of the transactions, one after the other, explains all the answers. */
function hasSerialOrder(operations: readonly TransactionOperation[], isList: boolean): boolean {
  const go = (store: Store, left: readonly TransactionOperation[]): boolean =>
    left.length === 0 ||
    left.some((operation) => {
      const { after, answer } = execute(store, operation.input, isList);
      const { outcome } = operation;
      if (outcome.kind === "ok" && JSON.stringify(answer) !== JSON.stringify(outcome.output)) return false;
      return go(
        after,
        left.filter((other) => other !== operation),
      );
    });
  return go(new Map(), operations);
}

/** Transactions that read from snapshots of different ages and write at once: now and then a right history. */
function randomHistory(random: SeededRandom, isList: boolean): readonly TransactionOperation[] {
  let next = 1;
  const stores: Store[] = [new Map()];
  return Array.from({ length: random.nextBetween(2, 6) }, (_, index): TransactionOperation => {
    const input = Array.from({ length: 1 + random.nextBetween(0, 2) }, (): MicroOperation => {
      const key = random.nextBetween(0, 1) === 0 ? "x" : "y";
      return random.nextBetween(0, 1) === 0 ? ["r", key, null] : [isList ? "append" : "w", key, next++];
    });
    const age = random.nextChance(0.5) ? random.nextBetween(1, 3) : 0;
    const snapshot = stores[Math.max(0, stores.length - 1 - age)]!;
    const { answer } = execute(snapshot, input, isList);
    stores.push(execute(stores.at(-1)!, input, isList).after);
    const outcome = { kind: "ok", output: answer } as const;
    const times = { invokedAt: index, completedAt: 100 + index, invokedAtUs: 0, completedAtUs: 0 };
    return { process: `c${index}`, input, outcome, ...times };
  });
}

test.for([
  ["append", true],
  ["w", false],
] as const)("transactions that %s: nothing is condemned that has a serial order", ([write, isList]) => {
  const random = new SeededRandom(11);
  const counts = { serial: 0, condemned: 0, missed: 0 };
  for (let round = 0; round < 2000; round++) {
    const history = randomHistory(random, isList);
    const isSerial = hasSerialOrder(history, isList);
    const { verdict, anomalies } = checkTransactions(history, write, "serializable");
    if (isSerial) {
      expect({ verdict, anomalies, history }).toMatchObject({ verdict: "valid", anomalies: [] });
      counts.serial++;
    } else if (verdict === "invalid") counts.condemned++;
    else counts.missed++;
  }
  expect(counts.serial).toBeGreaterThan(500);
  expect(counts.condemned).toBeGreaterThan(100);
  // A register keeps no trace of what was written over, so now and then the order cannot be known.
  expect(counts.missed).toBeLessThanOrEqual(isList ? 0 : counts.condemned / 5);
});
