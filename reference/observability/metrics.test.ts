import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseExposition } from "./exposition-parser.ts";
import { MetricsRegistry, overflowLabelValue } from "./metrics.ts";

const golden = String.raw`# HELP oz_requests_total Requests, "all" of them.\nBy type \\ outcome.
# TYPE oz_requests_total counter
oz_requests_total{type="Produce",outcome="success"} 3
oz_requests_total{type="a\\b\"c\nd",outcome=""} 1
# HELP oz_memory_bytes Memory.
# TYPE oz_memory_bytes gauge
oz_memory_bytes -0.0000005
# HELP oz_duration_seconds Durations.
# TYPE oz_duration_seconds histogram
oz_duration_seconds_bucket{type="Fetch",le="0.0000001"} 0
oz_duration_seconds_bucket{type="Fetch",le="0.5"} 1
oz_duration_seconds_bucket{type="Fetch",le="+Inf"} 2
oz_duration_seconds_sum{type="Fetch"} 2.25
oz_duration_seconds_count{type="Fetch"} 2
`;

function goldenRegistry(): MetricsRegistry {
  const registry = new MetricsRegistry();
  const help = 'Requests, "all" of them.\nBy type \\ outcome.';
  const requests = registry.counter({ name: "oz_requests_total", help, labels: ["type", "outcome"] });
  registry.gauge({ name: "oz_memory_bytes", help: "Memory." }).with().set(-5e-7);
  const durations = registry.histogram({
    name: "oz_duration_seconds",
    help: "Durations.",
    labels: ["type"],
    bounds: [1e-7, 0.5],
  });
  requests.with({ type: "Produce", outcome: "success" }).add(3);
  durations.with({ type: "Fetch" }).observe(0.25);
  requests.with({ type: 'a\\b"c\nd' }).add();
  durations.with({ type: "Fetch" }).observe(2);
  return registry;
}

/** Any UTF-16 units that are text: quotes, backslashes and newlines among them, often. */
const anyText = fc
  .array(fc.oneof(fc.constantFrom("\\", '"', "\n", ","), fc.string({ minLength: 1, maxLength: 1 })), {
    maxLength: 6,
  })
  .map((parts) => parts.join(""));

describe("exposition", () => {
  test("is the golden text, and the strict parser reads it back", () => {
    const text = goldenRegistry().expose();
    expect(text).toBe(golden);
    const parsed = parseExposition(text);
    if (parsed.kind === "invalid") throw new Error(`${parsed.line}: ${parsed.message}`);
    expect(parsed.families[0]?.samples[1]?.labels).toEqual({ type: 'a\\b"c\nd', outcome: "" });
    expect(parsed.families[0]?.help).toBe('Requests, "all" of them.\nBy type \\ outcome.');
  });

  test("a scrape changes nothing", () => {
    const registry = goldenRegistry();
    expect(registry.expose()).toBe(registry.expose());
  });

  test("collectors set gauges from whoever owns the number", () => {
    const registry = new MetricsRegistry();
    const gauge = registry.gauge({ name: "oz_level", help: "Level." });
    let level = 1;
    registry.collect(() => gauge.with().set(level));
    expect(registry.expose()).toContain("oz_level 1\n");
    level = Number.POSITIVE_INFINITY;
    expect(registry.expose()).toContain("oz_level +Inf\n");
  });

  test("whatever labels and values: the parser reads back what was counted", () => {
    const labels = fc.record({ a: anyText, b: anyText });
    fc.assert(
      fc.property(fc.array(fc.tuple(labels, fc.nat(100))), (observations) => {
        const registry = new MetricsRegistry();
        const family = registry.counter({ name: "oz_any_total", help: "Any.", labels: ["a", "b"] });
        const expected = new Map<string, number>();
        for (const [{ a, b }, amount] of observations) {
          family.with({ b, a }).add(amount);
          expected.set(JSON.stringify([a, b]), (expected.get(JSON.stringify([a, b])) ?? 0) + amount);
        }
        const parsed = parseExposition(registry.expose());
        if (parsed.kind === "invalid") throw new Error(`${parsed.line}: ${parsed.message}`);
        const samples = parsed.families[0]?.samples ?? [];
        const found = samples.map(({ labels, value }) => [JSON.stringify([labels["a"], labels["b"]]), value]);
        expect(new Map(found as [string, number][])).toEqual(expected);
      }),
    );
  });
});

describe("series", () => {
  test("the same labels are the same series, in whatever order, also after a reconnect", () => {
    const family = new MetricsRegistry().counter({ name: "oz_x_total", help: "X.", labels: ["a", "b"] });
    family.with({ a: "1", b: "2" }).add(5);
    family.with({ b: "2", a: "1" }).add(1);
    expect(family.with({ a: "1", b: "2" }).value).toBe(6);
  });

  test("values that look alike when joined are different series", () => {
    const family = new MetricsRegistry().counter({ name: "oz_x_total", help: "X.", labels: ["a", "c"] });
    family.with({ a: "b,c" }).add();
    family.with({ a: "b", c: "c" }).add();
    family.with({ a: "b,c", c: "" }).add();
    family.with({ a: 'b","c' }).add();
    family.with({ a: "b,c", c: "d" }).add();
    family.with({ a: "b", c: "c,d" }).add();
    expect([...family.series()].map(({ series }) => series.value)).toEqual([2, 1, 1, 1, 1]);
  });

  test("a family that is full counts the rest in one series: memory is bounded, the sum is right", () => {
    const registry = new MetricsRegistry();
    const family = registry.counter({ name: "oz_x_total", help: "X.", labels: ["client"], seriesMax: 100 });
    for (let client = 0; client < 100_000; client++) family.with({ client: `c${client}` }).add();
    const series = [...family.series()];
    expect(series.length).toBe(101);
    expect(family.with({ client: overflowLabelValue }).value).toBe(99_900);
    expect(family.overflowCount).toBe(99_900);
  });

  test("a deleted topic's series goes, and its place is free", () => {
    const family = new MetricsRegistry().gauge({
      name: "oz_lag",
      help: "Lag.",
      labels: ["topic"],
      seriesMax: 1,
    });
    family.with({ topic: "a" }).set(1);
    family.remove({ topic: "a" });
    family.with({ topic: "b" }).set(2);
    expect([...family.series()].map(({ values }) => values)).toEqual([["b"]]);
  });

  test("what is wrong in the program is said at once", () => {
    const registry = new MetricsRegistry();
    const family = registry.counter({ name: "oz_x_total", help: "X.", labels: ["a"] });
    expect(() => family.with({ b: "1" })).toThrow(/no label b/);
    expect(() => family.with().add(-1)).toThrow(/cannot go down/);
    expect(() => family.with().add(Number.NaN)).toThrow(/cannot go down/);
    expect(() => registry.counter({ name: "oz_x_total", help: "X." })).toThrow(/already/);
    expect(() => registry.counter({ name: "oz_x", help: "X." })).toThrow(/_total/);
    expect(() => registry.gauge({ name: "oz-x", help: "X." })).toThrow(/not a metric name/);
    expect(() => registry.gauge({ name: "oz_y", help: "Y.", labels: ["__a"] })).toThrow(/not a label name/);
  });
});

describe("the strict parser", () => {
  const type = "# TYPE a counter\n";
  const histogram = "# TYPE h histogram\n";
  const cases: [what: string, text: string, message: RegExp][] = [
    ["no newline at the end", `${type}a 1`, /no newline/],
    ["a family in two places", `${type}a 1\n# TYPE b counter\nb 1\na{x="1"} 2\n`, /not together/],
    ["TYPE twice", `${type}${type}a 1\n`, /twice/],
    ["TYPE after samples", `${type}a 1\n# HELP a Late.\n`, /after its samples/],
    ["a sample without TYPE", "a 1\n", /before its TYPE/],
    ["JavaScript's infinity", `${type}a Infinity\n`, /number/],
    ["an unescaped quote", `${type}a{x="a"b"} 1\n`, /malformed labels/],
    ["an unknown escape", `${type}a{x="a\\t"} 1\n`, /malformed labels/],
    ["a label twice", `${type}a{x="1",x="2"} 1\n`, /appears twice/],
    ["a series twice", `${type}a{x="1",y="2"} 1\na{y="2",x="1"} 1\n`, /appears twice/],
    ["a counter below zero", `${type}a -1\n`, /counter a is -1/],
    ["two blanks", `${type}a  1\n`, /one blank/],
    [
      "buckets that are not cumulative",
      `${histogram}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
      /cumulative/,
    ],
    ["no +Inf bucket", `${histogram}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`, /\+Inf/],
    [
      "+Inf that is not the count",
      `${histogram}h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n`,
      /not the count/,
    ],
  ];
  test.each(cases)("refuses %s", (_, text, message) => {
    expect(parseExposition(text)).toMatchObject({ kind: "invalid", message: expect.stringMatching(message) });
  });
});
