/** Wrong ids, exercise 5.2. */
import { RequestError } from "#reference/maelstrom/errors.ts";
import { programs } from "#reference/maelstrom/programs.ts";
import type { Mutant } from "./parts.ts";

let shared = 0;

export const numberingMutants: readonly Mutant[] = [
  {
    id: "5.2-01",
    why: "the clock alone: two ids in one millisecond are one",
    says: /was handed out/,
    workload: "unique-ids",
    settings: { nodeCount: 1, rate: 2000, timeLimitMs: 2000, concurrency: 8 },
    program: ({ clock }) => ({ generate: () => ({ type: "generate_ok", id: clock.wallTimeMs() }) }),
  },
  {
    id: "5.2-04",
    why: "the node's name is cut to a prefix: n1, n10 and n11 are one",
    says: /was handed out/,
    workload: "unique-ids",
    settings: { nodeCount: 12 },
    program: ({ id }) => {
      let count = 0;
      return { generate: () => ({ type: "generate_ok", id: `${id.slice(0, 2)}-${count++}` }) };
    },
  },
  {
    id: "5.2-05",
    why: "random whole numbers of 32 bits, sign and all: of fifty thousand two are the same",
    exchange: "many-ids",
    program: ({ random }) => ({ generate: () => ({ type: "generate_ok", id: random.nextUint32() >>> 1 }) }),
  },
  {
    id: "5.2-06",
    why: "the same random numbers on every node",
    says: /was handed out/,
    workload: "unique-ids",
    settings: { nodeCount: 3 },
    program: () => {
      let state = 42;
      const next = (): number => (state = Math.imul(state, 1_664_525) + 1_013_904_223);
      return { generate: () => ({ type: "generate_ok", id: next() }) };
    },
  },
  {
    id: "5.2-07",
    why: "ids beyond 2^53 as JSON numbers are rounded",
    says: /was handed out/,
    workload: "unique-ids",
    settings: { nodeCount: 1 },
    program: () => ({ generate: () => ({ type: "generate_ok", id: 2 ** 60 + shared++ }) }),
  },
  {
    id: "5.2-08",
    why: "a peer is asked, who cannot be reached in a partition",
    says: /too few operations/,
    workload: "unique-ids",
    settings: { nodeCount: 3, nemesis: ["partition"], nemesisIntervalMs: 1000, availability: 1 },
    program: ({ id, nodeIds, call }) => {
      let count = 0;
      return {
        ticket: () => ({ type: "ticket_ok", number: count++ }),
        generate: async () => {
          if (id === nodeIds[0]) return { type: "generate_ok", id: count++ };
          const result = await call(nodeIds[0]!, { type: "ticket" });
          if (result.kind !== "reply") throw new RequestError("temporarily-unavailable", "no ticket");
          return { type: "generate_ok", id: result.body["number"]! };
        },
      };
    },
  },
  {
    id: "5.2-09",
    why: "the sequence begins again at 0 when it is used up within one millisecond",
    exchange: "one-moment",
    program: ({ id, clock }) => {
      let sequence = 0;
      return {
        generate: () => {
          sequence = (sequence + 1) % 4096;
          return { type: "generate_ok", id: `${id}-${clock.wallTimeMs()}-${sequence}` };
        },
      };
    },
  },
  {
    id: "5.2-10",
    why: "each start draws a number of eight bits, and counts from 0 behind it",
    says: /was handed out/,
    workload: "unique-ids",
    settings: { nodeCount: 3, rate: 500, concurrency: 60, nemesis: ["kill"], nemesisIntervalMs: 100 },
    program: ({ id, random }) => {
      const life = random.nextUint32() % 256;
      let count = 0;
      return { generate: () => ({ type: "generate_ok", id: `${id}-${life}-${count++}` }) };
    },
  },
  {
    id: "5.2-10b",
    why: "time, node and sequence, and nothing written down: after a kill and a step back the same ids come again",
    says: /was handed out/,
    workload: "unique-ids",
    settings: { rate: 1000, concurrency: 2000, nemesis: ["kill", "clock"], nemesisIntervalMs: 200 },
    program: (node) => programs["unique-ids"]({ ...node, journal: undefined }),
  },
  {
    id: "5.2-11",
    why: "name and number side by side: n1 with 12 is n11 with 2",
    says: /was handed out/,
    workload: "unique-ids",
    settings: { nodeCount: 12, rate: 500 },
    program: ({ id }) => {
      let count = 0;
      return { generate: () => ({ type: "generate_ok", id: `${id}${count++}` }) };
    },
  },
];
