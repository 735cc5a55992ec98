/**
 * `node scripts/maelstrom-times.ts [NAME…]`: how long each standard test takes, and how much memory, as a user sees it:
 * `oz maelstrom test` in a process of its own, from its start to its end.
 *
 * The list is that of the public challenges and of Maelstrom's own demo. Prints a table, and ends with exit code 1 when
 * a test is not valid, takes a second or more, or more than 200 MB.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";

/** Arguments behind `oz maelstrom test`, by the name of the challenge or of the workload. */
const standardTests: Readonly<Record<string, string>> = {
  "1 echo": "-w echo --node-count 1 --time-limit 10",
  "2 unique ids":
    "-w unique-ids --time-limit 30 --rate 1000 --node-count 3 --availability total --nemesis partition",
  "3a broadcast": "-w broadcast --node-count 1 --time-limit 20 --rate 10",
  "3b broadcast": "-w broadcast --node-count 5 --time-limit 20 --rate 10",
  "3c broadcast": "-w broadcast --node-count 5 --time-limit 20 --rate 10 --nemesis partition",
  "3d broadcast": "-w broadcast --node-count 25 --time-limit 20 --rate 100 --latency 100",
  "3d, cut": "-w broadcast --node-count 25 --time-limit 20 --rate 100 --latency 100 --nemesis partition",
  "3e broadcast":
    "-w broadcast --program broadcast-frugal --node-count 25 --time-limit 20 --rate 100 --latency 100",
  "g-set": "-w g-set --node-count 1 --time-limit 10",
  "4 g-counter": "-w g-counter --node-count 3 --rate 100 --time-limit 20 --nemesis partition",
  "pn-counter": "-w pn-counter --node-count 3 --time-limit 10",
  "5a kafka": "-w kafka --node-count 1 --concurrency 2n --time-limit 20 --rate 1000",
  "5b kafka": "-w kafka --node-count 2 --concurrency 2n --time-limit 20 --rate 1000",
  "lin-kv": "-w lin-kv --node-count 1 --concurrency 4n --rate 50 --time-limit 10",
  "lin-kv, cut": "-w lin-kv --node-count 3 --concurrency 4n --rate 30 --time-limit 30 --nemesis partition",
  "6a txn":
    "-w txn-rw-register --node-count 1 --time-limit 20 --rate 1000 --concurrency 2n " +
    "--consistency-models read-uncommitted --availability total",
  "6b txn":
    "-w txn-rw-register --node-count 2 --concurrency 2n --time-limit 20 --rate 1000 " +
    "--consistency-models read-uncommitted --availability total --nemesis partition",
  "6c txn":
    "-w txn-rw-register --node-count 2 --concurrency 2n --time-limit 20 --rate 1000 " +
    "--consistency-models read-committed --availability total --nemesis partition",
  "list-append": "-w txn-list-append --node-count 1 --concurrency 10n --rate 100 --time-limit 10",
};

/** What a test may take. */
const secondsMax = 1;
const megabytesMax = 200;
/** Each test is run so often, and its best time counts: others on the machine only ever make it longer. */
const rounds = 3;

interface Measured {
  readonly isValid: boolean;
  readonly seconds: number;
  readonly megabytes: number;
}

const oz = join(import.meta.dirname, "../oz.mjs");
/** Tells at the end, through a pipe of its own, how much memory the process had at most. */
const tellMemory =
  'process.on("exit", () => process.getBuiltinModule("node:fs").writeSync(3, String(process.resourceUsage().maxRSS)))';

function measure(commandArguments: readonly string[]): Promise<Measured> {
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    ["--import", `data:text/javascript,${tellMemory}`, oz, "maelstrom", "test", ...commandArguments],
    { stdio: ["ignore", "ignore", "inherit", "pipe"] },
  );
  let kilobytes = "";
  child.stdio[3]!.on("data", (chunk: Buffer) => (kilobytes += chunk.toString()));
  return new Promise((resolve) => {
    child.on("close", (code) => {
      const seconds = (performance.now() - startedAt) / 1000;
      resolve({ isValid: code === 0, seconds, megabytes: Number(kilobytes) / 1024 });
    });
  });
}

const chosen = process.argv.slice(2);
let isGood = true;
process.stdout.write("| test | verdict | seconds | MB |\n| --- | --- | --- | --- |\n");
for (const [name, text] of Object.entries(standardTests)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const results: Measured[] = [];
  for (let round = 0; round < rounds; round++) results.push(await measure(text.split(" ")));
  const seconds = Math.min(...results.map((result) => result.seconds));
  const megabytes = Math.max(...results.map((result) => result.megabytes));
  const isValid = results.every((result) => result.isValid);
  isGood &&= isValid && seconds < secondsMax && megabytes <= megabytesMax;
  const row = [name, isValid ? "valid" : "not valid", seconds.toFixed(2), megabytes.toFixed(0)];
  process.stdout.write(`| ${row.join(" | ")} |\n`);
}
process.exit(isGood ? 0 : 1);
