/** Wrong runtimes, exercise 5.1: each mistake with a program that suffers from it. */
import { RequestError } from "#reference/maelstrom/errors.ts";
import { KafkaMachine } from "#reference/maelstrom/kafka.ts";
import { KeyValueMachine } from "#reference/maelstrom/lin-kv.ts";
import { programs } from "#reference/maelstrom/programs.ts";
import { onFirstNode, kafkaHandlers, keyValueHandlers, carefulCounter, type Mutant } from "./parts.ts";
import { handmadeRuntime } from "./runtime.ts";
import type { NodeContext } from "#reference/maelstrom/node.ts";
import { probe } from "../runtime-exchanges.ts";

export const runtimeMutants: readonly Mutant[] = [
  {
    id: "5.1-01",
    why: "init is not answered",
    runtime: handmadeRuntime("init-unanswered"),
    says: /did not answer init/,
    workload: "echo",
    settings: { nodeCount: 1, timeLimitMs: 1000 },
    program: programs.echo,
  },
  {
    id: "5.1-03",
    why: "all requests have the same number, so answers go to the wrong ones",
    runtime: handmadeRuntime("one-number"),
    says: /inconsistent-offsets|duplicate|lost-write|unseen/,
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 6, rate: 200, latencyMs: 5 },
    program: onFirstNode(() => new KafkaMachine(), kafkaHandlers),
  },
  {
    id: "5.1-04",
    why: "logs go to standard output",
    runtime: handmadeRuntime("logs-on-stdout"),
    says: /no message: not JSON: info/,
    workload: "echo",
    settings: { nodeCount: 1 },
    program: ({ log }) => ({
      echo: ({ echo }) => {
        log({ level: "info", msg: "asked to echo" });
        return { type: "echo_ok", echo: echo! };
      },
    }),
  },
  {
    id: "5.1-05",
    why: "one handler runs at a time, so two nodes that ask each other wait for ever",
    runtime: handmadeRuntime("one-at-a-time"),
    says: /too few operations/,
    workload: "unique-ids",
    settings: { nodeCount: 3, rate: 100, latencyMs: 20, availability: 1 },
    program: ({ id, peers, call }) => {
      let count = 0;
      return {
        ticket: () => ({ type: "ticket_ok" }),
        generate: async () => {
          const results = await Promise.all(peers.map((peer) => call(peer, { type: "ticket" })));
          const isAgreed = results.every(({ kind }) => kind === "reply");
          if (!isAgreed) throw new RequestError("temporarily-unavailable", "a peer is silent");
          return { type: "generate_ok", id: `${id}-${count++}` };
        },
      };
    },
  },
  {
    id: "5.1-06",
    why: "what a faster peer sends before init is dropped",
    runtime: handmadeRuntime("early-dropped"),
    exchange: "early-kept",
    program: probe,
  },
  {
    id: "5.1-07",
    why: "a request of an unknown type is not answered",
    runtime: handmadeRuntime("unknown-unanswered"),
    exchange: "unknown-type",
    program: probe,
  },
  {
    id: "5.1-08",
    why: "no answer in time counts as success",
    runtime: handmadeRuntime("silence-is-success"),
    says: /in the end, which must be/,
    workload: "g-counter",
    settings: { nodeCount: 1, lossChance: 0.2 },
    program: carefulCounter,
  },
  {
    id: "5.1-09",
    why: "each chunk is taken for one line",
    runtime: handmadeRuntime("chunk-is-line"),
    says: /did not answer init|no operation of a kind succeeded/,
    workload: "echo",
    settings: { nodeCount: 1, timeLimitMs: 1000 },
    program: programs.echo,
  },
  {
    id: "5.1-10",
    why: "each chunk is decoded by itself, and a character that is cut is lost",
    runtime: handmadeRuntime("chunk-is-text"),
    says: /came back as/,
    workload: "echo",
    settings: { nodeCount: 1 },
    program: programs.echo,
  },
  {
    id: "5.1-11",
    why: "messages for other nodes are taken, and answers from whoever sends them",
    runtime: handmadeRuntime("any-destination"),
    exchange: "other-node",
    program: probe,
  },
  {
    id: "5.1-12",
    why: "errors that leave the matter open are reported as definite, and the other way round",
    runtime: handmadeRuntime("codes-swapped"),
    says: /can be put in order/,
    workload: "lin-kv",
    settings: { nodeCount: 2, concurrency: 4, lossChance: 0.2 },
    program: (node) => {
      const call: NodeContext["call"] = (dest, body) => node.call(dest, body, 200);
      return onFirstNode(() => new KeyValueMachine(), keyValueHandlers)({ ...node, call });
    },
  },
];
