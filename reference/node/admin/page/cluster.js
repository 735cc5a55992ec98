// @ts-check
/**
 * The dashboard's view of a cluster: who is there, who leads what, what is missing, and what has happened since the page
 * was opened. It comes from /cluster, where the node that is asked has asked all others.
 */

import { counted, happened, verdictOf } from "./cluster-news.js";

/** @typedef {import("./cluster-news.js").ClusterView} ClusterView */
/** @typedef {import("./cluster-news.js").Partition} Partition */

/** Partitions of one topic that are drawn one by one; of more, only what is wrong with them. */
const partitionsMax = 64;
const topicsMax = 50;
const eventsMax = 100;

/** @type {ClusterView | undefined} */
let last;
/** When each node was last heard of, by this page. @type {Map<string, number>} */
const heardAtMs = new Map();
/** What has happened, newest first. @type {{ atMs: number, text: string, isBad: boolean }[]} */
const events = [];

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
function made(tag, className, text) {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** @param {number} durationMs */
export function asAge(durationMs) {
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/**
 * @param {ClusterView} view
 * @param {number} nowMs
 * @param {(node: string) => string} roundTrip
 */
function nodeCards({ members, partitions, leader }, nowMs, roundTrip) {
  return members.map(({ node, address, role, isReached, behind, partitionsLed }, index) => {
    const card = made("li", "node");
    card.dataset["node"] = String((index % 6) + 1);
    card.dataset["state"] = isReached ? "good" : "bad";
    const heard = heardAtMs.get(node);
    const away = heard === undefined ? "away" : `away for ${asAge(nowMs - heard)}`;
    const lag = behind === null || (behind === 0 && !isReached) ? "" : behind === 0 ? "up to date" : "behind";
    const title = made("p", "name");
    title.append(made("strong", "", node), ` ${node === leader ? "leads the cluster" : role}`);
    const delay = isReached ? roundTrip(node) : "";
    card.append(
      title,
      made("p", "presence", isReached ? ["here", lag].filter(Boolean).join(", ") : away),
      made("p", "quiet", `leads ${partitionsLed} of ${counted(partitions.length, "partition")}`),
      made("p", "quiet", delay === "" ? address : `${address}, ${delay} to and fro`),
    );
    return card;
  });
}

/** @param {ClusterView} view */
function topicRows({ members, partitions }) {
  const numbers = new Map(members.map(({ node }, index) => [node, String((index % 6) + 1)]));
  /** @type {Map<string, Partition[]>} */
  const topics = new Map();
  for (const partition of partitions) {
    const list = topics.get(partition.topic) ?? [];
    list.push(partition);
    topics.set(partition.topic, list);
  }
  const shown = [...topics].sort(([one], [other]) => (one < other ? -1 : 1)).slice(0, topicsMax);
  const rows = shown.map(([topic, list]) => {
    list.sort((one, other) => one.partition - other.partition);
    const row = made("li", "topic");
    row.append(made("span", "topic-name", topic));
    const wrong = list.filter(({ leader, behind }) => leader === "" || behind > 0);
    const drawn = (list.length > partitionsMax ? wrong : list).slice(0, partitionsMax);
    for (const { partition, leader, behind } of drawn) {
      const chip = made("span", "chip", `${partition} `);
      chip.append(made("b", "", leader === "" ? "none" : leader));
      if (behind > 0) chip.append(made("span", "lacks", ` −${behind}`));
      chip.dataset["node"] = numbers.get(leader) ?? "0";
      const lacks = behind > 0 ? `, ${counted(behind, "copy").replace("copys", "copies")} behind` : "";
      chip.title = `${topic}/${partition}: ${leader === "" ? "no leader" : `${leader} leads`}${lacks}`;
      row.append(chip);
    }
    const rest = list.length - drawn.length;
    if (rest > 0)
      row.append(made("span", "quiet", `${rest} more, of which none has a fault that is not shown`));
    return row;
  });
  if (topics.size > topicsMax)
    rows.push(made("li", "quiet", `and ${counted(topics.size - topicsMax, "topic")} more`));
  return rows.length > 0 ? rows : [made("li", "quiet", "No topics yet.")];
}

/**
 * Shows the cluster in the section `place`, and from the second time on what has happened since.
 * @param {HTMLElement} place
 * @param {ClusterView} view
 * @param {number} nowMs
 * @param {(node: string) => string} roundTrip from the node that is asked to another, as text; empty when not known
 */
export function showCluster(place, view, nowMs, roundTrip) {
  const news = last === undefined ? [] : happened(last, view);
  last = view;
  events.unshift(...news.map((event) => ({ ...event, atMs: nowMs })).reverse());
  events.length = Math.min(events.length, eventsMax);
  for (const { node, isReached } of view.members) if (isReached) heardAtMs.set(node, nowMs);
  /** @param {string} name */
  const part = (name) => /** @type {HTMLElement} */ (place.querySelector(`[data-part="${name}"]`));
  const { text, state } = verdictOf(view);
  const verdict = part("verdict");
  // Set only when it changes: it is read aloud each time.
  if (verdict.textContent !== text) verdict.textContent = text;
  verdict.dataset["state"] = state;
  part("id").textContent = view.clusterId;
  part("nodes").replaceChildren(...nodeCards(view, nowMs, roundTrip));
  part("topics").replaceChildren(...topicRows(view));
  if (news.length > 0)
    part("events").replaceChildren(
      ...events.map(({ atMs, text: what, isBad }) => {
        const line = made("li", isBad ? "bad" : "");
        line.append(made("time", "quiet", new Date(atMs).toLocaleTimeString("en-GB")), ` ${what}`);
        return line;
      }),
    );
  place.hidden = false;
}
