import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { defineCommand, done, failed, misused, option, positional, type AnyCommand } from "./command.ts";
import { editDistance, nearest } from "./nearest.ts";
import { runCommand } from "./run.ts";

/** Runs `command` with the arguments of a command line; resolves to its exit code and what it wrote. */
async function run(command: AnyCommand, line: string, env: Record<string, string> = {}) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const argv = line.split(" ").filter((text) => text !== "");
  const code = await runCommand(command, argv, { stdin: new PassThrough(), stdout, stderr, env });
  const read = (stream: PassThrough): string => {
    let text = "";
    for (let chunk = stream.read() as Buffer | null; chunk !== null; chunk = stream.read())
      text += chunk.toString();
    return text;
  };
  return { code, out: read(stdout), err: read(stderr) };
}

const greet = defineCommand({
  name: "greet",
  summary: "Say hello.",
  examples: ["oz greet Ada --times 2"],
  hasJson: true,
  positionals: { who: positional.one("NAME", "Whom to greet."), rest: positional.many("MORE", "Who else.") },
  options: {
    times: option.integer("N", "How often.", { default: 1, min: 1, max: 9 }),
    loudNess: option.choice(["low", "high"], "How loud."),
    spawn: option.maybe("ADDRESS", "Where."),
    only: option.text("NAME", "Which.", { short: "t" }),
    quick: option.flag("Hurry."),
  },
  async run({ positionals, options, json, print, printJson }) {
    if (json) printJson({ positionals, options });
    else
      print(`${positionals.who}:${positionals.rest.join("+")}:${options.times}:${String(options.loudNess)}`);
    return done;
  },
});

describe("arguments", () => {
  test("arrive with their types and defaults", async () => {
    const { code, out } = await run(
      greet,
      "Ada Bob Cy --times 3 --loud-ness high --spawn -t x --quick --json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      positionals: { who: "Ada", rest: ["Bob", "Cy"] },
      options: { times: 3, loudNess: "high", spawn: "", only: "x", quick: true },
    });
    expect((await run(greet, "Ada")).out).toBe("Ada::1:undefined\n");
  });

  test("an optional value is taken only behind =, so that it swallows no argument", async () => {
    const { out } = await run(greet, "--spawn Ada --json");
    expect(JSON.parse(out)).toMatchObject({ positionals: { who: "Ada" }, options: { spawn: "" } });
    expect(JSON.parse((await run(greet, "--spawn=here Ada --json")).out)).toMatchObject({
      options: { spawn: "here" },
    });
  });

  test.each([
    ["", "oz: greet: missing required argument 'NAME'"],
    ["Ada --tims 3", "oz: greet: unknown option '--tims' (Did you mean --times?)"],
    ["Ada --times 0", "It must be a whole number from 1 to 9."],
    ["Ada --times 1.5", "It must be a whole number from 1 to 9."],
    ["Ada --times", "option '--times <N>' argument missing"],
    ["Ada --loud-ness mid", "It must be one of low, high."],
    ["Ada --mine", "unknown option '--mine'"],
  ])("that are wrong give one line on stderr and exit code 2: %s", async (line, message) => {
    const { code, out, err } = await run(greet, line);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(message);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  test("behind -- belong to the program that the command starts", async () => {
    const command = defineCommand({
      name: "start",
      summary: "Start.",
      examples: ["oz start -- node"],
      takesRest: true,
      run: async ({ rest, print }) => (print(rest.join(" ")), done),
    });
    expect((await run(command, "-- node --version")).out).toBe("node --version\n");
  });
});

describe("help", () => {
  test("shows the usage, every option and the examples, on stdout with exit code 0", async () => {
    const { code, out, err } = await run(greet, "--help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("Usage: oz greet [options] <NAME> [MORE...]");
    expect(out).toContain("--loud-ness <low|high>");
    expect(out).toContain("--spawn[=ADDRESS]");
    expect(out).toContain("Examples:\n  oz greet Ada --times 2");
  });
});

describe("a group", () => {
  const group = defineCommand({
    name: "topics",
    summary: "Topics.",
    examples: ["oz topics list"],
    subcommands: [
      defineCommand({
        name: "list",
        summary: "List.",
        examples: ["oz topics list"],
        run: async ({ print }) => (print("listed"), done),
      }),
    ],
  });

  test("runs the subcommand that is named", async () => {
    expect(await run(group, "list")).toMatchObject({ code: 0, out: "listed\n" });
  });

  test.each(["", "lst", "list --nope"])("refuses %j with exit code 2 and one line", async (line) => {
    const { code, err } = await run(group, line);
    expect(code).toBe(2);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  test("names the wrong word, whatever stands behind it", async () => {
    const said = async (line: string) => (await run(group, line)).err;
    expect(await said("lst --server x")).toBe(
      "oz: topics: lst is nothing that it does (did you mean list?): list\n",
    );
    expect(await said("frobnicate")).toBe("oz: topics: frobnicate is nothing that it does: list\n");
    expect(await said("--server x list")).toBe("oz: topics: say what to do first: list\n");
  });
});

describe("the end of a command", () => {
  const ending = (end: AnyCommand["run"]): AnyCommand => ({
    name: "end",
    summary: "",
    examples: [""],
    run: end!,
  });

  test("is its exit code, with a line when it has one to say", async () => {
    expect(
      await run(
        ending(async () => failed()),
        "",
      ),
    ).toEqual({ code: 1, out: "", err: "" });
    expect(
      await run(
        ending(async () => failed("no\nluck")),
        "",
      ),
    ).toEqual({ code: 1, out: "", err: "oz: no luck\n" });
    expect(
      await run(
        ending(async () => misused("port taken")),
        "",
      ),
    ).toMatchObject({ code: 2, err: "oz: port taken\n" });
  });

  test("by an exception is a bug: one line, and the stack only for who asks", async () => {
    const throwing = ending(() => Promise.reject(new Error("oops")));
    const { code, err } = await run(throwing, "");
    expect(code).toBe(1);
    expect(err).toMatch(/^oz: internal error: oops \(.*OZ_DEBUG=1.*\)\n$/);
    expect((await run(throwing, "", { OZ_DEBUG: "1" })).err).toContain("run.test.ts");
  });
});

test("colours are left out when the output is no terminal, or NO_COLOR is set", async () => {
  const paint = { name: "p", summary: "", examples: [""] };
  const command = defineCommand({
    ...paint,
    run: async ({ colors, print }) => (print(colors.red("x")), done),
  });
  expect((await run(command, "")).out).toBe("x\n");
  expect((await run(command, "", { FORCE_COLOR: "1" })).out).toContain("\u001b[31m");
  expect((await run(command, "", { FORCE_COLOR: "1", NO_COLOR: "1" })).out).toBe("x\n");
});

test("near names are those that a slip or two turn into each other, and those of which it is a part", () => {
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(nearest("produc", ["consume", "produce", "topics"])).toEqual(["produce"]);
  expect(nearest("frame", ["03-frame-stream", "01-primitives"])).toEqual(["03-frame-stream"]);
  expect(nearest("zzz", ["produce"])).toEqual([]);
});
