/**
 * `npm start`: builds the site when something has changed, serves it on this machine, and prints its address.
 *
 * It serves the built pages and not a development server: they are what learners get anywhere else, they work without
 * the network, and they open at once. `--dev` is for those who write chapters: pages then follow every change.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PortError, serveSite } from "./tools/serve.ts";

const root = join(import.meta.dirname, "..");
const portUsual = 4321;
const help = `Usage: npm start -- [--port N] [--dev]

Builds the course when something has changed and serves it on this machine.

  --port N   the port to listen on; the usual one is ${portUsual}, or the next that is free. 0 picks any.
  --host H   the address to listen on (127.0.0.1)
  --dev      a development server that follows every change of chapters, exercises and pages
  --help     this text

Example: npm start -- --port 8080
`;

/** A mistake of whoever started us: one line, exit status 2. */
function refuse(line: string): never {
  process.stderr.write(`${line}\n`);
  process.exit(2);
}

function readOptions(): {
  readonly port: number | undefined;
  readonly host: string;
  readonly isDev: boolean;
} {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string" },
        host: { type: "string", default: "127.0.0.1" },
        dev: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(help);
      process.exit(0);
    }
    const port = values.port === undefined ? undefined : Number(values.port);
    if (
      port !== undefined &&
      !(Number.isInteger(port) && port >= 0 && port <= 65_535 && values.port !== "")
    ) {
      refuse(`--port ${values.port}: a port is a whole number from 0 to 65535`);
    }
    return { port, host: values.host, isDev: values.dev };
  } catch (error) {
    return refuse(
      `${(error as Error).message.split(". To specify")[0]}; npm start -- --help lists the options`,
    );
  }
}

/** Runs Astro; its output is shown only when it fails, because a learner has no use for it. */
function astro(args: readonly string[], isShown: boolean): Promise<number> {
  const child = spawn(process.execPath, [join(root, "node_modules", "astro", "bin", "astro.mjs"), ...args], {
    cwd: root,
    stdio: isShown ? "inherit" : ["ignore", "pipe", "pipe"],
    env: { ...process.env, ASTRO_TELEMETRY_DISABLED: "1" },
  });
  let output = "";
  child.stdout?.on("data", (text: Buffer) => (output += text.toString()));
  child.stderr?.on("data", (text: Buffer) => (output += text.toString()));
  const stop = (): void => void child.kill();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  return new Promise((resolve) => {
    child.on("exit", (code) => {
      process.off("SIGINT", stop).off("SIGTERM", stop);
      if (code !== 0 && !isShown) process.stderr.write(output);
      resolve(code ?? 1);
    });
  });
}

/** Names, sizes and times of everything that the pages are made from: cheap to read, and different after any change. */
function fingerprint(): string {
  const hash = createHash("sha256");
  for (const folder of ["chapters", "exercises", "reference", "site", "scripts"]) {
    const path = join(root, folder);
    if (!existsSync(path)) continue;
    for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      if (!entry.isFile() || /[\\/](dist|\.astro|public[\\/](runner|editor))[\\/]/.test(file)) continue;
      const { mtimeMs, size } = statSync(file);
      hash.update(`${file}:${mtimeMs}:${size}\n`);
    }
  }
  return hash.update(readFileSync(join(root, "package-lock.json"))).digest("hex");
}

async function buildIfChanged(): Promise<void> {
  const stamp = join(root, "site", "dist", ".fingerprint");
  const current = fingerprint();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === current) return;
  process.stderr.write("Building the pages …\n");
  const code = await astro(["build", "--root", "site"], false);
  if (code !== 0) process.exit(1);
  writeFileSync(stamp, current);
}

const { port, host, isDev } = readOptions();
if (isDev) {
  process.exitCode = await astro(
    ["dev", "--root", "site", "--host", host, "--port", String(port ?? portUsual)],
    true,
  );
} else {
  await buildIfChanged();
  try {
    const server = await serveSite(join(root, "site", "dist"), { host, port, portUsual });
    process.stdout.write(`Offset Zero is at ${server.url}\n`);
    process.stderr.write("Stop it with Ctrl-C. Your code and progress stay in your browser.\n");
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => void server.close().then(() => process.exit(0)));
    }
  } catch (error) {
    if (error instanceof PortError) refuse(error.message);
    throw error;
  }
}
