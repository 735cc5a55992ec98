#!/usr/bin/env node
/**
 * `oz`: the one command. Plain JavaScript, because an older Node may start it, which it then leaves for the pinned one.
 *
 * The pinned Node comes with `npm ci` as an optional package for the platform. `npx oz` and npm scripts find it on
 * their own; `node oz.mjs` in a plain shell finds whatever Node the machine has, so this file starts itself again.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const nodeMajorMin = 26;
const root = dirname(fileURLToPath(import.meta.url));

if (Number(process.versions.node.split(".")[0]) >= nodeMajorMin) {
  await runHere();
} else {
  runUnderPinnedNode();
}

async function runHere() {
  if (!existsSync(join(root, "node_modules", "commander"))) return missing("its packages are not installed");
  // The compiler that the course commands use is nine megabytes of JavaScript, which need not be compiled each time.
  const { directory } = module.enableCompileCache();
  const argv = process.argv.slice(2);
  if (argv[0] === "serve" && directory !== undefined) compileServer(directory);
  const { main } = await import("./reference/node/cli/main.ts");
  const io = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env };
  process.stdout.on("error", endUnheard);
  const mine = mineArgument(argv);
  if (mine !== undefined) {
    const { installOverlay } = await import("./exercises/tools/overlay.ts");
    const problem = installOverlay(root, mine, io);
    if (problem !== undefined) return stop(problem);
  }
  const code = await main({
    argv,
    folders: [
      { heading: "Broker", path: join(root, "reference/node/commands") },
      { heading: "Course", path: join(root, "exercises/tools/commands") },
    ],
    packageFile: join(root, "package.json"),
    io,
  });
  // What was written must be out before the process ends; a pipe may still hold it.
  process.stdout.write("", (error) => {
    if (error) endUnheard(process.stdout.errored ?? error);
    process.stderr.write("", () => process.exit(code));
  });
}

/** `oz consume topic | head`: the reader has gone, and nothing is left to do for it. A full disk is something else. */
function endUnheard(error) {
  if (error.code === "EPIPE") process.exit(0);
  stop(`standard output cannot be written: ${error.message}`);
}

/**
 * Fills the compile cache with what a server loads, in a process of its own, when the code is not what it was. Whoever
 * compiles TypeScript keeps Node's compiler in memory, 30 MB of it, for as long as it runs: too much for a server that is
 * told to make do with little. Nothing depends on it; when it fails, the server compiles for itself.
 */
function compileServer(directory) {
  const stampFile = join(directory, "oz-serve");
  try {
    const files = readdirSync(join(root, "reference"), { recursive: true }).filter((name) =>
      name.endsWith(".ts"),
    );
    const newest = files.reduce(
      (most, name) => Math.max(most, statSync(join(root, "reference", name)).mtimeMs),
      0,
    );
    const stamp = `${root} ${files.length} ${newest}`;
    if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
    const urls = ["cli/main.ts", "commands/serve.ts", "config.ts", "server.ts"].map(
      (name) => pathToFileURL(join(root, "reference/node", name)).href,
    );
    const script =
      `import module from "node:module"; module.enableCompileCache(); ` +
      `for (const url of ${JSON.stringify(urls)}) await import(url);`;
    const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: "ignore",
    });
    if (status === 0) writeFileSync(stampFile, stamp);
  } catch {
    // A cache that cannot be written is no reason not to start.
  }
}

/** The value of `--mine` (empty when it has none); undefined when it is not given. */
function mineArgument(argv) {
  const end = argv.indexOf("--");
  const own = end < 0 ? argv : argv.slice(0, end);
  const found = own.find((argument) => argument === "--mine" || argument.startsWith("--mine="));
  return found?.slice("--mine=".length);
}

/** Starts the pinned Node with the same arguments and streams, and ends as it ends. */
function runUnderPinnedNode() {
  const node = pinnedNode();
  if (node === undefined) {
    return missing(`it needs Node ${nodeMajorMin}, and this is Node ${process.versions.node}`);
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  // A Ctrl-C reaches the child through the terminal too: this process only has to outlive it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("error", (error) => stop(`cannot start ${node}: ${error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function pinnedNode() {
  const system = process.platform === "win32" ? "win" : process.platform;
  const prefix = system === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  const binary = system === "win" ? "node.exe" : "node";
  const folder = join(root, "node_modules", `${prefix}-${system}-${process.arch}`);
  return [join(folder, "bin", binary), join(folder, binary)].find((path) => existsSync(path));
}

function missing(reason) {
  stop(`${reason}: run \`npm ci\` in ${root} first`);
}

function stop(message) {
  process.stderr.write(`oz: ${message}\n`);
  process.exit(2);
}
