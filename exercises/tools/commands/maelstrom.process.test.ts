/** `oz maelstrom` as its users start it: our nodes as processes, and programs that do everything wrong. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseTrace } from "#reference/simulator/trace.ts";

const root = join(import.meta.dirname, "../../..");
const oz = join(root, "oz.mjs");

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command and waits for its end. */
function run(...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [oz, "maelstrom", ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

const folders = mkdtempSync(join(tmpdir(), "oz-maelstrom-"));
afterAll(() => rmSync(folders, { recursive: true, force: true }));

/** A new folder that goes with these tests. */
function temporaryFolder(): string {
  return mkdtempSync(join(folders, "test-"));
}

/** A node that is a little program of its own. */
function programOf(text: string): readonly string[] {
  const file = join(temporaryFolder(), "node.mjs");
  writeFileSync(file, text);
  return ["--bin", process.execPath, "--", file];
}

const reader = `
import readline from "node:readline";
const say = ({ src, dest, body: { msg_id } }, body) =>
  console.log(JSON.stringify({ src: dest, dest: src, body: { in_reply_to: msg_id, ...body } }));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
`;
const echoOnce = ["test", "-w", "echo", "--node-count", "1", "--rate", "20", "--time-limit", "1"];

describe("in virtual time", () => {
  test("a valid test ends with 0, and says what it cost and how to run it again", async () => {
    const { code, stdout } = await run(
      "test",
      "-w",
      "broadcast",
      "--rate",
      "50",
      "--time-limit",
      "5",
      "--seed",
      "3",
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^valid {2}seed 3\n/);
    expect(stdout).toMatch(/again: npx oz maelstrom test -w broadcast .*--seed 3\n$/);
  });

  test("--json prints one document, in Maelstrom's words", async () => {
    const { code, stdout } = await run("test", "-w", "kafka", "--rate", "50", "--time-limit", "5", "--json");
    expect(code).toBe(0);
    const result = JSON.parse(stdout) as Record<string, unknown>;
    expect(result).toMatchObject({
      "valid?": true,
      stats: { "by-f": { send: { count: expect.any(Number) as number } } },
      net: { servers: { "msgs-per-op": expect.any(Number) as number } },
    });
  });

  test("a wrong node ends with 1, and says what is wrong: echo is no answer to a broadcast", async () => {
    const { code, stdout } = await run("test", "-w", "broadcast", "--program", "echo", "--time-limit", "5");
    expect(code).toBe(1);
    expect(stdout).toMatch(/none of \d+ operations of kind broadcast succeeded/);
  });

  test("--seeds stops at the first seed that is not valid", async () => {
    const args = ["test", "-w", "echo", "--program", "broadcast", "--time-limit", "3", "--seeds", "5..9"];
    const { code, stdout, stderr } = await run(...args);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^invalid {2}seed 5\n/);
    expect(stderr).toBe("");
  });

  test("--out writes results, history, trace and logs", async () => {
    const out = join(temporaryFolder(), "out");
    const { code } = await run(
      "test",
      "-w",
      "lin-kv",
      "--node-count",
      "3",
      "--rate",
      "20",
      "--time-limit",
      "3",
      "--out",
      out,
    );
    expect(code).toBe(0);
    expect(readdirSync(out)).toEqual(
      expect.arrayContaining([
        "history.ndjson",
        "latency.svg",
        "messages.html",
        "messages.svg",
        "rate.svg",
        "results.json",
        "trace.ndjson",
      ]),
    );
    const trace = parseTrace(readFileSync(join(out, "trace.ndjson"), "utf8"));
    expect(trace).toMatchObject({ kind: "trace" });
    const history = readFileSync(join(out, "history.ndjson"), "utf8").trim().split("\n");
    const types = history.map((line) => (JSON.parse(line) as { readonly type: string }).type);
    expect(types.filter((type) => type === "invoke")).toHaveLength(history.length / 2);
  });

  test.for([
    [["test"], /--workload/],
    [["test", "-w", "nope"], /--workload/],
    [["test", "-w", "echo", "--nemesis", "flood"], /no fault called flood; there are partition/],
    [["test", "-w", "echo", "--seeds", "9..1"], /must be like 1..100/],
    [["test", "-w", "echo", "--seed", "1", "--seeds", "1..2"], /not both/],
    [["test", "-w", "echo", "--concurrency", "0n"], /must be a number from 1/],
    [["test", "-w", "echo", "--availability", "2"], /total or a number from 0 to 1/],
    [["test", "-w", "lin-kv", "--concurrency", "1n"], /two clients for each node/],
    [["test", "-w", "echo", "--latency-dist", "exponential"], /a mean above 0/],
    [["test", "-w", "echo", "--", "x"], /belong to --bin/],
    [["node", "nope"], /no node for nope; there are echo/],
  ] as const)("%s is a wrong usage: one line, exit code 2", async ([args, message]) => {
    const { code, stdout, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr.trimEnd().split("\n")[0]).toMatch(message);
  });
});

describe("programs in real time", () => {
  test("our own nodes pass as processes, over their standard input and output", async () => {
    const bin = ["--bin", process.execPath, "--", oz, "maelstrom", "node", "broadcast"];
    const args = [
      "test",
      "-w",
      "broadcast",
      "--node-count",
      "2",
      "--rate",
      "20",
      "--time-limit",
      "1",
      ...bin,
    ];
    const { code, stdout } = await run(...args);
    expect(stdout).toMatch(/^valid/);
    expect(code).toBe(0);
  });

  test("our nodes may be killed as processes, each node with a journal of its name in one folder", async () => {
    const data = temporaryFolder();
    const node = [oz, "maelstrom", "node", "unique-ids", "--data", data];
    const scenario = ["--node-count", "2", "--rate", "50", "--time-limit", "2"];
    const faults = ["--nemesis", "kill", "--nemesis-interval", "1", "--seed", "1"];
    const args = [
      "test",
      "-w",
      "unique-ids",
      ...scenario,
      ...faults,
      "--bin",
      process.execPath,
      "--",
      ...node,
    ];
    const { code, stdout } = await run(...args);
    expect(stdout).toMatch(/^valid/);
    expect(code).toBe(0);
    expect(readdirSync(data)).toEqual(["n0.journal", "n1.journal"]);
  });

  test.for<readonly [string, readonly string[], RegExp]>([
    ["one that cannot be started", ["--bin", "/no/such/program"], /cannot be started: .*ENOENT/],
    [
      "one that ends at once",
      programOf("console.error('no config'); process.exit(3)"),
      /ended with code 3 .*\n.*no config/,
    ],
    [
      "one that says something else than JSON",
      programOf("console.log('hi'); process.exit(1)"),
      /not JSON: hi/,
    ],
    [
      "one that ends in the middle",
      programOf(
        `${reader} if (message.body.type === "init") say(message, { type: "init_ok" }); else process.exit(7); }`,
      ),
      /ended with code 7 in the middle of the test/,
    ],
    [
      "one that answers with the wrong fields",
      programOf(`${reader} say(message, { type: message.body.type + "_ok" }); }`),
      /echo_ok: echo is missing or of the wrong type/,
    ],
  ])("%s gets a verdict and a reason", async ([, bin, message]) => {
    const { code, stdout } = await run(...echoOnce, ...bin);
    expect(stdout).toMatch(/^invalid/);
    expect(stdout).toMatch(message);
    expect(code).toBe(1);
  });

  test("noise, a line of ten megabytes and messages to nobody are told, and hold nothing up", async () => {
    const noisy = `console.log("ready"); ${reader}
      if (message.body.type === "echo") {
        console.log("x".repeat(10_000_000));
        console.log(JSON.stringify({ src: "n0", dest: "n99", body: { type: "x" } }));
      }
      say(message, { type: message.body.type + "_ok", ...(message.body.echo ? { echo: message.body.echo } : {}) }); }`;
    const { code, stdout } = await run(...echoOnce, ...programOf(noisy));
    expect(stdout).toMatch(/^invalid/);
    expect(stdout).toMatch(/not JSON: ready/);
    expect(stdout).toMatch(/a line of more than \d+ characters/);
    expect(stdout).toMatch(/sent x to n99, and there is no such node/);
    expect(stdout).toMatch(/(\d+) operations: \1 ok/);
    expect(code).toBe(1);
  });
});

describe("a node on standard input and output", () => {
  const init = '{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}';

  test("answers with JSON and nothing else, and logs what it cannot read to standard error", () => {
    const input = `${init}\nnot json\n{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":2,"echo":"é"}}\n`;
    const { stdout, stderr, status } = spawnSync(process.execPath, [oz, "maelstrom", "node", "echo"], {
      input,
      encoding: "utf8",
    });
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { body: unknown }).body),
    ).toEqual([
      { type: "init_ok", in_reply_to: 1 },
      { type: "echo_ok", echo: "é", in_reply_to: 2 },
    ]);
    const [firstLine] = stderr.split("\n");
    expect(JSON.parse(firstLine!)).toMatchObject({
      level: "warn",
      msg: "malformed line",
      reason: "not JSON: not json",
    });
    expect(status).toBe(0);
  });

  test("with --data refuses to start on a journal that is damaged in the middle, and says where", () => {
    const data = temporaryFolder();
    writeFileSync(join(data, "n1.journal"), "00000000 {}\n00000000 {}\n");
    const args = [oz, "maelstrom", "node", "kafka", "--data", data];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      input: `${init}\n`,
      encoding: "utf8",
    });
    expect(status).toBe(1);
    expect(stdout).not.toContain("init_ok");
    expect(stderr).toMatch(/n1\.journal: line 1 is damaged, and others follow/);
  });
});
