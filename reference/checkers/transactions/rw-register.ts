/**
 * Transactions over registers: a write replaces what was there, and leaves no trace of it. So the order of the versions
 * is known only in part: nothing comes before the first, and who reads a version and then writes the key has made a
 * later one. All that follows from that is found; what does not is not guessed.
 */
import { findCycles } from "./cycles.ts";
import { TransactionGraph } from "./graph.ts";
import {
  addObservedOrder,
  nameOf,
  Problems,
  transactionsOf,
  versionOf,
  writersOf,
  type Key,
  type Transaction,
  type TransactionOperation,
  type Value,
  type Writer,
} from "./history.ts";
import type { TransactionFindings } from "./list-append.ts";

/** What is known of one version of a key: who read it first thing, and which versions were made from it. */
interface Version {
  readonly key: Key;
  readonly value: Value | null;
  readonly readers: Transaction[];
  /** Names of versions that come later. */
  readonly later: Set<string>;
}

/** All that is wrong with a history. Kinds of cycle in `forbidden` are looked for with more patience than others. */
export function findRegisterAnomalies(
  operations: readonly TransactionOperation[],
  forbidden: ReadonlySet<string>,
  stepsMax?: number,
): TransactionFindings {
  const problems = new Problems();
  const transactions = transactionsOf(operations, "w", problems);
  const writers = writersOf(operations, transactions);
  const versions = new Map<string, Version>();
  for (const transaction of transactions) noteTransaction(transaction, writers, versions, problems);
  addFirstVersions(transactions, versions);
  const graph = new TransactionGraph(transactions.length);
  for (const [name, version] of versions) addVersion(name, version, writers, graph);
  noteCyclicVersions(versions, problems);
  addObservedOrder(graph, transactions);
  const committedCount = transactions.filter(({ isCommitted }) => isCommitted).length;
  return { problems: problems.list, ...findCycles(graph, forbidden, stepsMax), committedCount };
}

function versionIn(versions: Map<string, Version>, key: Key, value: Value | null): Version {
  const name = versionOf(key, value);
  const known = versions.get(name);
  if (known !== undefined) return known;
  const version: Version = { key, value, readers: [], later: new Set() };
  versions.set(name, version);
  return version;
}

/** What one transaction shows by itself, and what it tells of versions. */
function noteTransaction(
  transaction: Transaction,
  writers: ReadonlyMap<string, Writer>,
  versions: Map<string, Version>,
  problems: Problems,
): void {
  /** By key: the version that the transaction goes by now. Reads of an unanswered one are not known. */
  const current = new Map<Key, Value | null>();
  for (const [kind, key, value] of transaction.steps) {
    if (kind !== "r") {
      const before = current.get(key);
      if (before !== undefined) versionIn(versions, key, before).later.add(versionOf(key, value));
      current.set(key, value);
      continue;
    }
    if (!transaction.isCommitted) continue;
    const read = value as Value | null;
    const expected = current.get(key);
    if (expected !== undefined) {
      if (expected !== read) {
        const shown = `${JSON.stringify(read)}, not ${JSON.stringify(expected)}`;
        problems.add("internal", `${nameOf(transaction)}: reads ${key} as ${shown}`);
      }
      continue;
    }
    current.set(key, read);
    versionIn(versions, key, read).readers.push(transaction);
    if (read !== null) judgeRead(transaction, key, read, writers, problems);
  }
}

function judgeRead(
  reader: Transaction,
  key: Key,
  value: Value,
  writers: ReadonlyMap<string, Writer>,
  problems: Problems,
): void {
  const writer = writers.get(versionOf(key, value));
  const what = `${nameOf(reader)}: ${key} = ${JSON.stringify(value)}`;
  if (writer === undefined) problems.add("invented-read", `${what} was written by nobody`);
  else if (writer.transaction === undefined)
    problems.add("G1a", `${what} was written by a transaction that failed`);
  else if (writer.transaction === reader)
    problems.add("future-read", `${what} is written only after the read`);
  else if (!writer.isFinal)
    problems.add("G1b", `${what} is not the last that ${nameOf(writer.transaction)} writes`);
}

/** No value at all comes before every value that was written for sure. */
function addFirstVersions(transactions: readonly Transaction[], versions: Map<string, Version>): void {
  for (const { steps, isCommitted } of transactions) {
    for (const [kind, key, value] of steps) {
      const first = versions.get(versionOf(key, null));
      if (kind !== "r" && isCommitted) first?.later.add(versionOf(key, value));
    }
  }
}

function addVersion(
  name: string,
  { key, value, readers, later }: Version,
  writers: ReadonlyMap<string, Writer>,
  graph: TransactionGraph,
): void {
  const shown = `${key} = ${JSON.stringify(value)}`;
  const writer = writers.get(name)?.transaction;
  if (writer !== undefined) {
    for (const reader of readers) graph.add(writer.index, reader.index, "wr", `read ${shown}`);
  }
  for (const next of later) {
    const follower = writers.get(next)?.transaction;
    if (follower === undefined) continue;
    if (writer !== undefined) graph.add(writer.index, follower.index, "ww", `wrote over ${shown}`);
    for (const reader of readers)
      graph.add(reader.index, follower.index, "rw", `read ${shown}, which the other wrote over`);
  }
}

/** Versions that come before themselves, and versions from which two transactions made the next one. */
function noteCyclicVersions(versions: ReadonlyMap<string, Version>, problems: Problems): void {
  const names = [...versions.keys()];
  const numbers = new Map(names.map((name, number) => [name, number]));
  const graph = new TransactionGraph(names.length);
  for (const [name, { key, later }] of versions) {
    for (const next of later) {
      const number = numbers.get(next);
      if (number !== undefined) graph.add(numbers.get(name)!, number, "ww", `${key}`);
    }
  }
  for (const members of graph.components(new Set(["ww"]))) {
    const shown = members.map((member) => names[member]).join(", ");
    problems.add("cyclic-versions", `each of these comes before the others: ${shown}`);
  }
  for (const { key, value, readers } of versions.values()) {
    const updaters = readers.filter(({ steps }) => {
      const readAt = steps.findIndex(([kind, other]) => kind === "r" && other === key);
      const writeAt = steps.findIndex(([kind, other]) => kind === "w" && other === key);
      return writeAt > readAt;
    });
    if (updaters.length < 2) continue;
    const pair = updaters.slice(0, 2).map(nameOf).join(" and ");
    problems.add("lost-update", `${pair} read ${key} = ${JSON.stringify(value)}, and both wrote it`);
  }
}
