// @ts-check
/**
 * The charts: three over time, drawn by uPlot, and the bars of the latency histogram. Colours come from the style sheet,
 * so that a change between light and dark is a matter of drawing again.
 */
import uPlot from "./uplot.js";

/** @typedef {{ label: string, color: string, fill?: "light" | "full", dash?: number[] }} Line */
/** @typedef {(number | null)[]} Values */

/** How much time a chart shows. */
export const windowSeconds = 120;

const chartHeight = 220;

/** Steps between marks of an axis of bytes: powers of two, so that the marks are round. */
const byteSteps = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** Where the axis of time has marks: seconds before now. */
const timeMarks = [120, 90, 60, 30, 0];

/**
 * A chart of values over the last two minutes. `update` takes the times and the values of each line.
 * @param {HTMLElement} place
 * @param {string} description
 * @param {readonly Line[]} lines
 * @param {(value: number) => string} format
 * @param {"bytes" | "seconds"} unit
 */
export function timeChart(place, description, lines, format, unit) {
  /** @type {uPlot | undefined} */
  let chart;
  /** @type {uPlot.AlignedData} */
  let data = [[], ...lines.map(() => /** @type {number[]} */ ([]))];
  /** What the legend says, where that is not what is drawn: the parts of a stack. @type {Values[] | undefined} */
  let legendValues;
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", description);

  /** @param {string} name */
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** The legend shows the newest values while no pointer asks for others. */
  const showNewest = () => {
    const last = data[0].length - 1;
    if (chart !== undefined && (chart.cursor.idx ?? undefined) === undefined && last >= 0)
      chart.setLegend({ idx: last }, false);
  };

  /** @returns {uPlot.Options} */
  function options() {
    const axis = {
      stroke: color("--quiet"),
      grid: { stroke: color("--grid"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: place.clientWidth,
      height: chartHeight,
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
      axes: [
        {
          ...axis,
          splits: (_, __, ___, max) => timeMarks.map((behind) => max - behind),
          values: (chart, marks) => marks.map((mark) => ago(mark, chart)),
        },
        {
          ...axis,
          size: 78,
          ...(unit === "bytes" && { incrs: byteSteps }),
          values: (_, marks) => marks.map(format),
        },
      ],
      series: [
        {
          label: "time",
          value: (chart, value) => ((value ?? undefined) === undefined ? "–" : ago(value, chart)),
        },
        ...lines.map((line, index) => ({
          label: line.label,
          stroke: color(line.color),
          width: line.fill === "full" ? 1 : 2,
          points: { show: false },
          ...(line.fill && { fill: color(line.color) + (line.fill === "full" ? "" : "44") }),
          ...(line.dash && { dash: line.dash }),
          value: (
            /** @type {uPlot} */ _,
            /** @type {number} */ drawn,
            /** @type {number} */ __,
            /** @type {?number} */ at,
          ) => {
            const value = legendValues === undefined ? drawn : legendValues[index]?.[at ?? -1];
            return value === null || value === undefined ? "–" : format(value);
          },
        })),
      ],
      hooks: { setCursor: [showNewest] },
    };
  }

  function draw() {
    chart?.destroy();
    chart = new uPlot(options(), data, place);
    showNewest();
  }

  draw();
  new ResizeObserver(() => chart?.setSize({ width: place.clientWidth, height: chartHeight })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return {
    /**
     * @param {number[]} times in seconds
     * @param {Values[]} values what is drawn, for each line
     * @param {Values[]} [legend] what the legend says, for each line
     */
    update(times, values, legend) {
      data = [times, ...values];
      legendValues = legend;
      const last = times.at(-1) ?? 0;
      chart?.setData(data, false);
      chart?.setScale("x", { min: last - windowSeconds, max: last });
      showNewest();
    },
  };
}

/**
 * A time as seconds before the newest one.
 * @param {number} seconds
 * @param {uPlot} chart
 */
function ago(seconds, chart) {
  const behind = Math.round((chart.data[0].at(-1) ?? seconds) - seconds);
  return behind <= 0 ? "now" : `−${behind} s`;
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
