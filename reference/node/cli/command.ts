/**
 * What a subcommand of `oz` is: plain data that says which arguments it takes, and one function that does the work.
 *
 * A command says nothing about parsing, help, colours or exit codes: `run.ts` does all that from the definition, so
 * every command behaves alike. A command module exports its definition as `command`:
 *
 * ```ts
 * export const command = defineCommand({
 *   name: "greet",
 *   summary: "Say hello.",
 *   examples: ["oz greet Ada --times 2"],
 *   positionals: { who: positional.one("NAME", "Whom to greet.") },
 *   options: { times: option.integer("N", "How often.", { default: 1, min: 1, max: 10 }) },
 *   async run({ positionals, options, print }) {
 *     for (let index = 0; index < options.times; index++) print(`Hello, ${positionals.who}.`);
 *     return done;
 *   },
 * });
 * ```
 */
import type { Readable, Writable } from "node:stream";
import type { Colors } from "picocolors/types";

/** The answer of a parser: the value, or what is wrong with the text, as a clause that follows the option's name. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** One `--option`. The key in `options` is its name in camelCase; on the command line it is written in kebab-case. */
export interface OptionDefinition<T> {
  /** `flag` takes no value, `value` needs one, `maybe` takes one only as `--name=VALUE`. */
  readonly kind: "flag" | "value" | "maybe";
  readonly summary: string;
  /** What help calls the value, in capitals. Empty for a flag. */
  readonly valueName: string;
  readonly parse: (text: string) => Parsed<T>;
  readonly default: T;
  /** The default as help shows it. */
  readonly defaultText?: string;
  readonly isRequired: boolean;
  /** One letter, for `-t`. */
  readonly short?: string;
}

/** One argument without a dash. `many` takes all that are left, so it comes last. */
export interface PositionalDefinition<T> {
  readonly kind: "one" | "optional" | "many";
  readonly valueName: string;
  readonly summary: string;
  /** Never there: it carries the type of the value for `PositionalValues`. */
  readonly type?: T;
}

export type Options = Readonly<Record<string, OptionDefinition<unknown>>>;
export type Positionals = Readonly<Record<string, PositionalDefinition<unknown>>>;
export type OptionValues<O extends Options> = {
  readonly [Name in keyof O]: O[Name] extends OptionDefinition<infer Value> ? Value : never;
};
export type PositionalValues<P extends Positionals> = {
  readonly [Name in keyof P]: P[Name] extends PositionalDefinition<infer Value> ? Value : never;
};

/** How a command ended. `failed` is exit code 1, `misused` (wrong usage or environment) is exit code 2. */
export type CommandResult =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message?: string }
  | { readonly kind: "misused"; readonly message: string };

/** The work is done: exit code 0. */
export const done: CommandResult = { kind: "done" };

/** The work failed: exit code 1. `message` is one line for stderr; leave it out when the output has said it all. */
export function failed(message?: string): CommandResult {
  return message === undefined ? { kind: "failed" } : { kind: "failed", message };
}

/** Wrong usage or environment (a used port, no such exercise, a folder without permission): one line, exit code 2. */
export function misused(message: string): CommandResult {
  return { kind: "misused", message };
}

/** The streams and settings that a command runs with; tests hand in their own. */
export interface CommandIo {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What a running command is given. */
export interface CommandContext<O extends Options = Options, P extends Positionals = Positionals> {
  readonly options: OptionValues<O>;
  readonly positionals: PositionalValues<P>;
  /** What stands behind `--`, for a command with `takesRest`. */
  readonly rest: readonly string[];
  /** `--json` was given: print JSON and nothing else on stdout. Always false for a command without `hasJson`. */
  readonly json: boolean;
  /** Writes one line to stdout. With `json`, hand it to `printJson` instead. */
  readonly print: (line: string) => void;
  /** Writes one value as one line of JSON to stdout. */
  readonly printJson: (value: unknown) => void;
  /** Writes one line to stderr: messages and progress. */
  readonly note: (line: string) => void;
  /** Colours for stdout; they leave text alone when stdout is no terminal, or `NO_COLOR` is set. */
  readonly colors: Colors;
  /** Colours for stderr. */
  readonly noteColors: Colors;
  /** stdout is a terminal, so that progress and redrawing make sense. */
  readonly isInteractive: boolean;
  /**
   * Aborted by the first Ctrl-C or SIGTERM; the command then ends by itself. A second one ends the process at once.
   * A command that never reads this property is ended by the first, as any program is.
   */
  readonly signal: AbortSignal;
  readonly io: CommandIo;
}

/** The definition of a subcommand. A group (`topics create`) has `subcommands` and no `run`. */
export interface Command<O extends Options = Options, P extends Positionals = Positionals> {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Whole command lines; `--help` shows them. At least one. */
  readonly examples: readonly string[];
  /** More paragraphs for `--help`. */
  readonly details?: string;
  readonly options?: O;
  readonly positionals?: P;
  /** The command takes `--json`. */
  readonly hasJson?: boolean;
  /** The command takes `--mine[=NAMES]`: `oz` lays the learner's modules over the reference before it loads it. */
  readonly hasMine?: boolean;
  /** The command takes arguments behind `--` for a program that it starts. */
  readonly takesRest?: boolean;
  readonly subcommands?: readonly AnyCommand[];
  readonly run?: (context: CommandContext<O, P>) => Promise<CommandResult>;
}

/** A command whose own argument types do not matter to whoever holds it. */
export interface AnyCommand extends Omit<Command, "run"> {
  // A method, so that commands of all argument types are assignable: each is only ever run with what it parsed itself.
  run?(context: CommandContext): Promise<CommandResult>;
}

/** Gives a definition its types; returns it as it is. */
export function defineCommand<const O extends Options = {}, const P extends Positionals = {}>(
  definition: Command<O, P>,
): AnyCommand {
  return definition;
}

interface ValueSettings<T> {
  readonly default?: T;
  readonly defaultText?: string;
  readonly required?: true;
  readonly short?: string;
}

/** An option without default that is not required may be absent, and its type says so. */
type ValueOf<T, S> = S extends { readonly default: unknown } | { readonly required: true }
  ? T
  : T | undefined;

/** The longest list of choices that stands with an option's name. */
const choicesLengthMax = 50;

/** The kinds of options. */
export const option = {
  /** `--follow`: false unless given. */
  flag(summary: string, settings: { readonly short?: string } = {}): OptionDefinition<boolean> {
    return {
      kind: "flag",
      summary,
      valueName: "",
      parse: () => ({ value: true }),
      default: false,
      isRequired: false,
      ...settings,
    };
  },

  /** `--host TEXT`. */
  text<const S extends ValueSettings<string>>(valueName: string, summary: string, settings?: S) {
    return valueOption<string, S>(valueName, summary, (text) => ({ value: text }), settings);
  },

  /** `--port N`: a whole number within limits. */
  integer<const S extends ValueSettings<number> & { readonly min?: number; readonly max?: number }>(
    valueName: string,
    summary: string,
    settings?: S,
  ) {
    const { min = 0, max = Number.MAX_SAFE_INTEGER, ...rest } = settings ?? ({} as S);
    return valueOption<number, S>(valueName, summary, (text) => parseInteger(text, min, max), rest as S);
  },

  /** `--fsync always|everysec|never`. */
  choice<const C extends string, const S extends ValueSettings<C>>(
    choices: readonly C[],
    summary: string,
    settings?: S,
  ) {
    // A long list belongs into the description, which is wrapped; before it, it would push all others aside.
    const list = choices.join("|");
    const isShort = list.length <= choicesLengthMax;
    return valueOption<C, S>(
      isShort ? list : "NAME",
      isShort ? summary : `${summary} One of ${choices.join(", ")}.`,
      (text) => {
        const choice = choices.find((candidate) => candidate === text);
        return choice === undefined ? { problem: `must be one of ${choices.join(", ")}` } : { value: choice };
      },
      settings,
    );
  },

  /** Any other value, by its own parser. */
  parsed<T, const S extends ValueSettings<T> = {}>(
    valueName: string,
    summary: string,
    parse: (text: string) => Parsed<T>,
    settings?: S,
  ) {
    return valueOption<T, S>(valueName, summary, parse, settings);
  },

  /** `--spawn` or `--spawn=TEXT`: undefined when absent, an empty text when given without a value. */
  maybe(valueName: string, summary: string): OptionDefinition<string | undefined> {
    return {
      kind: "maybe",
      summary,
      valueName,
      parse: (text) => ({ value: text }),
      default: undefined,
      isRequired: false,
    };
  },
} as const;

/** The kinds of arguments without a dash. */
export const positional = {
  /** Must be there. */
  one(valueName: string, summary: string): PositionalDefinition<string> {
    return { kind: "one", valueName, summary };
  },
  /** May be missing. */
  optional(valueName: string, summary: string): PositionalDefinition<string | undefined> {
    return { kind: "optional", valueName, summary };
  },
  /** Any number, also none. */
  many(valueName: string, summary: string): PositionalDefinition<readonly string[]> {
    return { kind: "many", valueName, summary };
  },
} as const;

function valueOption<T, S extends ValueSettings<T>>(
  valueName: string,
  summary: string,
  parse: (text: string) => Parsed<T>,
  settings?: S,
): OptionDefinition<ValueOf<T, S>> {
  const definition: OptionDefinition<T | undefined> = {
    kind: "value",
    summary,
    valueName,
    parse,
    default: settings?.default,
    isRequired: settings?.required === true,
    ...(settings?.short === undefined ? {} : { short: settings.short }),
    ...(settings?.defaultText === undefined ? {} : { defaultText: settings.defaultText }),
  };
  // Without a default and not required, T | undefined; otherwise `run.ts` has made sure that there is a T.
  return definition as OptionDefinition<ValueOf<T, S>>;
}

function parseInteger(text: string, min: number, max: number): Parsed<number> {
  const value = Number(text);
  const isInteger = /^-?\d+$/.test(text) && Number.isSafeInteger(value);
  if (isInteger && value >= min && value <= max) return { value };
  if (max === Number.MAX_SAFE_INTEGER) return { problem: `must be a whole number from ${min}` };
  return { problem: `must be a whole number from ${min} to ${max}` };
}
