/**
 * The script of the simulator's page: what the address says is run in a worker, and what comes of it is shown.
 *
 * The address is the only state: the form writes it, a link brings it, and back and forward lead through runs.
 */
import {
  linkSecondsMax,
  parseReplayLink,
  replayCommand,
  replayLink,
} from "#reference/simulator/raft/replay.ts";
import type { ScenarioChoice } from "#reference/simulator/raft/scenario.ts";
import type { Answered, Asked } from "./messages.ts";
import type { RowsFound, RunReport } from "./run.ts";

/** The worker of the run that is shown; each run has its own, and takes the memory of the last one along. */
let worker: Worker | undefined;

function part(name: string): HTMLElement {
  return document.querySelector<HTMLElement>(`[data-sim="${name}"]`)!;
}

const form = part("form") as HTMLFormElement;
const server = part("server") as HTMLSelectElement;
const until = part("until") as HTMLInputElement;
const download = part("download") as HTMLButtonElement;

/** Runs what the address says, or says why it does not. */
function showAddress(): void {
  worker?.terminate();
  worker = undefined;
  part("results").hidden = true;
  part("verdict-box").hidden = true;
  const parsed = parseReplayLink(location.hash);
  showProblem(
    parsed.kind === "invalid"
      ? `This address names no run: ${parsed.problem}. Choose one here, or take the link again as a whole.`
      : "",
  );
  if (parsed.kind === "scenario") start(parsed.choice);
}

function start(choice: ScenarioChoice): void {
  const { seed, nodeCount, seconds } = choice;
  field("seed").value = String(seed);
  field("nodes").value = String(nodeCount);
  field("seconds").value = String(seconds);
  showVerdict("running", `Running seed ${seed} …`, "");
  const started = new Worker(new URL("./simulator.worker.ts", import.meta.url), {
    type: "module",
    name: "offset-zero simulator",
  });
  worker = started;
  started.addEventListener("message", ({ data }: MessageEvent<Answered>) => {
    if (worker === started) take(data, choice);
  });
  started.addEventListener("error", () => {
    if (worker === started) fail("it could not be loaded, or it stopped. Reload the page to try again");
  });
  ask({ kind: "run", choice });
}

function ask(asked: Asked): void {
  worker?.postMessage(asked);
}

function take(answered: Answered, choice: ScenarioChoice): void {
  switch (answered.kind) {
    case "report":
      showReport(answered.report, choice);
      askRows();
      break;
    case "rows":
      showRows(answered.found);
      break;
    case "file":
      save(answered.file);
      break;
    case "failed":
      fail(answered.problem);
      break;
  }
}

function fail(problem: string): void {
  part("verdict-box").hidden = true;
  showProblem(`The simulator did not come to an end: ${problem}.`);
}

function showProblem(text: string): void {
  part("problem").hidden = text === "";
  part("problem").textContent = text;
}

function showVerdict(state: "running" | "intact" | "broken", verdict: string, sentence: string): void {
  const box = part("verdict-box");
  box.hidden = false;
  box.dataset["state"] = state;
  part("verdict").textContent = verdict;
  part("sentence").textContent = sentence;
}

function showReport(report: RunReport, choice: ScenarioChoice): void {
  const { violation, done, faultsNotDone, endSeconds, nodes } = report;
  if (violation === undefined) {
    showVerdict(
      "intact",
      "No rule was broken",
      "All rules held, and the cluster recovered after the faults.",
    );
  } else {
    const { rule, message, atMs, event } = violation;
    const place = `at ${(atMs / 1000).toFixed(3)} s, in event ${event.toLocaleString("en")}`;
    showVerdict("broken", `Broken: ${rule}, ${place}`, message);
  }
  part("command").textContent = replayCommand(choice);
  const isPart = choice.faults !== undefined || choice.cut !== undefined;
  part("cut-note").textContent = isPart
    ? "The link keeps only a part of what the seed holds. Run, above, runs the whole of it."
    : "";
  part("figures").replaceChildren(
    ...report.figures.map(([name, value]) => {
      const figure = document.createElement("div");
      figure.append(element("dt", name), element("dd", value));
      return figure;
    }),
  );
  part("done").replaceChildren(
    ...done.map(({ at, words }) => {
      const item = document.createElement("li");
      item.append(element("code", at), ` ${words}`);
      return item;
    }),
  );
  part("done-box").hidden = done.length === 0;
  const none = done.length === 0 ? "Nothing, up to the end of the run. " : "";
  const count = faultsNotDone === 1 ? "One fault" : `${faultsNotDone} faults`;
  const missing = `${count} of the schedule did not come about: the run had ended, or nobody led whom they could hit.`;
  part("done-note").textContent = none + (faultsNotDone === 0 ? "" : missing);
  server.replaceChildren(new Option("all", ""), ...nodes.map((name) => new Option(name)));
  until.value = "";
  until.placeholder = endSeconds.toFixed(3);
  part("results").hidden = false;
}

function askRows(): void {
  const untilSeconds = until.valueAsNumber;
  ask({
    kind: "rows",
    asked: {
      ...(server.value === "" ? {} : { server: server.value }),
      ...(Number.isNaN(untilSeconds) ? {} : { untilSeconds }),
    },
  });
}

function showRows({ rows, total }: RowsFound): void {
  const all = total.toLocaleString("en");
  part("rows-count").textContent =
    rows.length === 0
      ? "Nothing happened up to then."
      : rows.length === total
        ? `${all} lines.`
        : `The last ${rows.length} of ${all} lines. The file has all of them.`;
  part("rows").replaceChildren(
    ...rows.map(({ at, who, kind, words }) => {
      const row = document.createElement("tr");
      row.dataset["kind"] = kind;
      row.append(element("td", at), element("td", who), element("td", kind), element("td", words));
      // On a phone styles lay rows out in two lines, after which some browsers no longer take them for rows.
      row.setAttribute("role", "row");
      for (const cell of row.cells) cell.setAttribute("role", "cell");
      return row;
    }),
  );
  // What matters is at the end: the broken rule, or the moment that was asked for.
  const scroll = part("rows-scroll");
  scroll.scrollTop = scroll.scrollHeight;
}

function save(file: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = "trace.ndjson";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function field(name: string): HTMLInputElement | HTMLSelectElement {
  return form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;
}

function element(name: "dt" | "dd" | "td" | "code", text: string): HTMLElement {
  return Object.assign(document.createElement(name), { textContent: text });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [seed, nodeCount, seconds] = ["seed", "nodes", "seconds"].map((name) => Number(field(name).value));
  const link = replayLink({ seed: seed ?? 0, nodeCount: nodeCount ?? 0, seconds: seconds ?? 0 });
  if (link === undefined) return showProblem(`Seconds: at most ${linkSecondsMax}.`);
  const fragment = link.slice(link.indexOf("#"));
  // The same address again is no change of it, and the run is wanted all the same.
  if (location.hash === fragment) showAddress();
  else location.hash = fragment;
});
server.addEventListener("change", askRows);
until.addEventListener("change", askRows);
download.addEventListener("click", () => ask({ kind: "file" }));
addEventListener("hashchange", showAddress);
showAddress();
