// @ts-check
/**
 * The charts: three over time, drawn by uPlot, and the bars of the latency histogram. Colours come from the style sheet,
 * so that a change between light and dark is a matter of drawing again.
 */
import uPlot from "./uplot.js";

/** @typedef {{ label: string, color: string, isFilled?: boolean, dash?: number[] }} Line */

/** How much time a chart shows. */
export const windowSeconds = 120;

const chartHeight = 220;

/**
 * A chart of values over the last two minutes. `update` takes the times and, for each line, its values.
 * @param {HTMLElement} place
 * @param {string} description
 * @param {readonly Line[]} lines
 * @param {(value: number) => string} format
 */
export function timeChart(place, description, lines, format) {
  /** @type {any} */
  let chart;
  /** @type {uPlot.AlignedData} */
  let data = [[], ...lines.map(() => /** @type {number[]} */ ([]))];
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", description);

  function draw() {
    chart?.destroy();
    const style = getComputedStyle(document.documentElement);
    /** @param {string} name */
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: color("--quiet"),
      grid: { stroke: color("--grid"), width: 1 },
      ticks: { show: false },
    };
    chart = new uPlot(
      {
        width: place.clientWidth,
        height: chartHeight,
        cursor: { y: false },
        scales: {
          x: { time: true },
          y: {
            range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ max) => [
              0,
              max > 0 ? max * 1.1 : 1,
            ],
          },
        },
        axes: [
          axis,
          {
            ...axis,
            size: 78,
            values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(format),
          },
        ],
        series: [
          { value: "{HH}:{mm}:{ss}" },
          ...lines.map((line) => ({
            label: line.label,
            stroke: color(line.color),
            width: 2,
            points: { show: false },
            ...(line.isFilled && { fill: `${color(line.color)}55` }),
            ...(line.dash && { dash: line.dash }),
            value: (/** @type {any} */ _, /** @type {number | null} */ value) =>
              value == null ? "–" : format(value),
          })),
        ],
      },
      data,
      place,
    );
  }

  draw();
  new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: chartHeight })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return {
    /** @param {uPlot.AlignedData} values times in seconds, then the values of each line */
    update(values) {
      data = values;
      const last = values[0]?.at(-1) ?? 0;
      chart.setData(data, false);
      chart.setScale("x", { min: last - windowSeconds, max: last });
    },
  };
}

/**
 * The latency histogram as a table with bars: each row is a bucket, its bar the share of requests in it.
 * @param {HTMLElement} place
 * @param {readonly { le: number, count: number }[]} buckets
 * @param {(seconds: number) => string} format
 */
export function histogramBars(place, buckets, format) {
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  const largest = Math.max(1, ...buckets.map(({ count }) => count));
  const table = document.createElement("table");
  table.className = "bars";
  const caption = table.createCaption();
  caption.textContent =
    total === 0 ? "No requests in the last minute." : `${total.toLocaleString("en")} requests`;
  const body = table.createTBody();
  for (const [index, { le, count }] of buckets.entries()) {
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = Number.isFinite(le) ? `≤ ${format(le)}` : `> ${format(buckets[index - 1]?.le ?? 0)}`;
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.style.width = `${(100 * count) / largest}%`;
    row.append(head);
    row.insertCell().append(bar);
    const share = row.insertCell();
    share.className = "number";
    share.textContent = count === 0 ? "" : `${((100 * count) / total).toFixed(1)} %`;
  }
  place.replaceChildren(table);
}
