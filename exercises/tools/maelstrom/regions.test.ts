/**
 * The solutions of chapter 05 are ready to be made into exercises: each has its regions, and stubs of all three depths
 * can be made of them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { generateStubs } from "../stubs.ts";

/** By exercise: the module that it is made of, and its holes. */
const plans: readonly (readonly [string, string, readonly string[]])[] = [
  ["node-runtime", "node.ts", ["receive", "init", "handle", "call", "send"]],
  ["node-runtime", "lines.ts", ["line-splitter"]],
  ["node-runtime", "message.ts", ["parse-message"]],
  ["node-runtime", "errors.ts", ["definite"]],
  ["unique-ids", "unique-ids.ts", ["snowflake", "reservation", "unique-ids"]],
  ["broadcast", "gossip.ts", ["on-gossip", "spread", "retry", "anti-entropy"]],
  ["broadcast", "origin-log.ts", ["log-since", "log-merge", "log-confirmed"]],
  ["broadcast", "broadcast.ts", ["broadcast", "g-set"]],
  ["counter", "counter.ts", ["counts", "counter"]],
  ["kafka", "kafka.ts", ["kafka-machine", "kafka"]],
  ["txn", "transactions.ts", ["registers", "txn"]],
  ["txn", "list-append.ts", ["list-machine", "list-append"]],
  ["capstone", "lin-kv.ts", ["key-value-machine", "lin-kv"]],
  ["capstone", "replicated.ts", ["execute", "persist", "apply-once"]],
  ["capstone", "guards.ts", ["circuit-breaker", "rate-limit", "authentication"]],
];

test.for(plans)("%s: stubs of %s", ([exercise, file, regions]) => {
  const source = `reference/maelstrom/${file}`;
  const text = readFileSync(join(import.meta.dirname, "../../..", source), "utf8");
  const holes = regions.map((region) => ({ region, hints: ["", "", ""], guided: [] }));
  const made = generateStubs({ id: `05-maelstrom/${exercise}`, source, holes } as never, text);
  expect(made).toMatchObject({ kind: "stubs" });
  if (made.kind !== "stubs") return;
  for (const region of regions) expect(made.stubs.blank).toContain(`todo("${region}")`);
});
