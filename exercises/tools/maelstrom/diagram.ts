/**
 * A run as a picture: each node, client and service is a line that runs down with time, each message an arrow
 * from where it left to where it arrived. Read from a trace, drawn as SVG, so that it opens anywhere.
 *
 * `messagesPage` is the same with hands: choose types, look at one message's contents, go in and out.
 */
import { isClient } from "#reference/maelstrom/message.ts";
import type { TraceEvent } from "#reference/simulator/trace.ts";

/** The most messages that are drawn; what comes after them is said to be missing. */
export const messagesMax = 2000;

interface DrawnMessage {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  readonly type: string;
  readonly body: string;
  readonly sentAtUs: number;
  endedAtUs: number;
  fate: "delivered" | "dropped" | "on its way";
}

/** With many nodes columns are narrower, or nobody sees both ends of an arrow. */
const columnWidths = { few: 120, many: 72, manyFrom: 10 } as const;
const headHeight = 48;
const rowHeight = 18;
/** Bodies are cut for the picture. */
const bodyLengthMax = 400;

/** What the run sent, up to the limit. */
function messagesOf(events: readonly TraceEvent[]): {
  readonly drawn: readonly DrawnMessage[];
  readonly leftOut: number;
} {
  const drawn = new Map<number, DrawnMessage>();
  let leftOut = 0;
  for (const event of events) {
    if (event.kind === "send") {
      if (drawn.size >= messagesMax) leftOut++;
      else {
        const { id, from, to, type, at, body } = event;
        const text = JSON.stringify(body ?? {}).slice(0, bodyLengthMax);
        drawn.set(id, { id, from, to, type, body: text, sentAtUs: at, endedAtUs: at, fate: "on its way" });
      }
    } else if (event.kind === "deliver" || event.kind === "drop") {
      const message = drawn.get(event.id);
      if (message === undefined) continue;
      message.endedAtUs = event.at;
      message.fate = event.kind === "deliver" ? "delivered" : "dropped";
    }
  }
  return { drawn: [...drawn.values()], leftOut };
}

/** The diagram. Rows are events in their order, not moments: a busy millisecond gets as much room as it needs. */
export function messagesSvg(events: readonly TraceEvent[]): string {
  const { drawn, leftOut } = messagesOf(events);
  const names = participants(drawn);
  const moments = [...new Set(drawn.flatMap(({ sentAtUs, endedAtUs }) => [sentAtUs, endedAtUs]))];
  const rows = new Map(moments.toSorted((one, other) => one - other).map((at, row) => [at, row]));
  const columnWidth = names.length < columnWidths.manyFrom ? columnWidths.few : columnWidths.many;
  const xOf = (name: string): number => columnWidth * (names.indexOf(columnOf(name)) + 1);
  const yOf = (atUs: number): number => headHeight + rowHeight * (rows.get(atUs)! + 1);
  const width = columnWidth * (names.length + 1);
  const height = headHeight + rowHeight * (rows.size + 3);
  const lines = names.map((name) => {
    const x = xOf(name);
    return `<line class="life" x1="${x}" y1="32" x2="${x}" y2="${height - rowHeight}"/>`;
  });
  const heads = names.map((name) => `<text class="name" x="${xOf(name)}" y="22">${escape(name)}</text>`);
  const head = `<g class="names"><rect class="paper" width="${width}" height="32"/>${heads.join("")}</g>`;
  const times = moments.map(
    (at) => `<text class="time" x="4" y="${yOf(at) + 4}">${(at / 1000).toFixed(2)}</text>`,
  );
  const arrows = drawn.map((message) => arrow(message, xOf, yOf));
  const rest =
    leftOut > 0
      ? `<text class="name" x="${width / 2}" y="${height - 4}">${leftOut} more messages</text>`
      : "";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="messages of the run, time running down, in milliseconds">
<style>${style}</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>
${[...lines, ...times, ...arrows, head, rest].join("\n")}
</svg>
`;
}

/** What every run begins with. A page does not show it until it is asked to. */
const startTypes: readonly string[] = ["init", "init_ok", "topology", "topology_ok"];

/** The page around it, in one file that needs no other. */
export function messagesPage(events: readonly TraceEvent[], title: string): string {
  const svg = messagesSvg(events);
  const types = [...new Set(messagesOf(events).drawn.map(({ type }) => type))].toSorted();
  const choices = types.map((type) => {
    const isShown = !startTypes.includes(type);
    const box = `<input type="checkbox"${isShown ? " checked" : ""} value="${escape(type)}">`;
    return `<label>${box} ${escape(type)}</label>`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${pageStyle}</style>
<header>
<h1>${escape(title)}</h1>
<fieldset><legend>Messages of type</legend>${choices.join("\n")}</fieldset>
<label>Size <input id="zoom" type="range" min="25" max="200" value="100" step="5"></label>
<p id="shown" role="status">Choose a message, with the mouse or with Tab, to see what it says.</p>
</header>
<main tabindex="0" aria-label="diagram">${svg}</main>
<script>${pageScript}</script>
</html>
`;
}

/** All clients share one column: each speaks with one node only, and there may be hundreds. */
const clientsColumn = "clients";

function columnOf(name: string): string {
  return isClient(name) ? clientsColumn : name;
}

/** Clients first, then nodes in their order, then services. */
function participants(drawn: readonly DrawnMessage[]): readonly string[] {
  const rank = (name: string): number => (name === clientsColumn ? 0 : /^n\d/.test(name) ? 1 : 2);
  return [...new Set(drawn.flatMap(({ from, to }) => [columnOf(from), columnOf(to)]))].toSorted(
    (one, other) => {
      return rank(one) - rank(other) || one.localeCompare(other, "en", { numeric: true });
    },
  );
}

function arrow(
  { id, from, to, type, body, sentAtUs, endedAtUs, fate }: DrawnMessage,
  xOf: (name: string) => number,
  yOf: (atUs: number) => number,
): string {
  const [x1, y1, x2, y2] = [xOf(from), yOf(sentAtUs), xOf(to), yOf(endedAtUs)];
  const isLost = fate !== "delivered";
  // A lost one ends half-way, with a cross.
  const [endX, endY] = isLost ? [(x1 + x2) / 2, (y1 + Math.max(y2, y1 + rowHeight)) / 2] : [x2, y2];
  const said = `${from} to ${to}, ${type}, ${fate}, ${(sentAtUs / 1000).toFixed(3)} to ${(endedAtUs / 1000).toFixed(3)} ms: ${body}`;
  const end = isLost ? `<text class="lost" x="${endX}" y="${endY + 4}">×</text>` : "";
  const kind = isLost ? " dropped" : isClient(from) || isClient(to) ? " of-client" : "";
  return `<g class="message${kind}" data-type="${escape(type)}" data-id="${id}" tabindex="0"><title>${escape(said)}</title><line x1="${x1}" y1="${y1}" x2="${endX}" y2="${endY}"${isLost ? "" : ' marker-end="url(#head)"'}/><text class="type" x="${(x1 + x2) / 2}" y="${(y1 + endY) / 2 - 3}">${escape(type)}</text>${end}</g>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const style = `
svg { --paper: #fff; --ink: #222; --faint: #bbb; --muted: #666; --node: #1a5fb4; --client: #77767b; --lost: #a51d2d; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #1d1f21; --ink: #eee; --faint: #555; --muted: #aaa; }
  svg { --node: #78aeed; --client: #9a9996; --lost: #f66151; }
}
svg { background: var(--paper); font: 11px system-ui, sans-serif; fill: var(--ink); }
.paper { fill: var(--paper); } .life { stroke: var(--faint); }
.name { text-anchor: middle; font-weight: 600; font-size: 13px; }
.time { fill: var(--muted); font-size: 9px; }
.type { text-anchor: middle; font-size: 9px; paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.message line { stroke: var(--node); stroke-width: 1.2; } .of-client line { stroke: var(--client); }
.dropped line { stroke: var(--lost); stroke-dasharray: 4 3; }
.lost { text-anchor: middle; fill: var(--lost); font-size: 14px; }
.message:hover line, .message:focus line { stroke-width: 3; } .message:focus { outline: none; }
.message:focus .type { font-weight: 700; }
`;

const pageStyle = `
:root { color-scheme: light dark; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; display: flex; flex-direction: column; height: 100vh; }
header { border-bottom: 1px solid #8888; padding: 0.5rem 1rem; }
h1 { font-size: 1.1rem; margin: 0 0 0.25rem; } fieldset { border: 0; padding: 0; margin: 0; }
legend { float: left; margin-right: 0.75rem; font-weight: 600; }
label { margin-right: 0.75rem; white-space: nowrap; } input { vertical-align: middle; }
#shown { margin: 0.25rem 0 0; height: 4.5em; overflow: auto; overflow-wrap: anywhere; }
#shown { font-family: ui-monospace, monospace; font-size: 13px; }
main { overflow: auto; flex: 1; }
`;

const pageScript = `
const svg = document.querySelector("svg");
const main = document.querySelector("main");
const names = svg.querySelector(".names");
const width = svg.width.baseVal.value;
const shown = document.querySelector("#shown");
let factor = 1;
const tell = (event) => {
  const message = event.target.closest?.(".message");
  if (message) shown.textContent = message.querySelector("title").textContent;
};
svg.addEventListener("focusin", tell);
svg.addEventListener("mouseover", tell);
for (const box of document.querySelectorAll("fieldset input")) {
  const show = () => {
    for (const message of svg.querySelectorAll(".message"))
      if (message.dataset.type === box.value) message.style.display = box.checked ? "" : "none";
  };
  box.addEventListener("change", show);
  show();
}
// The names stay in sight.
const follow = () => names.setAttribute("transform", "translate(0 " + main.scrollTop / factor + ")");
main.addEventListener("scroll", follow);
document.querySelector("#zoom").addEventListener("input", (event) => {
  factor = event.target.value / 100;
  svg.setAttribute("width", width * factor);
  svg.removeAttribute("height");
  follow();
});
`;
