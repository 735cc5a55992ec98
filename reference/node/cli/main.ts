/**
 * Finds the subcommand that the command line names and runs it.
 *
 * A subcommand is a file: `commands/produce.ts` exports `command`, and so `oz produce` exists. Nothing keeps a list,
 * and only the file that is asked for is loaded, so that `oz --version` stays fast.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { AnyCommand, CommandIo } from "./command.ts";
import { complain, exitCodes, runCommand } from "./run.ts";
import { nearest } from "./nearest.ts";

/** A folder of command files, and the heading above them in `oz --help`. */
export interface CommandFolder {
  readonly heading: string;
  readonly path: string;
}

/** What `main` needs; `oz.mjs` fills it in from its own place in the tree. */
export interface MainSettings {
  readonly argv: readonly string[];
  readonly folders: readonly CommandFolder[];
  /** The package.json whose version `oz --version` prints. */
  readonly packageFile: string;
  readonly io: CommandIo;
}

/** Runs the command line and resolves to the exit code. */
export async function main({ argv, folders, packageFile, io }: MainSettings): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--version" || name === "-V") {
    io.stdout.write(`${versionOf(packageFile)}\n`);
    return exitCodes.done;
  }
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    if (name === "help" && rest[0] !== undefined)
      return main({ argv: [rest[0], "--help"], folders, packageFile, io });
    io.stdout.write(await overview(folders));
    return name === undefined ? exitCodes.misused : exitCodes.done;
  }
  const file = commandFiles(folders).find((candidate) => candidate.name === name);
  if (file === undefined) {
    complain(
      io,
      unknownCommand(
        name,
        commandFiles(folders).map((candidate) => candidate.name),
      ),
    );
    return exitCodes.misused;
  }
  return runCommand(await load(file), rest, io);
}

interface CommandFile {
  readonly name: string;
  readonly path: string;
}

function commandFiles(folders: readonly CommandFolder[]): readonly CommandFile[] {
  return folders.flatMap(filesIn);
}

function filesIn(folder: CommandFolder): readonly CommandFile[] {
  return readdirSync(folder.path)
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => ({ name: file.slice(0, -".ts".length), path: join(folder.path, file) }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function load(file: CommandFile): Promise<AnyCommand> {
  const module = (await import(pathToFileURL(file.path).href)) as { readonly command?: AnyCommand };
  if (module.command?.name !== file.name)
    throw new Error(`${file.path} exports no command named ${file.name}`);
  return module.command;
}

async function overview(folders: readonly CommandFolder[]): Promise<string> {
  const lines = [
    "Usage: oz COMMAND [ARGUMENTS]",
    "",
    "A broker to run, and the course in which you build it.",
  ];
  for (const folder of folders) {
    const commands = await Promise.all(filesIn(folder).map(load));
    if (commands.length === 0) continue;
    lines.push("", `${folder.heading}:`);
    for (const { name, summary } of commands) lines.push(`  ${name.padEnd(12)} ${summary}`);
  }
  lines.push(
    "",
    "Example:",
    "  oz serve --data ./data",
    "",
    "`oz COMMAND --help` says more about one command.",
    "",
  );
  return lines.join("\n");
}

function unknownCommand(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  const question = near.length > 0 ? `, did you mean ${near.join(" or ")}?` : ";";
  return name.startsWith("-")
    ? `unknown option ${name}; the command comes first, see oz --help`
    : `unknown command ${name}${question} see oz --help`;
}

function versionOf(packageFile: string): string {
  return (JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string }).version;
}
