/**
 * Our nodes under every workload, and wrong nodes, each of which must be found. The whole of it is in virtual time: a
 * cluster's minute costs a fraction of a second.
 */
import { describe, expect, test } from "vitest";
import type { MakeProgram, Program } from "#reference/maelstrom/node.ts";
import { programs, type ProgramName } from "#reference/maelstrom/programs.ts";
import { TraceRecorder } from "../trace.ts";
import { runMaelstromTest, type MaelstromResult, type MaelstromTest } from "./test-run.ts";
import type { WorkloadName } from "./workload.ts";
import { ProgramHost } from "./world.ts";

type Settings = Partial<MaelstromTest>;

const run = (
  workload: WorkloadName,
  settings: Settings = {},
  program: MakeProgram = programs[workload as ProgramName],
): Promise<MaelstromResult> =>
  runMaelstromTest({
    workload,
    seed: 1,
    rate: 50,
    timeLimitMs: 10_000,
    makeHost: () => new ProgramHost(program),
    ...settings,
  });

/** The settings in which each workload is tried on many seeds. */
const faulty: Readonly<Record<WorkloadName, Settings>> = {
  echo: { nodeCount: 1 },
  "unique-ids": { nodeCount: 3, availability: 1, nemesis: ["partition", "clock"] },
  broadcast: { nodeCount: 5, latencyMs: 50, nemesis: ["partition"] },
  "g-set": { nodeCount: 5, latencyMs: 20, nemesis: ["partition"], lossChance: 0.05, duplicateChance: 0.05 },
  "g-counter": {
    nodeCount: 3,
    latencyMs: 20,
    nemesis: ["partition"],
    lossChance: 0.05,
    duplicateChance: 0.05,
  },
  "pn-counter": { nodeCount: 3, latencyMs: 20, nemesis: ["partition"], duplicateChance: 0.1 },
  kafka: {
    nodeCount: 3,
    concurrency: 6,
    latencyMs: 5,
    nemesis: ["partition", "kill"],
    duplicateChance: 0.02,
  },
  "lin-kv": { nodeCount: 3, concurrency: 6, latencyMs: 5, nemesis: ["partition", "pause", "kill"] },
  "txn-list-append": { nodeCount: 3, latencyMs: 5, nemesis: ["partition"], lossChance: 0.02 },
  "txn-rw-register": {
    nodeCount: 2,
    concurrency: 4,
    nemesis: ["partition"],
    consistencyModel: "read-committed",
    availability: 1,
  },
};

describe("our nodes are valid under faults", () => {
  test.for(Object.entries(faulty) as [WorkloadName, Settings][])("%s", async ([workload, settings]) => {
    for (let seed = 1; seed <= 3; seed++) {
      const result = await run(workload, { ...settings, seed, nemesisIntervalMs: 2000 });
      expect({
        seed,
        verdict: result.verdict,
        problems: result.workload.problems,
        failure: result.failure,
      }).toEqual({
        seed,
        verdict: "valid",
        problems: [],
        failure: undefined,
      });
    }
  });
});

describe("what the challenges ask for", () => {
  const cluster: Settings = { nodeCount: 25, rate: 100, latencyMs: 100, timeLimitMs: 20_000 };
  const budget = async (program: ProgramName): Promise<readonly [number, number, number]> => {
    const { net, workload, verdict } = await run("broadcast", cluster, programs[program]);
    expect(verdict).toBe("valid");
    const latencies = workload.fields["stable-latencies"] as Readonly<Record<string, number>>;
    return [net.serverMessagesPerOperation, latencies["0.5"]!, latencies["1"]!];
  };

  test("efficient broadcast, first part: below 8 messages an operation, median 350 ms, at most 550 ms", async () => {
    const [messages, median, most] = await budget("broadcast");
    expect([messages < 8, median < 350, most < 550]).toEqual([true, true, true]);
  });

  test("second part: below 3 messages an operation, median 900 ms, at most 1,600 ms", async () => {
    const [messages, median, most] = await budget("broadcast-frugal");
    expect([messages < 3, median < 900, most < 1600]).toEqual([true, true, true]);
  });

  test("kafka asks the lin-kv service for nothing", async () => {
    const { services, stats } = await run("kafka", { nodeCount: 2, concurrency: 4 });
    expect(stats.byName["send"]!.okCount).toBeGreaterThan(100);
    expect(services["lin-kv"]).toBeUndefined();
  });
});

describe("a seed decides everything", () => {
  test.for(["broadcast", "kafka"] as const)("%s, twice: the same trace", async (workload) => {
    const traceOf = async (): Promise<string> => {
      const trace = new TraceRecorder();
      await run(workload, { ...faulty[workload], timeLimitMs: 4000, nemesisIntervalMs: 1000, trace });
      return trace.toNdjson();
    };
    const first = await traceOf();
    expect(first.length).toBeGreaterThan(10_000);
    expect(await traceOf()).toBe(first);
  });
});

/** A right program with some of its handlers exchanged. */
const withHandlers =
  (name: ProgramName, change: (program: Program, id: string) => Program): MakeProgram =>
  (context) => {
    const program: Program = programs[name](context);
    return { ...program, ...change(program, context.id) };
  };

describe("wrong nodes are found", () => {
  let nextId = 0;
  const wrong: readonly (readonly [string, WorkloadName, Settings, MakeProgram, RegExp])[] = [
    [
      "an echo that changes what was said",
      "echo",
      {},
      () => ({ echo: ({ echo }) => ({ type: "echo_ok", echo: `${echo as string}!` }) }),
      /came back as/,
    ],
    [
      "an answer without its field",
      "echo",
      {},
      () => ({ echo: () => ({ type: "echo_ok" }) }),
      /echo is missing/,
    ],
    [
      "an answer of another type",
      "echo",
      {},
      () => ({ echo: ({ echo }) => ({ type: "ok", echo: echo! }) }),
      /echo_ok was expected/,
    ],
    [
      "a node that never answers",
      "echo",
      {},
      () => ({ echo: () => undefined }),
      /none of \d+ operations|no verdict/,
    ],
    [
      "ids that count from 0 on each node",
      "unique-ids",
      { nodeCount: 3 },
      () => {
        let count = 0;
        return { generate: () => ({ type: "generate_ok", id: count++ }) };
      },
      /was handed out \d+ times/,
    ],
    [
      "ids beyond what JSON counts",
      "unique-ids",
      { nodeCount: 1 },
      () => ({ generate: () => ({ type: "generate_ok", id: 2 ** 60 + nextId++ }) }),
      /was handed out/,
    ],
    [
      "nodes that do not talk",
      "broadcast",
      {},
      withHandlers("broadcast", () => ({ gossip: () => undefined })),
      /lost: /,
    ],
    [
      "a read that shows everything twice",
      "broadcast",
      {},
      withHandlers("broadcast", ({ read }) => ({
        read: async (body, from) => {
          const answer = await read!(body, from);
          const messages = answer!["messages"] as readonly number[];
          return { type: "read_ok", messages: [...messages, ...messages] };
        },
      })),
      /twice in one read/,
    ],
    [
      "elements that become text",
      "broadcast",
      {},
      withHandlers("broadcast", ({ broadcast }) => ({
        broadcast: (body, from) => broadcast!({ ...body, message: `${body["message"] as number}` }, from),
      })),
      /that nobody had added/,
    ],
    [
      "a register on each node",
      "lin-kv",
      { nodeCount: 2, concurrency: 4 },
      () => {
        const values = new Map<unknown, number>();
        return {
          read: ({ key }) => ({ type: "read_ok", value: values.get(key) ?? 0 }),
          write: ({ key, value }) => {
            values.set(key, value as number);
            return { type: "write_ok" };
          },
          cas: ({ key, to }) => {
            values.set(key, to as number);
            return { type: "cas_ok" };
          },
        };
      },
      /operations can be put in order/,
    ],
    [
      "logs on each node",
      "kafka",
      { nodeCount: 2, concurrency: 4 },
      () => {
        const logs = new Map<unknown, number[]>();
        const logOf = (key: unknown): number[] => {
          const log = logs.get(key) ?? [];
          logs.set(key, log);
          return log;
        };
        return {
          send: ({ key, msg }) => ({ type: "send_ok", offset: logOf(key).push(msg as number) - 1 }),
          poll: ({ offsets }) => {
            const msgs = Object.entries(offsets as Record<string, number>).map(([key, offset]) => {
              const log = logOf(key);
              return [key, log.slice(offset).map((message, index) => [offset + index, message])] as const;
            });
            return { type: "poll_ok", msgs: Object.fromEntries(msgs) };
          },
          commit_offsets: () => ({ type: "commit_offsets_ok" }),
          list_committed_offsets: () => ({ type: "list_committed_offsets_ok", offsets: {} }),
        };
      },
      /inconsistent-offsets/,
    ],
    [
      "a transaction that answers with nothing",
      "txn-rw-register",
      { nodeCount: 1 },
      () => ({ txn: () => ({ type: "txn_ok", txn: [] }) }),
      /malformed-answer/,
    ],
  ];

  test.for(wrong)("%s", async ([, workload, settings, program, message]) => {
    const result = await run(workload, settings, program);
    const said = [
      ...result.workload.problems,
      ...result.nodeErrors.map(({ reason }) => reason),
      ...(result.stats.verdict === "valid" ? [] : [`none of ${result.stats.all.count} operations succeeded`]),
    ];
    expect(result.verdict).toBe("invalid");
    expect(said.join("\n")).toMatch(message);
  });

  test("a node that does not answer init ends the test with a reason", async () => {
    const result = await runMaelstromTest({
      workload: "echo",
      seed: 1,
      nodeCount: 2,
      makeHost: (id) => (id === "n1" ? silentHost() : new ProgramHost(programs.echo)),
    });
    expect(result).toMatchObject({
      verdict: "invalid",
      failure: "node n1 did not answer init within 10000 ms",
    });
  });
});

describe("a node that would hang a simulation ends the test with a reason", () => {
  test("one that does something again and again without letting time pass", async () => {
    const { verdict, failure } = await run("echo", { nodeCount: 1 }, ({ clock }) => {
      const again = (): void => void clock.after(0, again);
      return {
        echo: ({ echo }) => {
          again();
          return { type: "echo_ok", echo: echo! };
        },
      };
    });
    expect(verdict).toBe("invalid");
    expect(failure).toMatch(/more than \d+ events at \d+ ms/);
  });

  test("nodes that answer each message with another one", async () => {
    const { verdict, failure } = await run("echo", { nodeCount: 2 }, ({ peers, send }) => ({
      echo: ({ echo }) => {
        for (const peer of peers) send(peer, { type: "ping" });
        return { type: "echo_ok", echo: echo! };
      },
      ping: (_body, from) => send(from, { type: "ping" }) as undefined,
    }));
    expect(verdict).toBe("invalid");
    expect(failure).toMatch(/they never come to rest/);
  });
});

test("the last look at logs is taken whatever the polls before brought", async () => {
  const settings = { nodeCount: 1, concurrency: 2, rate: 1000, timeLimitMs: 20_000 };
  expect(await run("kafka", settings)).toMatchObject({ verdict: "valid", workload: { problems: [] } });
});

function silentHost() {
  const nothing = (): void => undefined;
  return { start: nothing, receive: nothing, kill: nothing, pause: nothing, resume: nothing };
}
