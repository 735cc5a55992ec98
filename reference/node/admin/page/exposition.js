// @ts-check
/**
 * The page's view of /metrics: samples by name, and what happened between two scrapes. Served as it is, so this is
 * JavaScript with types in comments.
 */

/** @typedef {{ labels: Record<string, string>, value: number }} Sample */
/** @typedef {{ atMs: number, samples: Map<string, Sample[]> }} Scrape */

/**
 * Reads the text of a scrape. It comes from this broker, so it is known to be well-formed.
 * @param {string} text
 * @param {number} atMs
 * @returns {Scrape}
 */
export function readScrape(text, atMs) {
  /** @type {Map<string, Sample[]>} */
  const samples = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const nameEnd = line.search(/[{ ]/);
    const name = line.slice(0, nameEnd);
    /** @type {Record<string, string>} */
    const labels = {};
    for (const [, label = "", value = ""] of line.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
      labels[label] = value.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    }
    const value = Number(line.slice(line.lastIndexOf(" ") + 1).replace("Inf", "Infinity"));
    const list = samples.get(name) ?? [];
    list.push({ labels, value });
    samples.set(name, list);
  }
  return { atMs, samples };
}

/**
 * The sum of a metric's samples that have these labels.
 * @param {Scrape} scrape
 * @param {string} name
 * @param {Record<string, string>} [labels]
 */
export function sumOf(scrape, name, labels = {}) {
  let sum = 0;
  for (const sample of scrape.samples.get(name) ?? []) {
    if (Object.entries(labels).every(([label, value]) => sample.labels[label] === value)) sum += sample.value;
  }
  return sum;
}

/**
 * How much a counter grew each second between two scrapes: 0 after a restart, when it begins again, and NaN when no time
 * has passed.
 * @param {Scrape} before
 * @param {Scrape} now
 * @param {string} name
 * @param {Record<string, string>} [labels]
 */
export function rateOf(before, now, name, labels = {}) {
  const seconds = (now.atMs - before.atMs) / 1000;
  if (seconds <= 0) return Number.NaN;
  return Math.max(0, sumOf(now, name, labels) - sumOf(before, name, labels)) / seconds;
}

/**
 * What fell into each bucket of a histogram between two scrapes, ascending; the last bound is infinite.
 * @param {Scrape} before
 * @param {Scrape} now
 * @param {string} name
 * @param {Record<string, string>} [labels]
 * @returns {{ le: number, count: number }[]}
 */
export function bucketsBetween(before, now, name, labels = {}) {
  /** @type {Map<string, number>} */
  const cumulative = new Map();
  for (const { labels: own } of now.samples.get(`${name}_bucket`) ?? []) cumulative.set(own["le"] ?? "", 0);
  for (const le of cumulative.keys()) {
    const key = { ...labels, le };
    cumulative.set(le, Math.max(0, sumOf(now, `${name}_bucket`, key) - sumOf(before, `${name}_bucket`, key)));
  }
  const ordered = [...cumulative].map(([le, count]) => ({
    le: Number(le.replace("Inf", "Infinity")),
    count,
  }));
  ordered.sort((left, right) => left.le - right.le);
  return ordered.map(({ le, count }, index) => ({ le, count: count - (ordered[index - 1]?.count ?? 0) }));
}

/**
 * The value that a share `q` of the counted values does not exceed, as Prometheus computes it; NaN without values.
 * @param {readonly { le: number, count: number }[]} buckets
 * @param {number} q
 */
export function quantileOf(buckets, q) {
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return Number.NaN;
  let seen = 0;
  let lower = 0;
  for (const { le, count } of buckets) {
    if (seen + count >= q * total && count > 0) {
      return Number.isFinite(le) ? lower + (le - lower) * ((q * total - seen) / count) : lower;
    }
    seen += count;
    if (Number.isFinite(le)) lower = le;
  }
  return lower;
}

/**
 * The values of a label, sorted.
 * @param {Scrape} scrape
 * @param {string} name
 * @param {string} label
 */
export function labelValues(scrape, name, label) {
  const values = new Set((scrape.samples.get(name) ?? []).map(({ labels }) => labels[label] ?? ""));
  return [...values].sort();
}
