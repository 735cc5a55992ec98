/**
 * Two plots of a run: how long each operation took, and how many a second there were, with the faults behind
 * them. They are files, made where there is no page; so they are drawn by hand, a few shapes each, and not by a
 * library of charts.
 */
import type { RecordedOperation } from "#reference/simulator/maelstrom/test-run.ts";
import type { TraceEvent } from "#reference/simulator/trace.ts";

const width = 900;
const height = 360;
const margin = { left: 64, right: 16, top: 28, bottom: 40 };
const outcomes = { ok: "#1a5fb4", failed: "#a51d2d", unknown: "#c64600" } as const;
const kindColors = ["#1a5fb4", "#a51d2d", "#26a269", "#813d9c", "#c64600", "#3d3846"];

/** Scales of one plot: from seconds and a value to its place. */
interface Axes {
  readonly x: (seconds: number) => number;
  readonly y: (value: number) => number;
}

/** Each operation as a point: when it began, how long it took, how it ended. The latency axis is logarithmic. */
export function latencySvg(operations: readonly RecordedOperation[], events: readonly TraceEvent[]): string {
  const points = operations
    .filter(({ completedAtUs }) => Number.isFinite(completedAtUs))
    .map(({ invokedAtUs, completedAtUs, outcome, name }) => ({
      seconds: invokedAtUs / 1e6,
      // A hundredth of a millisecond is the least that the axis shows.
      ms: Math.max(0.01, (completedAtUs - invokedAtUs) / 1000),
      kind: outcome.kind,
      name,
    }));
  const most = points.reduce((top, { ms }) => Math.max(top, ms), 1);
  const decades = Math.ceil(Math.log10(most)) + 2;
  const axes = axesOf(endOf(operations), (ms) => (Math.log10(ms) + 2) / decades);
  const ticks = Array.from({ length: decades + 1 }, (_, decade) => 10 ** (decade - 2));
  const marks = points.map(({ seconds, ms, kind }) => {
    return `<circle cx="${axes.x(seconds).toFixed(1)}" cy="${axes.y(ms).toFixed(1)}" r="1.6" fill="${outcomes[kind]}"/>`;
  });
  const legend = Object.entries(outcomes).map(([name, color]) => [name, color] as const);
  return plot("latency of each operation, ms", axes, endOf(operations), ticks, events, marks, legend);
}

/** Operations that ended well, in each second, one line for each kind. */
export function rateSvg(operations: readonly RecordedOperation[], events: readonly TraceEvent[]): string {
  const end = endOf(operations);
  const counts = new Map<string, number[]>();
  for (const { name, outcome, completedAtUs } of operations) {
    if (outcome.kind !== "ok") continue;
    const own = counts.get(name) ?? Array.from({ length: Math.ceil(end) + 1 }, () => 0);
    counts.set(name, own);
    own[Math.floor(completedAtUs / 1e6)]! += 1;
  }
  const most = Math.max(1, ...[...counts.values()].flat());
  const step = 10 ** Math.floor(Math.log10(most));
  const top = Math.ceil(most / step) * step;
  const axes = axesOf(end, (value) => value / top);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  const legend = [...counts.keys()].map(
    (name, index) => [name, kindColors[index % kindColors.length]!] as const,
  );
  const lines = [...counts.values()].map((own, index) => {
    const path = own.map(
      (count, second) => `${axes.x(Math.min(second + 0.5, end)).toFixed(1)},${axes.y(count).toFixed(1)}`,
    );
    return `<polyline fill="none" stroke="${legend[index]![1]}" stroke-width="1.5" points="${path.join(" ")}"/>`;
  });
  return plot("operations that succeeded, in each second", axes, end, ticks, events, lines, legend);
}

function endOf(operations: readonly RecordedOperation[]): number {
  const times = operations.flatMap(({ invokedAtUs, completedAtUs }) => [invokedAtUs, completedAtUs]);
  return times.reduce((end, time) => (Number.isFinite(time) ? Math.max(end, time / 1e6) : end), 1);
}

function axesOf(end: number, share: (value: number) => number): Axes {
  const [innerWidth, innerHeight] = [width - margin.left - margin.right, height - margin.top - margin.bottom];
  return {
    x: (seconds) => margin.left + (innerWidth * seconds) / end,
    y: (value) => margin.top + innerHeight * (1 - share(value)),
  };
}

function plot(
  title: string,
  axes: Axes,
  end: number,
  ticks: readonly number[],
  events: readonly TraceEvent[],
  marks: readonly string[],
  legend: readonly (readonly [string, string])[],
): string {
  const grid = ticks.map((value) => {
    const y = axes.y(value).toFixed(1);
    return `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y}" y2="${y}"/><text x="${margin.left - 6}" y="${Number(y) + 4}" text-anchor="end">${value}</text>`;
  });
  const secondsStep = Math.max(1, Math.ceil(end / 10));
  const seconds = Array.from(
    { length: Math.floor(end / secondsStep) + 1 },
    (_, index) => index * secondsStep,
  );
  const bottom = seconds.map(
    (at) => `<text x="${axes.x(at).toFixed(1)}" y="${height - 20}" text-anchor="middle">${at} s</text>`,
  );
  const names = legend.map(([name, color], index) => {
    const x = margin.left + 110 * index;
    return `<rect x="${x}" y="8" width="10" height="10" fill="${color}"/><text x="${x + 14}" y="17">${name}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
<style>svg { background: #fff; font: 11px system-ui, sans-serif; fill: #333; }
.grid { stroke: #ddd; } .fault { fill: #f6d32d; opacity: 0.25; }</style>
${[...faultBands(events, axes, end), ...grid, ...bottom, ...marks, ...names].join("\n")}
<text x="${width - margin.right}" y="17" text-anchor="end" font-weight="600">${title}</text>
</svg>
`;
}

/** A band for the time that something was broken. */
function faultBands(events: readonly TraceEvent[], axes: Axes, end: number): readonly string[] {
  const bands: string[] = [];
  let startedAt: number | undefined;
  for (const event of events) {
    if (event.kind !== "fault") continue;
    if (event.isOn) startedAt ??= event.at / 1e6;
    else if (startedAt !== undefined) {
      bands.push(band(axes, startedAt, Math.min(end, event.at / 1e6), event.fault));
      startedAt = undefined;
    }
  }
  return bands;
}

function band(axes: Axes, from: number, to: number, fault: string): string {
  const [x, right] = [axes.x(Math.min(from, to)), axes.x(to)];
  return `<rect class="fault" x="${x.toFixed(1)}" y="${margin.top}" width="${(right - x).toFixed(1)}" height="${height - margin.top - margin.bottom}"><title>${fault}</title></rect>`;
}
