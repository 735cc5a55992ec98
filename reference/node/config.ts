/**
 * The effective configuration: defaults, then the file, then the environment, then flags; the later one wins.
 *
 * Every value keeps its source, so that `oz config` can answer the question that costs operators most time:
 * "why does it use that?" A mistake is named by its place (file and line, variable or flag), the key, and what
 * is allowed.
 */
import { readFileSync } from "node:fs";
import { LineCounter, isMap, isScalar, parseDocument } from "yaml";
import type { Node, Pair, YAMLMap } from "yaml";
import { nearest } from "./cli/nearest.ts";
import type { SettingName, Settings } from "./settings.ts";
import { flagOf, settingNames, settings, variableOf } from "./settings.ts";

/** Where values are looked for. */
export interface ConfigSources {
  /** The configuration file; absent when none was named. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Flags that were given, as text. */
  readonly flags: Readonly<Partial<Record<SettingName, string>>>;
}

/** The configuration, and where each value came from. */
export interface EffectiveConfig {
  readonly kind: "config";
  readonly values: Settings;
  /** `default`, `oz.yaml:3`, `OZ_PORT` or `--port`. */
  readonly sources: Readonly<Record<SettingName, string>>;
}

/** What is wrong, in one line. */
export interface ConfigProblem {
  readonly kind: "problem";
  readonly message: string;
}

const configBytesMax = 1024 * 1024;

/** One value before it is parsed. */
interface Given {
  readonly text: string;
  readonly source: string;
}

/** Puts the configuration together. */
export function loadConfig({ file, env, flags }: ConfigSources): EffectiveConfig | ConfigProblem {
  const given = new Map<SettingName, Given>();
  // 1. The file.
  if (file !== undefined) {
    const problem = readConfigFile(file, given);
    if (problem !== undefined) return { kind: "problem", message: problem };
  }
  // 2. The environment, then flags.
  for (const name of settingNames) {
    const fromEnv = env[variableOf(name)];
    if (fromEnv !== undefined && fromEnv !== "") given.set(name, { text: fromEnv, source: variableOf(name) });
    const fromFlag = flags[name];
    if (fromFlag !== undefined) given.set(name, { text: fromFlag, source: flagOf(name) });
  }
  // 3. Parse what was given; the rest is as the table says.
  const values: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  for (const name of settingNames) {
    const found = given.get(name);
    values[name] = settings[name].default;
    sources[name] = found?.source ?? "default";
    if (found === undefined) continue;
    const parsed = settings[name].kind.parse(found.text);
    if ("problem" in parsed) {
      const shown = "isSecret" in settings[name] ? "" : `${JSON.stringify(found.text)} `;
      return { kind: "problem", message: `${found.source}: ${name} ${shown}${parsed.problem}` };
    }
    values[name] = parsed.value;
  }
  return {
    kind: "config",
    values: values as unknown as Settings,
    sources: sources as Record<SettingName, string>,
  };
}

/** The value of a setting as `oz config` shows it. */
export function formatSetting(name: SettingName, value: unknown): string {
  return (settings[name].kind.format as (value: unknown) => string)(value);
}

/** Reads the keys of a YAML (or JSON) file into `given`; returns what is wrong with it. */
function readConfigFile(file: string, given: Map<SettingName, Given>): string | undefined {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return `${file}: cannot be read (${reason})`;
  }
  if (content.length > configBytesMax) return `${file}: ${content.length} bytes exceed ${configBytesMax}`;
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, uniqueKeys: true });
  const fault = document.errors[0];
  if (fault !== undefined) {
    const { line } = lines.linePos(fault.pos[0]);
    return `${file}:${line}: ${fault.message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? ""}`;
  }
  if (document.contents === null) return undefined;
  if (!isMap(document.contents)) return `${file}:1: must be a list of lines "key: value"`;
  for (const pair of document.contents.items as Pair<Node, Node | null>[]) {
    const place = `${file}:${lines.linePos(pair.key.range?.[0] ?? 0).line}`;
    const key = isScalar(pair.key) ? String(pair.key.value) : "";
    const name = settingNames.find((known) => known === key);
    if (name === undefined) return `${place}: ${unknownKey(key)}`;
    const text = textOf(pair.value);
    if (text === undefined) return `${place}: ${name} must be ${settings[name].kind.allowed}`;
    given.set(name, { text, source: place });
  }
  return undefined;
}

/** A scalar as it was written, or a map of names to secrets as `NAME=SECRET,…`. */
function textOf(node: Node | null): string | undefined {
  if (isScalar(node)) return node.value === null ? undefined : node.source;
  if (!isMap(node)) return undefined;
  const pairs = (node as YAMLMap<Node, Node | null>).items.map(({ key, value }) => {
    return isScalar(key) && isScalar(value) ? `${String(key.value)}=${String(value.value)}` : undefined;
  });
  return pairs.includes(undefined) ? undefined : pairs.join(",");
}

function unknownKey(key: string): string {
  const [close] = nearest(key, settingNames);
  const hint = close === undefined ? `allowed are ${settingNames.join(", ")}` : `did you mean ${close}?`;
  return `unknown key ${JSON.stringify(key)}; ${hint}`;
}
