/**
 * Runs one command: reads its arguments, hands them over, and turns whatever happens into an exit code.
 *
 * Commander does the parsing. It is strict about unknown options (one line with the likely one), where the smaller
 * parsers that we tried take them for values and go on.
 */
import { Command as Commander, CommanderError, InvalidArgumentError, Option } from "commander";
import picocolors from "picocolors";
import { option } from "./command.ts";
import { nearest } from "./nearest.ts";
import type { AnyCommand, CommandContext, CommandIo, CommandResult, OptionDefinition } from "./command.ts";

/** Exit codes: the work is done, it failed, or it could not be tried. */
export const exitCodes = { done: 0, failed: 1, misused: 2 } as const;

/** Taken by every command with `hasMine`; the entry point has acted on it before the command was loaded. */
const mineOption = option.maybe(
  "NAMES",
  "Run with your solved exercises in place of the reference, or with those named, separated by commas.",
);

/** What the command line said: a command to run with its arguments, or an exit code when all is said already. */
type Choice =
  | { readonly kind: "run"; readonly command: AnyCommand; readonly parsed: Commander }
  | { readonly kind: "exit"; readonly code: number };

/**
 * Runs `command` with the arguments behind its name; resolves to the exit code and never rejects.
 */
export async function runCommand(
  command: AnyCommand,
  argv: readonly string[],
  io: CommandIo,
): Promise<number> {
  const [own, rest] = splitRest(command, argv);
  const choice = choose(command, fillMaybes(command, own), io);
  if (choice.kind === "exit") return choice.code;
  if (choice.command.run === undefined) {
    const names = choice.command.subcommands?.map((subcommand) => subcommand.name) ?? [];
    const [given = "-"] = own;
    const [likely] = nearest(given, names);
    const hint = likely === undefined ? "" : ` (did you mean ${likely}?)`;
    const wish = given.startsWith("-") ? "say what to do first" : `${given} is nothing that it does${hint}`;
    complain(io, `${choice.command.name}: ${wish}: ${names.join(", ")}`);
    return exitCodes.misused;
  }
  const context = contextOf(choice.command, choice.parsed, rest, io);
  try {
    return report(await choice.command.run(context), io);
  } catch (error) {
    return reportBug(error, io);
  }
}

/** One line on stderr in the form that all of `oz` uses. */
export function complain(io: CommandIo, message: string): void {
  io.stderr.write(`oz: ${message.trim().replace(/\s*\n\s*/g, " ")}\n`);
}

function report(result: CommandResult, io: CommandIo): number {
  if (result.kind !== "done" && result.message !== undefined) complain(io, result.message);
  return exitCodes[result.kind];
}

/** An exception that no command expected is a bug of ours: it says so in one line, and where on request. */
function reportBug(error: unknown, io: CommandIo): number {
  const message = error instanceof Error ? error.message : String(error);
  complain(io, `internal error: ${message} (run again with OZ_DEBUG=1 to see where)`);
  if (io.env["OZ_DEBUG"] && error instanceof Error) io.stderr.write(`${error.stack}\n`);
  return exitCodes.failed;
}

function splitRest(command: AnyCommand, argv: readonly string[]): [readonly string[], readonly string[]] {
  const takesRest = command.takesRest || command.subcommands?.some((subcommand) => subcommand.takesRest);
  const at = takesRest ? argv.indexOf("--") : -1;
  return at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)];
}

/** `--name` of an option with an optional value becomes `--name=`, so that it does not swallow the next argument. */
function fillMaybes(command: AnyCommand, argv: readonly string[]): readonly string[] {
  const maybes = new Set<string>();
  for (const { options, hasMine } of [command, ...(command.subcommands ?? [])]) {
    if (hasMine) maybes.add("--mine");
    for (const [name, { kind }] of Object.entries(options ?? {})) {
      if (kind === "maybe") maybes.add(`--${kebabCase(name)}`);
    }
  }
  return argv.map((argument) => (maybes.has(argument) ? `${argument}=` : argument));
}

/** Parses; help and mistakes are written here, so that nothing is left to do for them. */
function choose(command: AnyCommand, argv: readonly string[], io: CommandIo): Choice {
  let choice: Choice | undefined;
  const parser = buildParser(command, io, (chosen, parsed) => {
    choice = { kind: "run", command: chosen, parsed };
  });
  // Commander puts the parents' names into the usage line: `oz topics create`.
  const root = silence(new Commander("oz"), io).addCommand(parser);
  try {
    root.parse([command.name, ...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "exit", code: exitCodes.done };
    complain(io, `${command.name}: ${error.message.replace(/^error: /, "")}`);
    return { kind: "exit", code: exitCodes.misused };
  }
  return choice ?? { kind: "exit", code: exitCodes.misused };
}

function buildParser(
  command: AnyCommand,
  io: CommandIo,
  onChosen: (command: AnyCommand, parsed: Commander) => void,
): Commander {
  const parser = silence(new Commander(command.name), io);
  parser.summary(command.summary).description(helpText(command)).helpOption("-h, --help", "Show this.");
  parser.addHelpText("after", `\nExamples:\n${command.examples.map((example) => `  ${example}`).join("\n")}`);
  for (const definition of Object.values(command.positionals ?? {})) {
    const { kind, valueName } = definition;
    const form =
      kind === "one" ? `<${valueName}>` : kind === "optional" ? `[${valueName}]` : `[${valueName}...]`;
    parser.argument(form, definition.summary);
  }
  for (const [name, definition] of Object.entries(command.options ?? {})) {
    parser.addOption(buildOption(name, definition));
  }
  if (command.hasJson) parser.addOption(new Option("--json", "Print JSON on stdout and nothing else."));
  if (command.hasMine) parser.addOption(buildOption("mine", mineOption));
  for (const subcommand of command.subcommands ?? []) {
    parser.addCommand(buildParser(subcommand, io, onChosen));
  }
  if (command.subcommands && command.run === undefined) parser.addHelpCommand(false);
  // A subcommand that does not exist is what is wrong, whatever stands behind it.
  const isGroup = command.subcommands !== undefined && command.run === undefined;
  parser.allowExcessArguments(isGroup).allowUnknownOption(isGroup);
  parser.action(() => onChosen(command, parser));
  return parser;
}

function buildOption(name: string, definition: OptionDefinition<unknown>): Option {
  const long = `--${kebabCase(name)}`;
  const short = definition.short === undefined ? "" : `-${definition.short}, `;
  const { kind, valueName } = definition;
  const value = kind === "flag" ? "" : kind === "value" ? ` <${valueName}>` : ` [${valueName}]`;
  const built = new Option(`${short}${long}${value}`, definition.summary);
  if (kind === "maybe") built.flags = `${short}${long}[=${valueName}]`;
  if (definition.isRequired) built.makeOptionMandatory();
  if (definition.default !== undefined && kind !== "flag")
    built.default(definition.default, definition.defaultText);
  if (kind !== "flag") {
    built.argParser((text: string) => {
      const parsed = definition.parse(text);
      if ("problem" in parsed) throw new InvalidArgumentError(`It ${parsed.problem}.`);
      return parsed.value;
    });
  }
  return built;
}

/** Commander throws instead of ending the process; help goes to stdout, and mistakes are written by `complain`. */
function silence(parser: Commander, io: CommandIo): Commander {
  return parser.exitOverride().configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: () => {},
    outputError: () => {},
    getOutHelpWidth: () => io.stdout.columns ?? 100,
    getOutHasColors: () => hasColors(io.stdout, io.env),
  });
}

function helpText(command: AnyCommand): string {
  return command.details === undefined ? command.summary : `${command.summary}\n\n${command.details}`;
}

function contextOf(
  command: AnyCommand,
  parsed: Commander,
  rest: readonly string[],
  io: CommandIo,
): CommandContext {
  const values = parsed.opts<Record<string, unknown>>();
  const options: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries(command.options ?? {})) {
    const value = values[camelCase(kebabCase(name))];
    // Commander gives `true` for `--name` without its value.
    options[name] =
      value === undefined ? definition.default : definition.kind === "maybe" && value === true ? "" : value;
  }
  const positionals: Record<string, unknown> = {};
  Object.keys(command.positionals ?? {}).forEach(
    (name, index) => (positionals[name] = parsed.processedArgs[index]),
  );
  const interruption = lazyInterruption(io);
  return {
    options,
    positionals,
    rest,
    json: values["json"] === true,
    print: (line) => void io.stdout.write(`${line}\n`),
    printJson: (value) => void io.stdout.write(`${JSON.stringify(value)}\n`),
    note: (line) => void io.stderr.write(`${line}\n`),
    colors: picocolors.createColors(hasColors(io.stdout, io.env)),
    noteColors: picocolors.createColors(hasColors(io.stderr, io.env)),
    isInteractive: io.stdout.isTTY === true,
    get signal() {
      return interruption();
    },
    io,
  };
}

/** Colours are for people: on a terminal, unless `NO_COLOR` (https://no-color.org) or a dumb terminal says no. */
function hasColors(stream: { readonly isTTY?: boolean }, env: CommandIo["env"]): boolean {
  if (env["NO_COLOR"]) return false;
  if (env["FORCE_COLOR"] && env["FORCE_COLOR"] !== "0") return true;
  return stream.isTTY === true && env["TERM"] !== "dumb";
}

/** Listens for signals only from the first time that somebody asks, so that other commands keep the usual end. */
function lazyInterruption(io: CommandIo): () => AbortSignal {
  let controller: AbortController | undefined;
  return () => {
    if (controller !== undefined) return controller.signal;
    const created = (controller = new AbortController());
    for (const [name, number] of [
      ["SIGINT", 2],
      ["SIGTERM", 15],
    ] as const) {
      process.on(name, () => {
        if (created.signal.aborted) process.exit(128 + number);
        if (name === "SIGINT" && io.stderr.isTTY) io.stderr.write("\n");
        created.abort(name);
      });
    }
    return created.signal;
  };
}

function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
