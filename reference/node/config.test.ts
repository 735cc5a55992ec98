import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { formatSetting, loadConfig } from "./config.ts";
import { flagOf, settingNames, settings, variableOf } from "./settings.ts";

const folder = mkdtempSync(join(tmpdir(), "oz-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function load(content: string, env: Record<string, string> = {}, flags: Record<string, string> = {}) {
  const file = join(folder, "oz.yaml");
  writeFileSync(file, content);
  const loaded = loadConfig({ file, env, flags });
  return loaded.kind === "config" ? loaded : { ...loaded, message: loaded.message.replace(file, "oz.yaml") };
}

describe("the configuration", () => {
  test("takes flags before the environment before the file before the default", () => {
    const content = "port: 1\nhost: file\nmemory: 64MiB\n";
    const config = load(content, { OZ_PORT: "2", OZ_HOST: "env" }, { port: "3" });
    expect(config).toMatchObject({
      values: { port: 3, host: "env", memory: 64 * 2 ** 20, fsync: "always" },
      sources: { port: "--port", host: "OZ_HOST", fsync: "default" },
    });
    expect(config.kind === "config" && config.sources.memory).toMatch(/oz\.yaml:3$/);
  });

  test("may be JSON, and may be empty", () => {
    expect(load('{"port": 9}')).toMatchObject({ values: { port: 9 } });
    expect(load("# nothing yet\n")).toMatchObject({ values: { port: 7420 } });
  });

  test("holds secrets that are never shown", () => {
    const config = load("tokens:\n  shop: s3cret\n");
    if (config.kind === "problem") throw new Error(config.message);
    expect(config.values.tokens.get("shop")).toBe("s3cret");
    expect(formatSetting("tokens", config.values.tokens)).toBe("shop=…");
    expect(load("tokens: s3cret\n")).toEqual({
      kind: "problem",
      message: "oz.yaml:1: tokens must be pairs NAME=SECRET, separated by commas",
    });
  });

  test.each([
    ["prot: 1\n", 'oz.yaml:1: unknown key "prot"; did you mean port?'],
    ["host: a\nport: many\n", 'oz.yaml:2: port "many" must be a whole number from 0 to 65535'],
    ["fsync: sometimes\n", 'oz.yaml:1: fsync "sometimes" must be one of always, everysec, never'],
    [
      "idleTimeout: 5\n",
      /^oz\.yaml:1: idleTimeout "5" must be a number with a unit \(ms, s, m, h, d\) such as 2m/,
    ],
    ["memory: 1KiB\n", /^oz\.yaml:1: memory "1KiB" must be .* from 16MiB to/],
    ["port: 1\nport: 2\n", /^oz\.yaml:2: Map keys must be unique/],
    ["- port\n", 'oz.yaml:1: must be a list of lines "key: value"'],
    ["port: [1]\n", "oz.yaml:1: port must be a whole number from 0 to 65535"],
    ["a: [\nb", /^oz\.yaml:\d+: /],
  ])("that is wrong names file, line, key and what is allowed: %j", (content, message) => {
    const loaded = load(content);
    const problem = loaded.kind === "problem" ? loaded.message : "";
    expect(problem).toMatch(message);
    expect(problem).not.toContain("\n");
  });

  test("from a file that is not there says so", () => {
    expect(loadConfig({ file: join(folder, "no.yaml"), env: {}, flags: {} })).toMatchObject({
      message: expect.stringMatching(/no\.yaml: cannot be read \(ENOENT\)$/),
    });
  });
});

describe("a setting", () => {
  test.each(settingNames)("%s reads back what it shows, and has a flag and a variable of its own", (name) => {
    const { kind, default: initial } = settings[name];
    if ("isSecret" in settings[name]) return;
    const text = formatSetting(name, initial);
    expect(kind.parse(text)).toEqual({ value: initial });
    expect(flagOf(name)).toMatch(/^--[a-z-]+$/);
    expect(variableOf(name)).toMatch(/^OZ_[A-Z_]+$/);
  });

  test("of a size or time keeps its unit", () => {
    expect(settings.memory.kind.parse("1.5GiB")).toEqual({ value: 1.5 * 2 ** 30 });
    expect(settings.retentionTime.kind.parse("90m")).toEqual({ value: 5_400_000 });
    expect(formatSetting("retentionTime", 5_400_000)).toBe("90m");
  });
});
