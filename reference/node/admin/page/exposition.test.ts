import { expect, test } from "vitest";
import { parseExposition } from "../../../observability/exposition-parser.ts";
import { quantile } from "../../../observability/histogram.ts";
import { MetricsLoad } from "../../../testing/metrics-load.ts";
import { bucketsBetween, labelValues, quantileOf, rateOf, readScrape, sumOf } from "./exposition.js";

test("the page reads the same samples as the strict parser", () => {
  const load = new MetricsLoad(3);
  load.metrics.topic('a\\b"c\nd{e="f"} 9').producedBytes.add(5);
  const text = load.registry.expose();
  const parsed = parseExposition(text);
  if (parsed.kind === "invalid") throw new Error(parsed.message);
  const scrape = readScrape(text, 0);
  for (const { name, labels, value } of parsed.families.flatMap(({ samples }) => samples)) {
    expect(scrape.samples.get(name)).toContainEqual({ labels, value });
  }
});

test("rates are differences by time, and a restart is not a negative rate", () => {
  const load = new MetricsLoad(3);
  const before = readScrape(load.registry.expose(), 0);
  load.metrics.topic("orders").producedBytes.add(3000);
  const now = readScrape(load.registry.expose(), 2000);
  expect(rateOf(before, now, "oz_produced_bytes_total")).toBe(1500);
  const restarted = readScrape(new MetricsLoad(3).registry.expose(), 3000);
  expect(rateOf(now, restarted, "oz_produced_bytes_total")).toBe(0);
  expect(rateOf(now, now, "oz_produced_bytes_total")).toBeNaN();
  expect(sumOf(now, "oz_produced_bytes_total", { topic: "none" })).toBe(0);
  expect(labelValues(now, "oz_produced_bytes_total", "topic")).toEqual(["clicks", "orders", "payments"]);
});

test("quantiles are those of the histogram, over what was counted between two scrapes", () => {
  const load = new MetricsLoad(3);
  const before = readScrape(load.registry.expose(), 0);
  const durations = [0.0003, 0.002, 0.002, 0.004, 3, 99];
  for (const seconds of durations) load.metrics.request("Ping").duration.observe(seconds);
  const now = readScrape(load.registry.expose(), 1000);
  const buckets = bucketsBetween(before, now, "oz_request_duration_seconds", { type: "Ping" });
  expect(buckets.reduce((sum, { count }) => sum + count, 0)).toBe(durations.length);
  const only = new MetricsLoad(3).metrics.request("Only");
  for (const seconds of durations) only.duration.observe(seconds);
  for (const q of [0.1, 0.5, 0.75, 0.99]) {
    expect(quantileOf(buckets, q)).toBeCloseTo(quantile([only.duration.snapshot()], q), 9);
  }
  expect(quantileOf([], 0.5)).toBeNaN();
});
