import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { logSinkTo } from "../reference/node/wide-event-sink.ts";
import { parseAlloy, type AlloyBlock, type AlloyValue } from "./alloy-syntax.ts";

const config = readFileSync(join(import.meta.dirname, "../observability/alloy/config.alloy"), "utf8");

/** The components that ours uses: what each must be given, and what others may refer to. From Alloy's reference. */
const components: Record<string, { readonly needs: readonly string[]; readonly exports: readonly string[] }> =
  {
    "local.file_match": { needs: ["path_targets"], exports: ["targets"] },
    "loki.source.file": { needs: ["targets", "forward_to"], exports: [] },
    "loki.process": { needs: ["forward_to"], exports: ["receiver"] },
    "loki.write": { needs: [], exports: ["receiver"] },
  };

function referencesIn(value: AlloyValue): string[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return (value as readonly AlloyValue[]).flatMap(referencesIn);
  if ("reference" in value) return [value.reference];
  return "entries" in value ? Object.values(value.entries).flatMap(referencesIn) : [];
}

function blockOf(name: string, blocks: readonly AlloyBlock[]): AlloyBlock {
  const found = blocks.find((block) => block.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

describe("the reader", () => {
  test("reads attributes, blocks, labels, lists, objects, references and comments", () => {
    const text = 'a.b "c" {\n  x = [1, d.e.f, {"k" = "v"}] // why\n  inner { }\n}\ny = true\n';
    const list = [1, { reference: "d.e.f" }, { entries: { k: "v" } }];
    const inner = { name: "inner", label: undefined, body: { attributes: {}, blocks: [] } };
    expect(parseAlloy(text)).toEqual({
      attributes: { y: true },
      blocks: [{ name: "a.b", label: "c", body: { attributes: { x: list }, blocks: [inner] } }],
    });
  });

  test.each([
    ["a {", "line 1: expected a name, found the end"],
    ["a = \n", 'line 1: expected a value, found "\\n"'],
    ["a = [1 2]", 'line 1: expected "," or "]", found "2"'],
    ["a = 1 b = 2", 'line 1: expected the end of the line, found "b"'],
    ["a = 1\na = 2", 'line 2: expected a only once, found "="'],
    ["\na: 1", 'line 2: ":" belongs to nothing'],
    ['a "b" = 1', 'line 1: expected "{", found "="'],
  ])("refuses %j", (text, message) => {
    expect(() => parseAlloy(text)).toThrow(message);
  });
});

describe("our configuration", () => {
  const { blocks, attributes } = parseAlloy(config);

  test("is made of known components with all that they need, each with a name of its own", () => {
    expect(attributes).toEqual({});
    for (const { name, label, body } of blocks) {
      expect(Object.keys(components)).toContain(name);
      expect(label).toMatch(/^[a-z_]+$/);
      for (const need of components[name]!.needs) expect(Object.keys(body.attributes)).toContain(need);
    }
    const names = blocks.map(({ name, label }) => `${name}.${label}`);
    expect(new Set(names).size).toBe(names.length);
  });

  test("every reference leads to something that its component exports", () => {
    const exported = blocks.flatMap(({ name, label }) =>
      components[name]!.exports.map((each) => `${name}.${label}.${each}`),
    );
    const references = blocks.flatMap(({ body }) => Object.values(body.attributes).flatMap(referencesIn));
    expect(references.length).toBeGreaterThan(0);
    for (const reference of references) expect(exported).toContain(reference);
  });

  test("takes from each line what a line of ours has, and makes labels only of what it took", () => {
    const lines: string[] = [];
    const event = { requestType: "Fetch", requestId: 1, connectionId: 1, outcome: "success" as const };
    const rest = { timeMs: 0, level: "info" as const, queueMs: 0, durationMs: 1, sampleRate: 1 };
    logSinkTo({ write: (line) => void lines.push(line) }).write({ ...event, ...rest });
    const keys = Object.keys(JSON.parse(lines[0]!) as object);
    const stages = blockOf("loki.process", blocks).body.blocks;
    const expressions = blockOf("stage.json", stages).body.attributes["expressions"];
    const values = blockOf("stage.labels", stages).body.attributes["values"];
    const entriesOf = (value: AlloyValue | undefined): [string, AlloyValue][] =>
      typeof value === "object" && value !== null && "entries" in value ? Object.entries(value.entries) : [];
    const taken = entriesOf(expressions);
    expect(taken.length).toBeGreaterThan(3);
    for (const [, path] of taken) expect(keys).toContain(path);
    for (const [label, from] of entriesOf(values)) {
      expect(taken.map(([name]) => name)).toContain(from === "" ? label : from);
    }
    const { source, format } = blockOf("stage.timestamp", stages).body.attributes;
    expect(taken.map(([name]) => name)).toContain(source);
    expect([format, (JSON.parse(lines[0]!) as { time: string }).time]).toEqual([
      "RFC3339",
      "1970-01-01T00:00:00.000Z",
    ]);
  });
});
