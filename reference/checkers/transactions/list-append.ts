/**
 * Transactions over lists that are only appended to. A read shows the whole history of its key, so the order of the
 * versions is known, and from it who must have come before whom. (The idea is Elle's: Kingsbury and Alvaro, 2020.)
 */
import { findCycles, type FoundCycles } from "./cycles.ts";
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
  type TransactionProblem,
  type Value,
  type Writer,
} from "./history.ts";

export interface TransactionFindings extends FoundCycles {
  readonly problems: readonly TransactionProblem[];
  /** How many transactions were answered; with none there is nothing to judge. */
  readonly committedCount: number;
}

/** A read of a key that did not only see the transaction's own appends. */
interface ListRead {
  readonly reader: Transaction;
  readonly list: readonly Value[];
}

type Writers = ReadonlyMap<string, Writer>;

/** All that is wrong with a history. Kinds of cycle in `forbidden` are looked for with more patience than others. */
export function findListAppendAnomalies(
  operations: readonly TransactionOperation[],
  forbidden: ReadonlySet<string>,
  stepsMax?: number,
): TransactionFindings {
  const problems = new Problems();
  const transactions = transactionsOf(operations, "append", problems);
  const writers = writersOf(operations, transactions);
  const reads = new Map<Key, ListRead[]>();
  for (const transaction of transactions) {
    if (transaction.isCommitted) judgeTransaction(transaction, writers, reads, problems);
  }
  const graph = new TransactionGraph(transactions.length);
  const appends = appendsByKey(transactions);
  for (const key of new Set([...reads.keys(), ...appends.keys()])) {
    addKey(key, reads.get(key) ?? [], appends.get(key) ?? [], writers, graph, problems);
  }
  addObservedOrder(graph, transactions);
  const committedCount = transactions.filter(({ isCommitted }) => isCommitted).length;
  return { problems: problems.list, ...findCycles(graph, forbidden, stepsMax), committedCount };
}

/** What one transaction shows by itself: that it sees its own appends, and nobody's that it must not see. */
function judgeTransaction(
  transaction: Transaction,
  writers: Writers,
  reads: Map<Key, ListRead[]>,
  problems: Problems,
): void {
  /** By key: the list as the transaction last saw it, if it did, and its own appends since. */
  const seen = new Map<Key, { list: readonly Value[] | undefined; own: Value[] }>();
  for (const [kind, key, value] of transaction.steps) {
    const state = seen.get(key) ?? { list: undefined, own: [] };
    seen.set(key, state);
    if (kind !== "r") {
      state.own.push(value);
      continue;
    }
    const list = (value ?? []) as readonly Value[];
    const expected = state.list === undefined ? undefined : [...state.list, ...state.own];
    const isOwnSeen = isSuffix(state.own, list);
    if (expected !== undefined ? !isEqual(expected, list) : !isOwnSeen) {
      problems.add(
        "internal",
        `${nameOf(transaction)}: the read of ${key} does not go with what came before it`,
      );
    }
    judgeElements(transaction, key, list, writers, problems);
    if (state.list === undefined && isOwnSeen) {
      const external = list.slice(0, list.length - state.own.length);
      pushTo(reads, key, { reader: transaction, list: external });
    }
    state.list = list;
    state.own = [];
  }
}

function judgeElements(
  reader: Transaction,
  key: Key,
  list: readonly Value[],
  writers: Writers,
  problems: Problems,
): void {
  if (new Set(list).size < list.length) {
    problems.add("duplicate-elements", `${nameOf(reader)}: ${key} shows an element twice`);
  }
  for (const [position, element] of list.entries()) {
    const writer = writers.get(versionOf(key, element));
    const what = `${nameOf(reader)}: ${JSON.stringify(element)} in ${key}`;
    if (writer === undefined) problems.add("invented-read", `${what} was appended by nobody`);
    else if (writer.transaction === undefined)
      problems.add("G1a", `${what} was appended by a transaction that failed`);
    else if (writer.transaction === reader) {
      const readAt = reader.steps.findIndex(
        ([kind, other, value]) => kind === "r" && other === key && value === list,
      );
      const appendedAt = reader.steps.findIndex(([kind, other, value]) => {
        return kind === "append" && other === key && value === element;
      });
      if (readAt < appendedAt) problems.add("future-read", `${what} is appended only after the read`);
    } else if (position === list.length - 1 && !writer.isFinal)
      problems.add("G1b", `${what} is not the last that ${nameOf(writer.transaction)} appends`);
  }
}

/** By key: who appended what. */
function appendsByKey(
  transactions: readonly Transaction[],
): ReadonlyMap<Key, readonly (readonly [Transaction, Value])[]> {
  const appends = new Map<Key, (readonly [Transaction, Value])[]>();
  for (const transaction of transactions) {
    for (const [kind, key, value] of transaction.steps) {
      if (kind !== "append") continue;
      pushTo(appends, key, [transaction, value] as const);
    }
  }
  return appends;
}

/** Puts in order what is known of one key. */
function addKey(
  key: Key,
  reads: readonly ListRead[],
  appends: readonly (readonly [Transaction, Value])[],
  writers: Writers,
  graph: TransactionGraph,
  problems: Problems,
): void {
  const longest = reads.reduce<readonly Value[]>(
    (best, { list }) => (list.length > best.length ? list : best),
    [],
  );
  const byLength = new Map<number, ListRead[]>();
  for (const read of reads) {
    if (!isPrefix(read.list, longest)) {
      const orders = `${JSON.stringify(read.list)} and ${JSON.stringify(longest)}`;
      problems.add("incompatible-order", `${key} was read as ${orders}`);
      continue;
    }
    pushTo(byLength, read.list.length, read);
  }
  const writerAt = (position: number): Transaction | undefined => {
    const element = longest[position];
    return element === undefined ? undefined : writers.get(versionOf(key, element))?.transaction;
  };
  // What nobody has read can only stand behind all that was read. Whether an unknown one stands there at all does not
  // matter: an edge to what never happened closes no circle, since nothing has seen it.
  const shown = new Set(longest);
  const unread = appends.filter(([, value]) => !shown.has(value));
  const followers = (position: number): readonly Transaction[] => {
    const next = writerAt(position);
    if (next !== undefined) return [next];
    return position >= longest.length ? unread.map(([writer]) => writer) : [];
  };
  for (let position = 0; position < longest.length; position++) {
    const writer = writerAt(position);
    const value = JSON.stringify(longest[position]);
    if (writer === undefined) continue;
    for (const next of followers(position + 1))
      graph.add(writer.index, next.index, "ww", `appended to ${key} behind ${value}`);
    for (const { reader } of byLength.get(position + 1) ?? [])
      graph.add(writer.index, reader.index, "wr", `read ${key} up to ${value}`);
  }
  for (const [length, own] of byLength) {
    for (const { reader } of own) {
      const last = length === 0 ? "as empty" : `up to ${JSON.stringify(longest[length - 1])}`;
      for (const next of followers(length))
        graph.add(reader.index, next.index, "rw", `read ${key} ${last}, before the other appended`);
    }
    noteLostUpdates(key, length, own, problems);
  }
}

/** Of those that read the same version and appended to it, one did not see the other. */
function noteLostUpdates(key: Key, length: number, reads: readonly ListRead[], problems: Problems): void {
  const updaters = new Set(
    reads
      .map(({ reader }) => reader)
      .filter(({ steps }) => {
        const readAt = steps.findIndex(([kind, other]) => kind === "r" && other === key);
        const appendAt = steps.findIndex(([kind, other]) => kind === "append" && other === key);
        return appendAt > readAt;
      }),
  );
  if (updaters.size < 2) return;
  const names = [...updaters].slice(0, 2).map(nameOf).join(" and ");
  problems.add("lost-update", `${names} read ${key} with ${length} elements, and both appended`);
}

function pushTo<MapKey, Item>(map: Map<MapKey, Item[]>, key: MapKey, item: Item): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}

function isEqual(one: readonly Value[], other: readonly Value[]): boolean {
  return one.length === other.length && isPrefix(one, other);
}

function isPrefix(part: readonly Value[], whole: readonly Value[]): boolean {
  return part.length <= whole.length && part.every((value, position) => value === whole[position]);
}

function isSuffix(part: readonly Value[], whole: readonly Value[]): boolean {
  const start = whole.length - part.length;
  return start >= 0 && part.every((value, position) => value === whole[start + position]);
}
