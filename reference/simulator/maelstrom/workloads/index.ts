/** The ten workloads by their names. */
import type { AnyWorkload, WorkloadName, WorkloadSettings } from "../workload.ts";
import { makeCounterWorkload } from "./counters.ts";
import { makeKafkaWorkload } from "./kafka.ts";
import { makeKeyValueWorkload } from "./lin-kv.ts";
import { makeSetWorkload } from "./sets.ts";
import { makeEchoWorkload, makeUniqueIdsWorkload } from "./simple.ts";
import { makeTransactionWorkload } from "./transactions.ts";

/** A workload, ready to run. */
export function makeWorkload(name: WorkloadName, settings: WorkloadSettings): AnyWorkload {
  return makeTyped(name, settings) as AnyWorkload;
}

function makeTyped(name: WorkloadName, settings: WorkloadSettings): unknown {
  switch (name) {
    case "echo":
      return makeEchoWorkload(settings);
    case "unique-ids":
      return makeUniqueIdsWorkload();
    case "broadcast":
    case "g-set":
      return makeSetWorkload(name, settings);
    case "g-counter":
    case "pn-counter":
      return makeCounterWorkload(name, settings);
    case "kafka":
      return makeKafkaWorkload(settings);
    case "lin-kv":
      return makeKeyValueWorkload(settings);
    case "txn-list-append":
      return makeTransactionWorkload("append", settings);
    case "txn-rw-register":
      return makeTransactionWorkload("w", settings);
  }
}
