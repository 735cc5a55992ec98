// @ts-check
/**
 * The live dashboard: reads /metrics, and /cluster in a cluster, once a second and shows what changed. It keeps two minutes in memory and nothing
 * anywhere else; whoever wants more history has Prometheus and Grafana.
 */
import { asAge, showCluster } from "./cluster.js";
import { histogramBars, timeChart, windowSeconds } from "./charts.js";
import { bucketsBetween, labelValues, quantileOf, rateOf, readScrape, sumOf } from "./exposition.js";

/** @typedef {import("./exposition.js").Scrape} Scrape */

const intervalMs = 1000;
const duration = "oz_request_duration_seconds";
const accounts = ["produce", "append", "tails", "fetch", "replication", "control"];
const rowsMax = 200;

/** @type {Scrape[]} */
const scrapes = [];
let isPaused = false;

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element ${id}`);
  return found;
}

/**
 * @param {number} value
 * @param {number} base
 * @param {readonly string[]} units
 */
function scaled(value, base, units) {
  if (!Number.isFinite(value)) return "–";
  let rest = value;
  let unit = 0;
  while (Math.abs(rest) >= base && unit < units.length - 1) {
    rest /= base;
    unit++;
  }
  const digits = unit === 0 || rest >= 100 ? 0 : rest >= 10 ? 1 : 2;
  return `${Number(rest.toFixed(digits))} ${units[unit]}`.trim();
}

/** @param {number} value */
const asBytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
/** @param {number} value */
const asByteRate = (value) => `${asBytes(value)}/s`;
/** @param {number} value */
const asCount = (value) => scaled(value, 1000, ["", "k", "M", "G"]);
/** @param {number} seconds */
function asDuration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0.001) return `${Number((seconds * 1e6).toPrecision(3))} µs`;
  return seconds < 1
    ? `${Number((seconds * 1000).toPrecision(3))} ms`
    : `${Number(seconds.toPrecision(3))} s`;
}

const throughput = timeChart(
  element("throughput"),
  "Chart of bytes in and out each second over the last two minutes",
  [
    { label: "produced", color: "--c1", fill: "light" },
    { label: "fetched", color: "--c2" },
  ],
  asByteRate,
  "bytes",
);
const latency = timeChart(
  element("latency"),
  "Chart of the median, 95th and 99th percentile of latency over the last two minutes",
  [
    { label: "p99", color: "--c3" },
    { label: "p95", color: "--c4" },
    { label: "p50", color: "--c1" },
  ],
  asDuration,
  "seconds",
);
const memory = timeChart(
  element("memory"),
  "Chart of reserved memory by account against the budget over the last two minutes",
  [
    { label: "budget", color: "--c3", dash: [6, 4] },
    ...accounts
      .map((label, index) => ({ label, color: `--a${index + 1}`, fill: /** @type {const} */ ("full") }))
      .reverse(),
  ],
  asBytes,
  "bytes",
);

/** The scrape of about so many seconds ago; the oldest there is when there are fewer. @param {number} seconds @param {number} [at] */
function before(seconds, at = scrapes.length - 1) {
  const now = scrapes[at];
  if (now === undefined) throw new Error("no scrape yet");
  let index = at;
  while (index > 0 && now.atMs - (scrapes[index]?.atMs ?? 0) < seconds * 1000 - intervalMs / 2) index--;
  return scrapes[index] ?? now;
}

/**
 * One number with its name; `detail` says what it means, `share` draws a bar.
 * @param {string} name
 * @param {string} value
 * @param {string} detail
 * @param {number} [share]
 */
function tile(name, value, detail, share) {
  const box = document.createElement("div");
  box.className = "tile";
  const lines = [name, value, detail].map((text, index) => {
    const line = document.createElement("p");
    line.className = ["name", "value", "quiet"][index] ?? "";
    line.textContent = text;
    return line;
  });
  box.append(...lines);
  if (share !== undefined) {
    const meter = document.createElement("meter");
    Object.assign(meter, { min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0, value: Math.min(1, share) });
    meter.setAttribute("aria-label", `${name}: ${Math.round(share * 100)} percent`);
    box.append(meter);
  }
  return box;
}

/** @param {Scrape} now */
function showTiles(now) {
  const earlier = before(5);
  const buckets = bucketsBetween(before(10), now, duration);
  const budget = sumOf(now, "oz_memory_budget_bytes");
  const reserved = sumOf(now, "oz_memory_reserved_bytes");
  const refused = rateOf(earlier, now, "oz_rejections_total");
  const lag = sumOf(now, "oz_group_lag_records");
  const reads = rateOf(earlier, now, "oz_store_reads_total");
  const hits = rateOf(earlier, now, "oz_store_reads_total", { source: "memory" });
  element("tiles").replaceChildren(
    tile("Records in", `${asCount(rateOf(earlier, now, "oz_produced_records_total"))}/s`, "produced"),
    tile(
      "Requests",
      `${asCount(rateOf(earlier, now, "oz_requests_total"))}/s`,
      `${asCount(refused)}/s refused on purpose`,
    ),
    tile(
      "Latency p99",
      asDuration(quantileOf(buckets, 0.99)),
      `median ${asDuration(quantileOf(buckets, 0.5))}`,
    ),
    tile("Memory", asBytes(reserved), `of ${asBytes(budget)} budget`, budget > 0 ? reserved / budget : 0),
    tile("Resident", asBytes(sumOf(now, "process_resident_memory_bytes")), "the whole process"),
    tile(
      "Connections",
      asCount(sumOf(now, "oz_connections")),
      `${asCount(sumOf(now, "oz_requests_in_flight"))} requests in flight`,
    ),
    tile(
      "Hot reads",
      reads > 0 ? `${Math.round((100 * hits) / reads)} %` : "–",
      `from memory, of ${asCount(Number.isNaN(reads) ? 0 : reads)}/s`,
    ),
    tile("Lag", asCount(lag), "records not read by groups"),
  );
}

/** @param {Scrape} now */
function showState(now) {
  const state = element("state");
  const isHeld = sumOf(now, "oz_memory_paused") > 0;
  state.textContent = isHeld ? "holding producers back: memory is full" : "running";
  state.dataset["state"] = isHeld ? "held" : "running";
  element("version").textContent = labelValues(now, "oz_build_info", "version").join(", ");
  const upSeconds = now.atMs / 1000 - sumOf(now, "process_start_time_seconds");
  const hours = Math.floor(upSeconds / 3600);
  const minutes = Math.floor((upSeconds % 3600) / 60);
  element("uptime").textContent =
    upSeconds < 60 ? `up ${Math.round(upSeconds)} s` : `up ${hours} h ${minutes} min`;
}

function showCharts() {
  const times = scrapes.map(({ atMs }) => atMs / 1000);
  /** @param {(now: Scrape, earlier: Scrape, index: number) => number} value */
  const line = (value) =>
    scrapes.map((now, index) => {
      const result = value(now, scrapes[index - 1] ?? now, index);
      return Number.isNaN(result) ? null : result;
    });
  throughput.update(times, [
    line((now, earlier) => rateOf(earlier, now, "oz_produced_bytes_total")),
    line((now, earlier) => rateOf(earlier, now, "oz_fetched_bytes_total")),
  ]);
  const buckets = scrapes.map((now, index) => bucketsBetween(before(10, index), now, duration));
  latency.update(
    times,
    [0.99, 0.95, 0.5].map((q) => line((_, __, index) => quantileOf(buckets[index] ?? [], q))),
  );
  const budget = line((now) => sumOf(now, "oz_memory_budget_bytes"));
  const parts = accounts.map((account) => line((now) => sumOf(now, "oz_memory_reserved_bytes", { account })));
  const stack = parts.map((_, top) =>
    times.map((_, at) => parts.slice(0, top + 1).reduce((sum, part) => sum + (part[at] ?? 0), 0)),
  );
  memory.update(times, [budget, ...stack.reverse()], [budget, ...parts.reverse()]);
}

/** @param {Scrape} now */
function showHistogram(now) {
  const select = /** @type {HTMLSelectElement} */ (element("type"));
  const types = labelValues(now, `${duration}_count`, "type");
  if (
    types.join() !==
    [...select.options]
      .slice(1)
      .map(({ value }) => value)
      .join()
  ) {
    const chosen = select.value;
    select.replaceChildren(new Option("any", ""), ...types.map((type) => new Option(type, type)));
    select.value = types.includes(chosen) ? chosen : "";
  }
  const labels = select.value === "" ? undefined : { type: select.value };
  histogramBars(element("histogram"), bucketsBetween(before(60), now, duration, labels), asDuration);
}

/**
 * Fills a table. Rows are made anew only when there are more or fewer of them, so that a selection stays.
 * @param {string} id
 * @param {readonly (readonly string[])[]} rows
 * @param {number} textColumns
 * @param {string} nothing
 */
function fillTable(id, rows, textColumns, nothing) {
  const table = /** @type {HTMLTableElement} */ (element(id));
  const body = table.tBodies[0] ?? table.createTBody();
  const columns = table.tHead?.rows[0]?.cells.length ?? 1;
  const shown = rows.slice(0, rowsMax);
  while (body.rows.length > Math.max(1, shown.length)) body.deleteRow(-1);
  if (shown.length === 0) {
    const row = body.rows[0] ?? body.insertRow();
    const cell = document.createElement("td");
    cell.colSpan = columns;
    cell.className = "quiet";
    cell.textContent = nothing;
    row.replaceChildren(cell);
    return;
  }
  for (const [index, texts] of shown.entries()) {
    const row = body.rows[index] ?? body.insertRow();
    if (row.cells.length !== texts.length)
      row.replaceChildren(...texts.map(() => document.createElement("td")));
    for (const [column, text] of texts.entries()) {
      const cell = row.cells[column];
      if (cell === undefined) continue;
      if (cell.textContent !== text) cell.textContent = text;
      cell.classList.toggle("number", column >= textColumns);
    }
  }
}

/**
 * How many partitions a topic has. Those of a large one share a series.
 * @param {Scrape} now
 * @param {string} topic
 */
function partitionsOf(now, topic) {
  const own = (now.samples.get("oz_log_end_offset") ?? []).filter(({ labels }) => labels["topic"] === topic);
  return own.some(({ labels }) => labels["partition"] === "all") ? "> 100" : String(own.length);
}

/** @param {Scrape} now */
function showTables(now) {
  const earlier = before(5);
  const topics = labelValues(now, "oz_log_end_offset", "topic").map((topic) => [
    topic,
    partitionsOf(now, topic),
    asCount(sumOf(now, "oz_log_end_offset", { topic }) - sumOf(now, "oz_log_start_offset", { topic })),
    asBytes(sumOf(now, "oz_log_size_bytes", { topic })),
    asCount(rateOf(earlier, now, "oz_produced_records_total", { topic })),
    asBytes(rateOf(earlier, now, "oz_fetched_bytes_total", { topic })),
  ]);
  fillTable("topics", topics, 1, "No topics yet.");
  const seconds = Math.max(0.001, (now.atMs - earlier.atMs) / 1000);
  const rows = labelValues(now, "oz_group_lag_records", "group").flatMap((group) => {
    const own = (now.samples.get("oz_group_lag_records") ?? []).filter(
      ({ labels }) => labels["group"] === group,
    );
    return [...new Set(own.map(({ labels }) => labels["topic"] ?? ""))].map((topic) => {
      const lag = sumOf(now, "oz_group_lag_records", { group, topic });
      const change = (lag - sumOf(earlier, "oz_group_lag_records", { group, topic })) / seconds;
      return [group, topic, asCount(lag), `${change > 0 ? "+" : ""}${asCount(Math.round(change))}`];
    });
  });
  fillTable("lag", rows, 2, "No consumer groups yet.");
}

/** @param {string} path */
async function answerOf(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response;
}

/**
 * How long a message to another node and its answer take, of the last ten seconds.
 * @param {Scrape} now
 * @param {string} peer
 */
function roundTripTo(now, peer) {
  const median = quantileOf(bucketsBetween(before(10), now, "oz_raft_round_trip_seconds", { peer }), 0.5);
  return Number.isNaN(median) ? "" : asDuration(median);
}

/**
 * What only a node of a cluster has.
 * @param {Scrape} now
 */
async function refreshCluster(now) {
  if (!now.samples.has("oz_cluster_partitions")) return;
  const view = await (await answerOf("/cluster")).json();
  if (isPaused) return;
  showCluster(element("cluster"), view, Date.now(), (peer) => roundTripTo(now, peer));
  element("own-title").textContent = `This node: ${view.node}`;
  for (const id of ["own-title", "cluster-source"]) element(id).hidden = false;
  document.title = `Offset Zero: ${view.node}`;
}

async function refresh() {
  try {
    const now = readScrape(await (await answerOf("/metrics")).text(), Date.now());
    delete document.body.dataset["isStale"];
    scrapes.push(now);
    while ((scrapes[0]?.atMs ?? 0) < now.atMs - (windowSeconds + 10) * 1000) scrapes.shift();
    if (isPaused) return;
    await refreshCluster(now);
    showState(now);
    showTiles(now);
    showCharts();
    showHistogram(now);
    showTables(now);
  } catch (error) {
    const state = element("state");
    const shownAtMs = scrapes.at(-1)?.atMs;
    const age = shownAtMs === undefined ? "" : `; below is what it said ${asAge(Date.now() - shownAtMs)} ago`;
    state.textContent = `no answer from this node (${error instanceof Error ? error.message : String(error)})${age}`;
    state.dataset["state"] = "down";
    document.body.dataset["isStale"] = "";
  }
}

element("pause").addEventListener("click", (event) => {
  isPaused = !isPaused;
  const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
  button.textContent = isPaused ? "Go on" : "Pause";
  button.setAttribute("aria-pressed", String(isPaused));
});

/** One scrape at a time, the next a second after the last one was shown. */
async function run() {
  for (;;) {
    await refresh();
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

void run();
