/**
 * `oz simulate`: a Raft cluster in virtual time, under faults that are drawn from a seed, with every
 * invariant checked after every event. When one breaks, the schedule is cut down to what matters and printed
 * with the command that shows it again.
 */
import { statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import {
  defineCommand,
  done,
  failed,
  misused,
  option,
  type CommandContext,
  type CommandResult,
  type Parsed,
} from "#reference/node/cli/command.ts";
import { makeDirectory } from "#reference/node/make-directory.ts";
import { faultKinds } from "#reference/simulator/faults.ts";
import type { RunResult, Violation } from "#reference/simulator/raft/cluster.ts";
import {
  commandSecondsMax,
  parseFaults,
  parseFeatures,
  parseNumbers,
  replayCommand,
  replayLink,
  scenarioDefaults,
} from "#reference/simulator/raft/replay.ts";
import { scenarioFeatures, type ScenarioChoice } from "#reference/simulator/raft/scenario.ts";
import type { Cut } from "#reference/simulator/cut.ts";

const options = {
  seed: option.integer("N", "Run this seed only.", {}),
  seeds: option.parsed("A..B", "Run all seeds from A to B (default 1..100).", parseSeeds, {}),
  nodes: option.choice(["3", "5"], "How many servers.", { default: "5" }),
  faults: option.parsed("all|none|LIST", `Kinds of faults: ${faultKinds.join(", ")}.`, parseFaults, {
    default: faultKinds,
    defaultText: "all",
  }),
  seconds: option.integer("S", "How long the faults go on, in virtual seconds.", {
    default: scenarioDefaults.seconds,
    min: 1,
    max: commandSecondsMax,
  }),
  keep: option.parsed(
    "LIST",
    "Of the seed's faults, only those with these numbers (or none).",
    parseNumbers,
    {},
  ),
  without: option.parsed("LIST", `Do without: ${scenarioFeatures.join(", ")}.`, parseFeatures, {
    default: [],
    defaultText: "nothing",
  }),
  trace: option.text("FILE", "Write what happened as trace.ndjson: of the failing run, or of --seed.", {}),
} as const;

export const command = defineCommand({
  name: "simulate",
  summary: "Run Raft clusters in virtual time under faults, and check every invariant after every event.",
  details:
    "Each seed is another cluster under other faults. After the faults everything is healed, and the cluster must recover " +
    "within a bound. A broken rule ends the command with exit code 1, the shortest schedule found that still breaks it, and " +
    "the command that runs it again.",
  examples: [
    "oz simulate --seeds 1..1000 --nodes 5",
    "oz simulate --seed 42 --trace trace.ndjson",
    "oz simulate --mine",
  ],
  hasJson: true,
  hasMine: true,
  options,
  run,
});

type Context = CommandContext<typeof options, {}>;

/** What a series of runs came to. */
interface Tally {
  seeds: number;
  events: number;
  virtualMs: number;
  answered: number;
  elections: number;
  readonly startedAtMs: number;
  /** Processor time, because the machine may have other things to do. */
  readonly processorAtStart: NodeJS.CpuUsage;
}

/** How often a run lets the terminal and signals have their turn. */
const breathMs = 200;

async function run(context: Context): Promise<CommandResult> {
  const { seed, seeds = { first: 1, last: 100 }, nodes, faults, seconds, keep, without } = context.options;
  if (seed !== undefined && context.options.seeds !== undefined)
    return misused("give --seed or --seeds, not both");
  const range = seed === undefined ? seeds : { first: seed, last: seed };
  if (keep !== undefined && range.first !== range.last)
    return misused("--keep numbers the faults of one --seed");
  const cut: Cut = { keep, without };
  const choiceOf = (seed: number): ScenarioChoice => ({
    seed,
    nodeCount: Number(nodes),
    seconds,
    faults,
    cut,
  });
  const unwritable = await traceProblem(context.options.trace);
  if (unwritable !== undefined) return misused(unwritable);
  const { runScenario } = await import("#reference/simulator/raft/cluster.ts");
  const { drawScenario } = await import("#reference/simulator/raft/scenario.ts");
  const problem = await checkFirst(choiceOf(range.first));
  if (problem !== undefined) return failed(problem);

  const tally: Tally = {
    seeds: 0,
    events: 0,
    virtualMs: 0,
    answered: 0,
    elections: 0,
    startedAtMs: performance.now(),
    processorAtStart: process.cpuUsage(),
  };
  let breathedAtMs = performance.now();
  for (let at = range.first; at <= range.last; at++) {
    const choice = choiceOf(at);
    const result = runScenario(drawScenario(choice));
    count(tally, result);
    if (result.violation !== undefined) return report(context, choice, result.violation, tally);
    if (performance.now() - breathedAtMs < breathMs) continue;
    breathedAtMs = performance.now();
    showProgress(context, summary(tally));
    await new Promise<void>((resolve) => void setImmediate(resolve));
    if (context.signal.aborted) break;
  }
  showProgress(context, "");
  if (context.signal.aborted) context.note(context.noteColors.yellow("interrupted"));
  if (context.options.trace !== undefined && range.first === range.last) {
    const unwritten = await writeTrace(choiceOf(range.first), context.options.trace);
    if (unwritten !== undefined) return misused(unwritten);
  }
  if (context.json) context.printJson({ violations: 0, ...figures(tally) });
  else context.print(`${context.colors.green("no violation")} in ${summary(tally)}`);
  return done;
}

/** One line on a terminal, which is written over; a line that is broken could not be. */
function showProgress({ io }: Context, text: string): void {
  if (io.stderr.isTTY !== true) return;
  const { columns = 80 } = io.stderr;
  io.stderr.write(`\r\u001b[K${text.slice(0, columns - 1)}`);
}

/** Makes the trace's folder. What keeps it from being written must show before a long run, and not after it. */
async function traceProblem(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    await makeDirectory(dirname(resolve(file)));
  } catch (error) {
    return `--trace ${file}: ${error instanceof Error ? error.message : String(error)}`;
  }
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true
    ? `--trace ${file}: is a folder`
    : undefined;
}

/** The first seed twice: a simulator that is not deterministic has nothing to say. */
async function checkFirst(choice: ScenarioChoice): Promise<string | undefined> {
  const { checkDeterminism } = await import("#reference/simulator/determinism.ts");
  const { runScenario } = await import("#reference/simulator/raft/cluster.ts");
  const { drawScenario } = await import("#reference/simulator/raft/scenario.ts");
  const found = await checkDeterminism((trace) => void runScenario(drawScenario(choice), { trace }));
  if (found.kind === "equal") return undefined;
  const shown = (line: unknown): string =>
    line === undefined ? "nothing" : JSON.stringify(line).slice(0, 200);
  return `seed ${choice.seed} is not deterministic: line ${found.line + 1} is ${shown(found.one)}, and then ${shown(found.other)}`;
}

/** A rule is broken: the smallest schedule that breaks it, and how to see it. */
async function report(
  context: Context,
  choice: ScenarioChoice,
  violation: Violation,
  tally: Tally,
): Promise<CommandResult> {
  const { runScenario } = await import("#reference/simulator/raft/cluster.ts");
  const { drawScenario } = await import("#reference/simulator/raft/scenario.ts");
  const { shrink } = await import("#reference/simulator/shrink.ts");
  context.note(`seed ${choice.seed} breaks ${violation.rule}; looking for the shortest schedule that does`);
  const given = choice.cut ?? { keep: undefined, without: [] };
  const numbers = given.keep ?? drawScenario(choice).faults.map((_fault, index) => index);
  // Shrinking numbers what is left of the given cut; a command numbers the faults of the seed.
  const cutOf = ({ keep, without }: Cut): Cut => ({
    keep: (keep ?? numbers.map((_number, place) => place)).map((place) => numbers[place]!),
    without: [...new Set([...given.without, ...without])],
  });
  const { cut: small, runs } = await shrink({
    faultCount: numbers.length,
    features: scenarioFeatures,
    fails: (cut) =>
      runScenario(drawScenario({ ...choice, cut: cutOf(cut) })).violation?.rule === violation.rule,
  });
  const shrunk: ScenarioChoice = { ...choice, cut: cutOf(small) };
  const scenario = drawScenario(shrunk);
  const last = runScenario(scenario).violation ?? violation;
  if (context.options.trace !== undefined) {
    const unwritten = await writeTrace(shrunk, context.options.trace);
    if (unwritten !== undefined) context.note(unwritten);
  }
  const found = {
    seed: choice.seed,
    ...last,
    replay: replayCommand(shrunk, mineOf()),
    // The page runs the reference of the site that it is on: it cannot show what a learner's module did.
    link: mineOf() === undefined ? replayLink(shrunk) : undefined,
  };
  if (context.json) {
    context.printJson({ violations: 1, ...figures(tally), violation: { ...found, faults: scenario.faults } });
    return failed();
  }
  const { print, colors } = context;
  print(
    `${colors.red(`broken: ${last.rule}`)} in seed ${choice.seed}, event ${last.event}, at ${last.atMs} ms`,
  );
  print(`  ${last.message}`);
  print(`  ${scenario.faults.length} of ${numbers.length} faults are needed (tried ${runs} schedules):`);
  for (const { atMs, fault } of scenario.faults)
    print(`    ${String(atMs).padStart(7)} ms  ${JSON.stringify(fault)}`);
  for (const { atMs, operation } of scenario.operations.filter((operation) => operation.atMs <= last.atMs)) {
    print(`    ${String(atMs).padStart(7)} ms  operator: ${JSON.stringify(operation)}`);
  }
  print(`  replay: ${found.replay}`);
  if (found.link !== undefined) print(`  link:   ${found.link}  (after the address that npm start prints)`);
  print(`  after ${summary(tally)}`);
  return failed();
}

/** The `--mine` of this command line: without it a replay would run the reference, which has not this bug. */
function mineOf(): string | undefined {
  return process.argv.find((argument) => /^--mine(=|$)/.test(argument));
}

/** Writes the trace; resolves to why that cannot be. */
async function writeTrace(choice: ScenarioChoice, file: string): Promise<string | undefined> {
  const { runScenario } = await import("#reference/simulator/raft/cluster.ts");
  const { drawScenario } = await import("#reference/simulator/raft/scenario.ts");
  const { TraceRecorder } = await import("#reference/simulator/trace.ts");
  const trace = new TraceRecorder();
  runScenario(drawScenario(choice), { trace, command: replayCommand(choice, mineOf()) });
  try {
    writeFileSync(file, trace.toNdjson());
    return undefined;
  } catch (error) {
    return `--trace ${file}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function count(tally: Tally, { events, durationMs, answered, terms }: RunResult): void {
  tally.seeds++;
  tally.events += events;
  tally.virtualMs += durationMs;
  tally.answered += answered;
  tally.elections += terms;
}

function figures(tally: Tally): Record<string, number> {
  const wallSeconds = (performance.now() - tally.startedAtMs) / 1000;
  const { user, system } = process.cpuUsage(tally.processorAtStart);
  const processorSeconds = (user + system) / 1e6;
  const round = (value: number): number => Math.round(value * 10) / 10;
  return {
    seeds: tally.seeds,
    events: tally.events,
    clusterSeconds: round(tally.virtualMs / 1000),
    answered: tally.answered,
    terms: tally.elections,
    wallSeconds: round(wallSeconds),
    processorSeconds: round(processorSeconds),
    seedsPerSecond: round(tally.seeds / wallSeconds),
    clusterSecondsPerProcessorSecond: Math.round(tally.virtualMs / 1000 / processorSeconds),
  };
}

function summary(tally: Tally): string {
  const { seeds, clusterSeconds, events, seedsPerSecond, clusterSecondsPerProcessorSecond } = figures(tally);
  return (
    `${seeds} ${seeds === 1 ? "seed" : "seeds"}: ${clusterSeconds} s of cluster time, ${events} events, ${seedsPerSecond} seeds/s, ` +
    `${clusterSecondsPerProcessorSecond} cluster seconds per second of processor time`
  );
}

function parseSeeds(text: string): Parsed<{ readonly first: number; readonly last: number }> {
  const match = /^(\d{1,9})\.\.(\d{1,9})$/.exec(text);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  return match !== null && first <= last
    ? { value: { first, last } }
    : { problem: "must be two numbers, as in 1..1000" };
}
