/**
 * A strict reader of the exposition format 0.0.4: it accepts what the format allows and says what is wrong elsewhere.
 *
 * Prometheus itself forgives a lot, which helps nobody who writes an exporter. This one also holds what the format only
 * asks for: the lines of a family together, its help and type once and before its samples, each series once, and
 * histograms whose buckets are cumulative and end in +Inf. Where `promtool` is at hand the tests ask it as well.
 */

/** One line with a number. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric with all its samples. */
export interface ParsedFamily {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram" | "untyped";
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** What was read, or the first thing that is wrong. */
export type ParsedExposition =
  | { readonly kind: "parsed"; readonly families: readonly ParsedFamily[] }
  | { readonly kind: "invalid"; readonly line: number; readonly message: string };

interface OpenFamily {
  readonly name: string;
  type: ParsedFamily["type"] | undefined;
  help: string | undefined;
  readonly samples: Sample[];
}

const nameAtStart = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const numberText = /^(?:NaN|[+-]Inf|[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)$/;

/** Reads a whole scrape. */
export function parseExposition(text: string): ParsedExposition {
  if (text === "") return { kind: "parsed", families: [] };
  const lines = text.split("\n");
  if (lines.pop() !== "")
    return { kind: "invalid", line: lines.length + 1, message: "no newline at the end" };
  const families = new Map<string, OpenFamily>();
  const seriesSeen = new Set<string>();
  let current: OpenFamily | undefined;
  for (const [index, line] of lines.entries()) {
    const invalid = (message: string): ParsedExposition => ({ kind: "invalid", line: index + 1, message });
    if (line === "" || (line.startsWith("#") && !/^# (?:HELP|TYPE) /.test(line))) continue;
    if (line.startsWith("#")) {
      const name = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1] ?? "";
      if (current?.name !== name) {
        if (families.has(name)) return invalid(`lines of ${name} are not together`);
        current = { name, type: undefined, help: undefined, samples: [] };
        families.set(name, current);
      }
      const wrong = readComment(line, current);
      if (wrong !== undefined) return invalid(wrong);
      continue;
    }
    const sample = readSample(line);
    if (typeof sample === "string") return invalid(sample);
    if (current === undefined || !belongsTo(sample.name, current)) {
      if (families.has(sample.name)) return invalid(`lines of ${sample.name} are not together`);
      return invalid(`${sample.name} comes before its TYPE`);
    }
    const series = `${sample.name}${seriesKey(sample.labels)}`;
    if (seriesSeen.has(series)) return invalid(`series ${series} appears twice`);
    seriesSeen.add(series);
    if (current.type === "counter" && !(sample.value >= 0))
      return invalid(`counter ${sample.name} is ${sample.value}`);
    current.samples.push(sample);
  }
  return finish([...families.values()], lines.length);
}

/** Takes in a HELP or TYPE line; says what is wrong with it. */
function readComment(line: string, family: OpenFamily): string | undefined {
  const [, kind = "", name = "", rest = ""] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
  if (nameAtStart.exec(name)?.[0] !== name) return `${name} is not a metric name`;
  if (family.samples.length > 0) return `${kind} of ${name} comes after its samples`;
  if (kind === "HELP") {
    if (family.help !== undefined) return `HELP of ${name} appears twice`;
    if (/\\(?![\\n])/.test(rest.replaceAll("\\\\", ""))) return `unknown escape in the help of ${name}`;
    family.help = unescape(rest);
    return undefined;
  }
  if (family.type !== undefined) return `TYPE of ${name} appears twice`;
  if (!/^(?:counter|gauge|histogram|untyped)$/.test(rest)) return `${rest} is not a type that is used here`;
  family.type = rest as ParsedFamily["type"];
  return undefined;
}

/** A sample line, or what is wrong with it. */
function readSample(line: string): Sample | string {
  const name = nameAtStart.exec(line)?.[0];
  if (name === undefined) return `no metric name at the start of: ${line}`;
  const labels: Record<string, string> = {};
  let rest = line.slice(name.length);
  if (rest.startsWith("{")) {
    rest = rest.slice(1);
    while (!rest.startsWith("}")) {
      const match = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,|(?=\}))/.exec(rest);
      if (match === null) return `malformed labels: ${line}`;
      const [whole, label = "", value = ""] = match;
      if (Object.hasOwn(labels, label)) return `label ${label} appears twice: ${line}`;
      labels[label] = unescape(value);
      rest = rest.slice(whole.length);
    }
    rest = rest.slice(1);
  }
  const text = /^ (\S+)$/.exec(rest)?.[1];
  if (text === undefined || !numberText.test(text))
    return `not one blank and one number after the name: ${line}`;
  return { name, labels, value: Number(text.replace("Inf", "Infinity")) };
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}

/** Labels as one text, whatever their order. */
function seriesKey(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([left], [right]) => (left < right ? -1 : 1)));
}

function belongsTo(sampleName: string, family: OpenFamily): boolean {
  if (family.type !== "histogram") return sampleName === family.name;
  return ["_bucket", "_sum", "_count"].some((suffix) => sampleName === family.name + suffix);
}

/** Checks what can be seen only at the end: types are there, histograms are histograms. */
function finish(families: readonly OpenFamily[], line: number): ParsedExposition {
  const parsed: ParsedFamily[] = [];
  for (const { name, type, help = "", samples } of families) {
    if (type === undefined) return { kind: "invalid", line, message: `${name} has no TYPE` };
    const wrong = type === "histogram" ? wrongHistogram(name, samples) : undefined;
    if (wrong !== undefined) return { kind: "invalid", line, message: wrong };
    parsed.push({ name, type, help, samples });
  }
  return { kind: "parsed", families: parsed };
}

/** What is wrong with the buckets of a histogram, series by series. */
function wrongHistogram(name: string, samples: readonly Sample[]): string | undefined {
  const bySeries = new Map<string, { buckets: [number, number][]; sum?: number; count?: number }>();
  for (const sample of samples) {
    const { le, ...others } = sample.labels;
    const key = seriesKey(others);
    const series = bySeries.get(key) ?? { buckets: [] };
    bySeries.set(key, series);
    if (sample.name === `${name}_sum`) series.sum = sample.value;
    else if (sample.name === `${name}_count`) series.count = sample.value;
    else if (le === undefined) return `bucket of ${name} without le`;
    else series.buckets.push([Number(le.replace("Inf", "Infinity")), sample.value]);
  }
  for (const [key, { buckets, sum, count }] of bySeries) {
    const last = buckets.at(-1);
    if (sum === undefined || count === undefined) return `${name}${key} lacks _sum or _count`;
    if (last?.[0] !== Number.POSITIVE_INFINITY) return `${name}${key} does not end in a bucket le="+Inf"`;
    if (last[1] !== count) return `${name}${key}: bucket +Inf ${last[1]} is not the count ${count}`;
    for (const [index, [bound, cumulative]] of buckets.entries()) {
      const before = buckets[index - 1];
      if (before === undefined) continue;
      if (!(bound > before[0])) return `${name}${key}: bounds do not ascend at ${bound}`;
      if (cumulative < before[1]) return `${name}${key}: buckets are not cumulative at le=${bound}`;
    }
  }
  return undefined;
}
