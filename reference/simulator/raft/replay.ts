/**
 * How to see a run again: one command, one link.
 *
 * A seed, the few choices on the command line and a cut determine a run; so that is all that a command or a
 * link needs to carry. What stands in one is read by the same functions as what stands in the other.
 */
import type { FaultKind } from "../faults.ts";
import { faultKinds } from "../faults.ts";
import { scenarioFeatures, type ScenarioChoice } from "./scenario.ts";

/** How many servers a simulated cluster may have. */
export const nodeCounts: readonly number[] = [3, 5];
/** What a run is like when nobody says anything else. */
export const scenarioDefaults = { nodeCount: 5, seconds: 60 } as const;
/** A command simulates at most an hour. */
export const commandSecondsMax = 3600;
/** A page keeps the whole trace, up to half a megabyte for each virtual second: a link stops earlier. */
export const linkSecondsMax = 300;

/** The command that runs this scenario again; `mine` is the `--mine` of a run over a learner's modules. */
export function replayCommand(choice: ScenarioChoice, mine?: string): string {
  const options = optionsOf(choice).map(([name, value]) => `--${name} ${value}`);
  return ["npx oz simulate", ...options, ...(mine === undefined ? [] : [mine])].join(" ");
}

/** Where the site shows it: what follows the address of its first page. Undefined when it is too long for a page. */
export function replayLink(choice: ScenarioChoice): string | undefined {
  if (choice.seconds > linkSecondsMax) return undefined;
  return `simulator/#${optionsOf(choice)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&")}`;
}

/** What a link's fragment says. */
export type ParsedLink =
  | { readonly kind: "scenario"; readonly choice: ScenarioChoice }
  /** It says nothing at all. */
  | { readonly kind: "empty" }
  /** One sentence without its full stop: people type addresses, and chat programs cut them. */
  | { readonly kind: "invalid"; readonly problem: string };

/** What a text stands for, or what is wrong with it, as a clause that follows the option's name. */
export type ParsedOption<Value> = { readonly value: Value } | { readonly problem: string };

/** The inverse of `replayLink`: reads what follows the `#`, which may lead. What is left out is as in the command. */
export function parseReplayLink(fragment: string): ParsedLink {
  const text = fragment.replace(/^#/, "");
  if (text === "") return { kind: "empty" };
  const given = new Map<string, string>();
  for (const part of text.split("&")) {
    const [name = "", ...rest] = part.split("=");
    if (!linkNames.includes(name))
      return invalid(`there is nothing named “${name.slice(0, 40)}” in a scenario`);
    if (given.has(name)) return invalid(`it names ${name} twice`);
    const value = decode(rest.join("="));
    if (value === undefined) return invalid(`the value of ${name} is not encoded as in an address`);
    given.set(name, value);
  }
  if (!given.has("seed")) return invalid("it names no seed");
  return choiceOf(given);
}

/** `--faults`, `faults=`: `all`, `none`, or kinds with commas between them. */
export function parseFaults(text: string): ParsedOption<readonly FaultKind[]> {
  return text === "all" ? { value: faultKinds } : parseList(text, faultKinds);
}

/** `--without`, `without=`. */
export function parseFeatures(text: string): ParsedOption<readonly string[]> {
  return parseList(text, scenarioFeatures);
}

/** `--keep`, `keep=`: numbers of faults. */
export function parseNumbers(text: string): ParsedOption<readonly number[]> {
  if (text === "none") return { value: [] };
  const numbers = text.split(",").map(Number);
  const isList = /^\d+(,\d+)*$/.test(text);
  return isList ? { value: numbers } : { problem: "must be numbers with commas between them" };
}

const linkNames: readonly string[] = ["seed", "nodes", "seconds", "faults", "keep", "without"];

function choiceOf(given: ReadonlyMap<string, string>): ParsedLink {
  /** The first thing that is wrong. */
  let problem: string | undefined;
  const read = <Value>(name: string, parse: (text: string) => ParsedOption<Value>): Value | undefined => {
    const text = given.get(name);
    const parsed = text === undefined ? undefined : parse(text);
    if (parsed === undefined) return undefined;
    if ("value" in parsed) return parsed.value;
    problem ??= `${name} ${parsed.problem}`;
    return undefined;
  };
  const seed = read("seed", (text) => parseWhole(text, 0, Number.MAX_SAFE_INTEGER)) ?? 0;
  const nodeCount = read("nodes", parseNodes) ?? scenarioDefaults.nodeCount;
  const seconds = read("seconds", (text) => parseWhole(text, 1, linkSecondsMax)) ?? scenarioDefaults.seconds;
  const faults = read("faults", parseFaults);
  const keep = read("keep", parseNumbers);
  const without = read("without", parseFeatures) ?? [];
  if (problem !== undefined) return invalid(problem);
  const isCut = given.has("keep") || given.has("without");
  return {
    kind: "scenario",
    choice: {
      seed,
      nodeCount,
      seconds,
      ...(faults === undefined ? {} : { faults }),
      ...(isCut ? { cut: { keep, without } } : {}),
    },
  };
}

function parseNodes(text: string): ParsedOption<number> {
  const count = nodeCounts.find((candidate) => String(candidate) === text);
  return count === undefined ? { problem: `must be ${nodeCounts.join(" or ")}` } : { value: count };
}

function parseWhole(text: string, min: number, max: number): ParsedOption<number> {
  const value = Number(text);
  const isGood = /^\d{1,16}$/.test(text) && value >= min && value <= max;
  return isGood ? { value } : { problem: `must be a whole number from ${min} to ${max}` };
}

function parseList<Item extends string>(text: string, items: readonly Item[]): ParsedOption<readonly Item[]> {
  if (text === "none") return { value: [] };
  const names = text.split(",");
  const known = items.filter((item) => names.includes(item));
  const unknown = names.find((name) => !items.some((item) => item === name));
  return unknown === undefined
    ? { value: known }
    : { problem: `does not know ${unknown.slice(0, 40)}; there is ${items.join(", ")}` };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function invalid(problem: string): ParsedLink {
  return { kind: "invalid", problem };
}

function optionsOf({ seed, nodeCount, seconds, faults, cut }: ScenarioChoice): [string, string][] {
  const options: [string, string][] = [
    ["seed", String(seed)],
    ["nodes", String(nodeCount)],
    ["seconds", String(seconds)],
  ];
  if (faults !== undefined && !isAll(faults)) {
    options.push(["faults", faults.length === 0 ? "none" : faults.join(",")]);
  }
  if (cut?.keep !== undefined) options.push(["keep", cut.keep.length === 0 ? "none" : cut.keep.join(",")]);
  if (cut !== undefined && cut.without.length > 0) options.push(["without", cut.without.join(",")]);
  return options;
}

function isAll(faults: readonly FaultKind[]): boolean {
  return faults.length === faultKinds.length;
}
