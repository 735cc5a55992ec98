/** The solution to each workload, by the workload's name. */
import { makeBroadcast, makeGrowOnlySet } from "./broadcast.ts";
import { makeCounter } from "./counter.ts";
import { makeEcho } from "./echo.ts";
import { makeKafka } from "./kafka.ts";
import { makeKeyValueStore } from "./lin-kv.ts";
import { makeListAppend } from "./list-append.ts";
import type { MakeProgram } from "./node.ts";
import { makeTransactions } from "./transactions.ts";
import { makeUniqueIds } from "./unique-ids.ts";

/** `broadcast-frugal` is broadcast for the second budget of the challenges: fewer messages, longer latencies. */
export const programs = {
  echo: makeEcho,
  "unique-ids": makeUniqueIds,
  broadcast: (node) => makeBroadcast(node),
  "broadcast-frugal": (node) => makeBroadcast(node, { gatherMs: 250 }),
  "g-set": (node) => makeGrowOnlySet(node),
  "g-counter": (node) => makeCounter(node, { growsOnly: true }),
  "pn-counter": (node) => makeCounter(node),
  kafka: makeKafka,
  "lin-kv": (node) => makeKeyValueStore(node),
  "txn-list-append": makeListAppend,
  "txn-rw-register": (node) => makeTransactions(node),
} as const satisfies Readonly<Record<string, MakeProgram>>;

export type ProgramName = keyof typeof programs;
