/**
 * Metrics: numbers that anyone may look at, at any time, without changing or slowing what they count.
 *
 * A *family* is a metric's name, help and type; each set of label values makes one *series* of it. Whoever counts asks
 * for the series once, with `with`, and keeps the handle: counting is then one addition, a few nanoseconds. Prometheus
 * comes by every few seconds and reads the text that `expose` writes (format 0.0.4):
 *
 *     # HELP oz_requests_total Requests answered, by type and outcome.      once for each family, \ and newline escaped
 *     # TYPE oz_requests_total counter
 *     oz_requests_total{type="Produce",outcome="success"} 1027              one line for each series, all together
 *
 * Every series lives as long as the process and is sent with every scrape. A label with an unbounded set of values (an
 * offset, a client's id, a user) is therefore a memory leak with a price tag, and a client that can choose a label's
 * value can fill the monitoring's disk. So each family has a limit; what comes after it shares one series, `overflow`.
 */
import { assert } from "../base/assert.ts";
import { formatNumber, Histogram } from "./histogram.ts";

/** The Content-Type of what `expose` returns. */
export const expositionContentType = "text/plain; version=0.0.4; charset=utf-8";

/** The value of every label of the series that is used when a family is full. */
export const overflowLabelValue = "overflow";

/** How many series a family has at most, unless it says otherwise. */
export const seriesMaxDefault = 1000;

/** A number that only grows. */
export class Counter {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  /** Counts. A counter that goes down looks like a restart, and rates computed from it are wrong: refused. */
  add(amount = 1): void {
    assert(amount >= 0, () => `a counter cannot go down by ${amount}`);
    this.#value += amount;
  }
}

/** A number that goes up and down: a level, not an event. */
export class Gauge {
  value = 0;

  set(value: number): void {
    this.value = value;
  }

  add(amount: number): void {
    this.value += amount;
  }
}

/** What a series is, by the type of its family. */
type Instrument = Counter | Gauge | Histogram;

/** What a metric is called and what it means. */
export interface MetricOptions {
  /** `oz_` something, with its unit; `_total` at the end of a counter. */
  readonly name: string;
  /** A sentence for whoever finds it on a dashboard. */
  readonly help: string;
  /** The names of its labels, in the order in which they are printed. */
  readonly labels?: readonly string[];
  readonly seriesMax?: number;
}

/** One metric: all its series. */
export class Family<Series extends Instrument> {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labelNames: readonly string[];
  readonly #make: () => Series;
  readonly #seriesMax: number;
  readonly #series = new Map<string, { readonly values: readonly string[]; readonly series: Series }>();
  /** Times that a new series was asked for when the family was full. */
  overflowCount = 0;

  constructor(type: "counter" | "gauge" | "histogram", options: MetricOptions, make: () => Series) {
    const { name, labels = [] } = options;
    assert(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name), `${name} is not a metric name`);
    assert(
      (type === "counter") === name.endsWith("_total"),
      `${name}: _total marks a counter, and only a counter`,
    );
    for (const label of labels) {
      assert(
        /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) && !label.startsWith("__"),
        `${label} is not a label name`,
      );
      assert(label !== "le" || type !== "histogram", "a histogram's le is its own");
    }
    this.name = name;
    this.help = options.help;
    this.type = type;
    this.labelNames = labels;
    this.#make = make;
    this.#seriesMax = options.seriesMax ?? seriesMaxDefault;
  }

  // #region with
  /** The series with these label values: the same one for the same values, however they are written. Keep it. */
  with(labels: Readonly<Record<string, string>> = {}): Series {
    // 1. A label that the family does not have is a typing error, not a new dimension.
    for (const name of Object.keys(labels))
      assert(this.labelNames.includes(name), `${this.name} has no label ${name}`);
    // 2. The values in the family's order; one that is missing is empty, which is how Prometheus sees it too.
    const values = this.labelNames.map((name) => labels[name] ?? "");
    const found = this.#series.get(keyOf(values));
    if (found !== undefined) return found.series;
    // 3. A full family has one more series for everything that is new: the sum stays right, the memory bounded.
    if (this.#series.size < this.#seriesMax || this.labelNames.length === 0) return this.#add(values);
    this.overflowCount++;
    const overflow = this.labelNames.map(() => overflowLabelValue);
    return this.#series.get(keyOf(overflow))?.series ?? this.#add(overflow);
  }

  #add(values: readonly string[]): Series {
    const series = this.#make();
    this.#series.set(keyOf(values), { values, series });
    return series;
  }
  // #endregion with

  /** Forgets the series of something that exists no more, such as a deleted topic. */
  remove(labels: Readonly<Record<string, string>>): void {
    this.#series.delete(keyOf(this.labelNames.map((name) => labels[name] ?? "")));
  }

  /** All series with their label values, in the order in which they were made. */
  series(): Iterable<{ readonly values: readonly string[]; readonly series: Series }> {
    return this.#series.values();
  }
}

/** All metrics of a process. */
export class MetricsRegistry {
  readonly #families = new Map<string, Family<Instrument>>();
  readonly #collectors: (() => void)[] = [];

  counter(options: MetricOptions): Family<Counter> {
    return this.#register(new Family("counter", options, () => new Counter()));
  }

  gauge(options: MetricOptions): Family<Gauge> {
    return this.#register(new Family("gauge", options, () => new Gauge()));
  }

  histogram(options: MetricOptions & { readonly bounds: readonly number[] }): Family<Histogram> {
    return this.#register(new Family("histogram", options, () => new Histogram(options.bounds)));
  }

  /** `callback` runs at the start of each scrape: it sets gauges from whoever owns the number. It counts nothing. */
  collect(callback: () => void): void {
    this.#collectors.push(callback);
  }

  /** All families, in the order in which they were registered. */
  families(): Iterable<Family<Instrument>> {
    return this.#families.values();
  }

  // #region expose
  /** All metrics as text. One synchronous step, so that no number changes between two lines; and nothing is counted. */
  expose(): string {
    for (const collector of this.#collectors) collector();
    const lines: string[] = [];
    for (const family of this.#families.values()) {
      // 1. Each family once: its help, its type, then all of its series, with no other family's line between them.
      lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.type}`);
      for (const { values, series } of family.series()) {
        // 2. A histogram is several lines: its buckets with +Inf at the end, the sum, the count.
        if (series instanceof Histogram) lines.push(...histogramLines(family, values, series));
        else
          lines.push(`${family.name}${labelText(family.labelNames, values)} ${formatNumber(series.value)}`);
      }
    }
    // 3. The format wants a newline at the end of the last line too.
    return lines.map((line) => `${line}\n`).join("");
  }
  // #endregion expose

  #register<Series extends Instrument>(family: Family<Series>): Family<Series> {
    assert(!this.#families.has(family.name), `metric ${family.name} is registered already`);
    this.#families.set(family.name, family);
    return family;
  }
}

/** The lines of one series of a histogram. */
function histogramLines(family: Family<Instrument>, values: readonly string[], series: Histogram): string[] {
  const { bounds, cumulativeCounts, count, sum } = series.snapshot();
  const names = [...family.labelNames, "le"];
  const buckets = cumulativeCounts.map((cumulative, index) => {
    const bound = formatNumber(bounds[index] ?? Number.POSITIVE_INFINITY);
    return `${family.name}_bucket${labelText(names, [...values, bound])} ${formatNumber(cumulative)}`;
  });
  const labels = labelText(family.labelNames, values);
  return [
    ...buckets,
    `${family.name}_sum${labels} ${formatNumber(sum)}`,
    `${family.name}_count${labels} ${formatNumber(count)}`,
  ];
}

// #region escape
/** Label values as one text that no other values have: joined by a comma, two different lists can look the same. */
function keyOf(values: readonly string[]): string {
  // 1. JSON quotes what it separates.
  return JSON.stringify(values);
}

/** `{name="value",…}`, or nothing without labels. */
function labelText(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return "";
  return `{${names.map((name, index) => `${name}="${escapeLabel(values[index] ?? "")}"`).join(",")}}`;
}

/** A label value may hold anything, so backslash, quote and newline are escaped; the backslash first. */
function escapeLabel(value: string): string {
  // 1. Escape the escape character first, or it is escaped twice.
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** A help text ends at the end of its line; quotes are allowed in it. */
function escapeHelp(help: string): string {
  // 1. Only what would end the line, and the escape character.
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
// #endregion escape
