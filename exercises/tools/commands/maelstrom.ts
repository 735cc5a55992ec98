/**
 * `oz maelstrom`: the workbench. `test` runs a workload against nodes in virtual time, ours, a learner's (`--mine`), or
 * against any program in real time (`--bin`); `node` is one of our nodes on standard input and output, for the real
 * Maelstrom.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  defineCommand,
  done,
  failed,
  misused,
  option,
  positional,
  type CommandContext,
  type CommandResult,
  type Parsed,
} from "#reference/node/cli/command.ts";
import { consistencyModels, type ConsistencyModel } from "#reference/checkers/transactions/models.ts";
import { makeDirectory } from "#reference/node/make-directory.ts";
import { keepYoungGenerationSmall } from "#reference/node/scavenger.ts";
import { withRateLimit, type RateOptions } from "#reference/maelstrom/guards.ts";
import type { MakeProgram } from "#reference/maelstrom/node.ts";
import { programs, type ProgramName } from "#reference/maelstrom/programs.ts";
import { nemesisKinds, type NemesisKind } from "#reference/simulator/maelstrom/nemesis.ts";
import { topologyNames } from "#reference/simulator/maelstrom/topology.ts";
import type { MaelstromResult, MaelstromTest } from "#reference/simulator/maelstrom/test-run.ts";
import { workloadNames } from "#reference/simulator/maelstrom/workload.ts";

const programNames = Object.keys(programs) as readonly ProgramName[];
const modelNames = Object.keys(consistencyModels) as readonly ConsistencyModel[];

const testOptions = {
  workload: option.choice(workloadNames, "What clients do.", { required: true, short: "w" }),
  nodeCount: option.integer("N", "How many nodes, n0 and up.", { default: 5, min: 1, max: 100 }),
  rate: option.integer("R", "Operations a second, of all clients together.", {
    default: 5,
    min: 1,
    max: 100_000,
  }),
  timeLimit: option.integer("S", "How long clients work, in seconds.", { default: 60, min: 1, max: 3600 }),
  latency: option.integer("MS", "How long a message between nodes takes.", { default: 0, max: 60_000 }),
  latencyDist: option.choice(["constant", "uniform", "exponential"], "How latencies are spread.", {
    default: "constant",
  }),
  nemesis: option.parsed("LIST", `What goes wrong: ${nemesisKinds.join(", ")}.`, parseNemesis, {
    default: [],
    defaultText: "nothing",
  }),
  nemesisInterval: option.integer("S", "Seconds between faults, on average.", {
    default: 10,
    min: 1,
    max: 600,
  }),
  concurrency: option.parsed("N|Nn", "How many clients; 2n is twice the nodes.", parseConcurrency, {
    defaultText: "1n, 2n for lin-kv",
  }),
  topology: option.choice(topologyNames, "The neighbours that broadcast advises.", { default: "grid" }),
  availability: option.parsed(
    "total|X",
    "The least share of operations that must succeed.",
    parseAvailability,
    {
      default: 0,
    },
  ),
  consistencyModels: option.choice(modelNames, "What transactions promise.", {
    default: "strict-serializable",
  }),
  keyCount: option.integer("N", "Keys in use at a time.", { default: 10, min: 1, max: 1000 }),
  maxTxnLength: option.integer("N", "The most steps of a transaction.", { default: 4, min: 1, max: 100 }),
  maxWritesPerKey: option.integer("N", "Writes after which a key is given up.", {
    default: 16,
    min: 1,
    max: 10_000,
  }),
  program: option.choice(programNames, "Which of our nodes, when it is not the workload's own.", {}),
  seed: option.integer("N", "Run this seed.", {}),
  seeds: option.parsed(
    "A..B",
    "Run all seeds from A to B, up to the first that is not valid.",
    parseSeeds,
    {},
  ),
  bin: option.text(
    "PROGRAM",
    "Test this program, in real time and in this folder; its arguments follow after --.",
    {},
  ),
  out: option.text("DIR", "Write results, history, trace, diagram and plots there.", {}),
} as const;

type TestContext = CommandContext<typeof testOptions, {}>;

const test = defineCommand({
  name: "test",
  summary: "Run a workload and judge what clients saw: valid, invalid or unknown.",
  details:
    "Options are named as Maelstrom names them. Nodes run in virtual time, so a test takes as long as its work, and a seed " +
    "decides everything. With --bin, each node is a process and time is real. Exit code 0 is valid, 1 invalid, 2 unknown or a " +
    "wrong option.",
  examples: [
    "oz maelstrom test -w broadcast --node-count 25 --rate 100 --latency 100 --time-limit 20 --nemesis partition --seed 7",
    "oz maelstrom test -w lin-kv --node-count 3 --concurrency 4n --seeds 1..100 --nemesis partition",
    "oz maelstrom test -w echo --node-count 1 --time-limit 5 --bin ./my-node -- --verbose",
  ],
  hasJson: true,
  hasMine: true,
  takesRest: true,
  options: testOptions,
  run: runTest,
});

const nodeOptions = {
  data: option.text("DIR", "Keep the node's journal there, under its name, so that it survives a kill.", {}),
  requestsPerSecond: option.integer("N", "Refuse what a client asks beyond this rate.", { min: 1 }),
  keyFile: option.text("FILE", "Sign messages between nodes with the key in this file.", {}),
} as const;

const node = defineCommand({
  name: "node",
  summary: "One of our nodes on standard input and output.",
  details: "The program that the real Maelstrom runs with --bin. Logs go to standard error.",
  examples: [
    "oz maelstrom node broadcast",
    "maelstrom test -w echo --bin ./node_modules/.bin/oz -- maelstrom node echo",
  ],
  hasMine: true,
  positionals: { program: positional.one("WORKLOAD", `Which node: ${programNames.join(", ")}.`) },
  options: nodeOptions,
  run: runNode,
});

export const command = defineCommand({
  name: "maelstrom",
  summary: "Test distributed nodes that speak Maelstrom's protocol, in virtual time or as processes.",
  examples: ["oz maelstrom test -w echo --node-count 1", "oz maelstrom node kafka"],
  subcommands: [test, node],
});

async function runNode({
  positionals: { program },
  options: { data, requestsPerSecond, keyFile },
  io,
}: CommandContext<
  typeof nodeOptions,
  { program: ReturnType<typeof positional.one> }
>): Promise<CommandResult> {
  if (!isProgram(program)) return misused(`no node for ${program}; there are ${programNames.join(", ")}`);
  const { runStdioNode } = await import("#reference/node/maelstrom/stdio.ts");
  const { openFileJournal } = await import("#reference/node/maelstrom/file-journal.ts");
  let key: Uint8Array | undefined;
  try {
    if (keyFile !== undefined) key = readFileSync(keyFile);
  } catch (error) {
    return misused(`key file ${keyFile}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  const makeProgram: MakeProgram =
    requestsPerSecond === undefined
      ? programs[program]
      : (node) => withRateLimit(programs[program](node), node.clock, rateOf(requestsPerSecond));
  const problem = await runStdioNode({
    makeProgram,
    input: io.stdin,
    output: io.stdout,
    errors: io.stderr,
    ...(data === undefined ? {} : { openJournal: (id: string) => openFileJournal(data, id) }),
    ...(key === undefined ? {} : { key }),
  });
  return problem === undefined ? done : failed(problem);
}

/** A second's worth may come at once. */
function rateOf(perSecond: number): RateOptions {
  return { perSecond, burst: perSecond };
}

async function runTest(context: TestContext): Promise<CommandResult> {
  const { options, rest } = context;
  if (options.seed !== undefined && options.seeds !== undefined)
    return misused("give --seed or --seeds, not both");
  if (rest.length > 0 && options.bin === undefined)
    return misused("arguments after -- belong to --bin PROGRAM");
  const clientCount = clientCountOf(options);
  if (options.workload === "lin-kv" && clientCount < 2 * options.nodeCount) {
    return misused(
      `lin-kv needs two clients for each node: --concurrency 2n (${2 * options.nodeCount}) or more`,
    );
  }
  if (options.latencyDist === "exponential" && options.latency === 0) {
    return misused("an exponential latency needs a mean above 0: --latency MS");
  }
  keepYoungGenerationSmall();
  const { first, last } = seedsOf(options);
  for (let seed = first; seed <= last && !context.signal.aborted; seed++) {
    const outcome = await runOne(context, seed, clientCount);
    if (outcome.kind === "failed") return failed(outcome.problem);
    const { result } = outcome;
    const isLast = seed === last || result.verdict !== "valid";
    if (isLast || options.seeds === undefined) await report(context, result);
    else context.note(`seed ${seed}: valid`);
    if (result.verdict !== "valid") return exitOf(result);
  }
  return context.signal.aborted ? failed("stopped") : done;
}

/** `unknown` has an exit code of its own, as in Maelstrom: nothing was found wrong, and nothing was shown right. */
function exitOf({ verdict }: MaelstromResult): CommandResult {
  return verdict === "unknown" ? misused("the verdict is unknown") : failed();
}

type RunOutcome =
  | { readonly kind: "ran"; readonly result: MaelstromResult }
  | { readonly kind: "failed"; readonly problem: string };

async function runOne(context: TestContext, seed: number, clientCount: number): Promise<RunOutcome> {
  const { options, rest, signal } = context;
  const { runMaelstromTest, virtualPace } = await import("#reference/simulator/maelstrom/test-run.ts");
  const { ProgramHost } = await import("#reference/simulator/maelstrom/world.ts");
  const { TraceRecorder } = await import("#reference/simulator/trace.ts");
  const { ProcessHost } = await import("../maelstrom/process-host.ts");
  const { makeRealPace } = await import("../maelstrom/real-pace.ts");
  const { bin, out } = options;
  const real = makeRealPace(signal);
  const program = options.program ?? options.workload;
  const trace = out === undefined ? undefined : new TraceRecorder();
  const test: MaelstromTest = {
    ...testOf(options),
    seed,
    concurrency: clientCount,
    makeHost: () =>
      bin === undefined
        ? new ProgramHost(programs[program])
        : new ProcessHost({ program: bin, programArguments: rest, catchUp: real.catchUp }),
    ...(trace === undefined ? {} : { trace }),
  };
  const result = await runMaelstromTest(test, bin === undefined ? virtualPace : real.pace);
  if (out !== undefined) {
    try {
      await makeDirectory(resolve(out));
      const { filesOf } = await import("../maelstrom/files.ts");
      for (const [name, text] of Object.entries(filesOf(test, result, trace!, commandLine(context, seed)))) {
        writeFileSync(join(out, name), text);
      }
    } catch (error) {
      return { kind: "failed", problem: `${out}: ${(error as NodeJS.ErrnoException).code ?? String(error)}` };
    }
  }
  return { kind: "ran", result };
}

async function report(context: TestContext, result: MaelstromResult): Promise<void> {
  const { summaryOf, linesOf } = await import("../maelstrom/report.ts");
  if (context.json) context.printJson(summaryOf(result));
  else
    for (const line of linesOf(result, context.colors, commandLine(context, result.seed)))
      context.print(line);
}

function testOf(options: TestContext["options"]): Omit<MaelstromTest, "makeHost" | "seed"> {
  return {
    workload: options.workload,
    nodeCount: options.nodeCount,
    rate: options.rate,
    timeLimitMs: options.timeLimit * 1000,
    latencyMs: options.latency,
    latencyKind: options.latencyDist,
    nemesis: options.nemesis,
    nemesisIntervalMs: options.nemesisInterval * 1000,
    topology: options.topology,
    availability: options.availability,
    consistencyModel: options.consistencyModels,
    keyCount: options.keyCount,
    transactionLengthMax: options.maxTxnLength,
    writesPerKeyMax: options.maxWritesPerKey,
  };
}

/** The command that runs one seed again. */
function commandLine({ options, rest }: TestContext, seed: number): string {
  const given = [
    `-w ${options.workload}`,
    `--node-count ${options.nodeCount}`,
    `--rate ${options.rate}`,
    `--time-limit ${options.timeLimit}`,
    ...(options.latency > 0 ? [`--latency ${options.latency}`] : []),
    ...(options.latencyDist === "constant" ? [] : [`--latency-dist ${options.latencyDist}`]),
    ...(options.nemesis.length > 0
      ? [`--nemesis ${options.nemesis.join(",")}`, `--nemesis-interval ${options.nemesisInterval}`]
      : []),
    `--concurrency ${clientCountOf(options)}`,
    ...(options.availability > 0 ? [`--availability ${options.availability}`] : []),
    ...(options.workload.startsWith("txn") ? [`--consistency-models ${options.consistencyModels}`] : []),
    ...(options.program === undefined ? [] : [`--program ${options.program}`]),
    ...(options.bin === undefined ? [] : [`--bin ${options.bin}`]),
    `--seed ${seed}`,
    ...(rest.length > 0 ? [`-- ${rest.join(" ")}`] : []),
  ];
  return `npx oz maelstrom test ${given.join(" ")}`;
}

function clientCountOf({ concurrency, nodeCount, workload }: TestContext["options"]): number {
  if (concurrency === undefined) return workload === "lin-kv" ? 2 * nodeCount : nodeCount;
  return concurrency.isPerNode ? concurrency.count * nodeCount : concurrency.count;
}

function seedsOf({ seed, seeds }: TestContext["options"]): { readonly first: number; readonly last: number } {
  if (seeds !== undefined) return seeds;
  const only = seed ?? 1;
  return { first: only, last: only };
}

function isProgram(name: string): name is ProgramName {
  return Object.hasOwn(programs, name);
}

function parseNemesis(text: string): Parsed<readonly NemesisKind[]> {
  const kinds = text.split(",").map((kind) => kind.trim());
  const wrong = kinds.find((kind) => !nemesisKinds.some((known) => known === kind));
  if (wrong !== undefined)
    return { problem: `has no fault called ${wrong}; there are ${nemesisKinds.join(", ")}` };
  return { value: kinds as readonly NemesisKind[] };
}

function parseConcurrency(text: string): Parsed<{ readonly count: number; readonly isPerNode: boolean }> {
  const match = /^([1-9]\d{0,4})(n?)$/.exec(text);
  if (match === null)
    return {
      problem: `must be a number from 1, or such a number of clients for each node (2n), not ${text}`,
    };
  return { value: { count: Number(match[1]), isPerNode: match[2] === "n" } };
}

function parseAvailability(text: string): Parsed<number> {
  if (text === "total") return { value: 1 };
  const share = Number(text);
  if (text.trim() !== "" && share >= 0 && share <= 1) return { value: share };
  return { problem: `must be total or a number from 0 to 1, not ${text}` };
}

function parseSeeds(text: string): Parsed<{ readonly first: number; readonly last: number }> {
  const match = /^(\d{1,15})\.\.(\d{1,15})$/.exec(text);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || first > last) return { problem: `must be like 1..100, not ${text}` };
  return { value: { first, last } };
}
