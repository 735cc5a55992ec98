/**
 * A log by key, as Kafka's: each key has a log of messages; who sends learns an offset, who polls gets messages by
 * offset, in order, without holes.
 *
 * Messages of one key are all different, so a message that is read tells which send it came from. From all offsets that
 * anybody was told the *order* of a key's log is known as far as it can be known; messages are then numbered without
 * gaps, since offsets may have some. The anomalies and their names are those of Jepsen's Kafka workload; each is
 * found in one pass, so that a history of any length costs time in proportion.
 */
import type { Operation } from "./history.ts";
import { examplesMax, type Verdict } from "./verdict.ts";

export type KafkaInput =
  | { readonly kind: "send"; readonly key: string; readonly message: number }
  /** From now on the client polls these keys; it forgets its place in all others, and with `fromStart` in these. */
  | { readonly kind: "assign"; readonly keys: readonly string[]; readonly fromStart?: boolean }
  | { readonly kind: "poll" }
  | { readonly kind: "commit"; readonly offsets: Readonly<Record<string, number>> }
  | { readonly kind: "list-committed"; readonly keys: readonly string[] };

export type KafkaOutput =
  | { readonly kind: "sent"; readonly offset: number }
  /** `isCommitted`: the client committed the last offset of each key, and whether that was acknowledged. */
  | { readonly kind: "polled"; readonly messages: PolledMessages; readonly isCommitted?: boolean }
  | { readonly kind: "committed"; readonly offsets: Readonly<Record<string, number>> }
  | { readonly kind: "done" };

/** By key: pairs of offset and message, in the order in which they came. */
export type PolledMessages = Readonly<Record<string, readonly (readonly [number, number])[]>>;

export const kafkaAnomalies = {
  "inconsistent-offsets": "One offset of a key has two different messages.",
  duplicate: "One message stands at several offsets.",
  "lost-write": "An acknowledged message stands before others that were read, and nobody has read it.",
  "aborted-read": "A poll returned a message whose send had failed (G1a).",
  "invented-read": "A poll returned a message that nobody had sent yet, or ever.",
  "int-poll-skip": "Within one poll, messages in between were left out.",
  "poll-skip": "Between two polls of a client, messages in between were left out.",
  "int-nonmonotonic-poll": "Within one poll, a message came again, or an earlier one after it.",
  "nonmonotonic-poll": "A poll went back behind what the client had been given.",
  "nonmonotonic-send": "A client's own messages stand in another order than the one in which it sent them.",
  unseen: "An acknowledged message was never returned by any poll.",
  "commit-regression": "A committed offset was seen to go back.",
  "invented-commit": "A committed offset was reported that nobody had ever asked to commit.",
} as const;

export type KafkaAnomaly = keyof typeof kafkaAnomalies;

export interface KafkaProblem {
  readonly anomaly: KafkaAnomaly;
  readonly key: string;
  /** What was seen, with its numbers. */
  readonly reason: string;
}

export interface KafkaResult {
  readonly verdict: Verdict;
  readonly sendCount: number;
  readonly acknowledgedCount: number;
  readonly pollCount: number;
  readonly readCount: number;
  readonly counts: Readonly<Partial<Record<KafkaAnomaly, number>>>;
  /** A few of each kind. */
  readonly problems: readonly KafkaProblem[];
}

type KafkaOperation = Operation<KafkaInput, KafkaOutput>;

/** Judges a history. Without any message that was sent and read there is nothing to judge. */
export function checkKafkaLog(operations: readonly KafkaOperation[]): KafkaResult {
  const findings = new Findings();
  const logs = new Map<string, KeyLog>();
  const logOf = (key: string): KeyLog => {
    const log = logs.get(key) ?? new KeyLog(key);
    logs.set(key, log);
    return log;
  };
  const counts = { sendCount: 0, acknowledgedCount: 0, pollCount: 0, readCount: 0 };
  for (const operation of operations) noteSend(operation, logOf, counts);
  for (const { outcome, completedAt } of operations) {
    if (outcome.kind !== "ok" || outcome.output.kind !== "polled") continue;
    counts.pollCount++;
    for (const [key, pairs] of Object.entries(outcome.output.messages)) {
      counts.readCount += pairs.length;
      for (const [offset, message] of pairs) logOf(key).noteRead(offset, message, completedAt, findings);
    }
  }
  for (const log of logs.values()) log.judge(findings);
  for (const own of Map.groupBy(operations, ({ process }) => process).values())
    judgeClient(own, logOf, findings);
  judgeCommits(operations, findings);
  const isEmpty = counts.acknowledgedCount === 0 || counts.readCount === 0;
  return {
    verdict: findings.problems.length > 0 ? "invalid" : isEmpty ? "unknown" : "valid",
    ...counts,
    counts: Object.fromEntries(findings.counts),
    problems: findings.problems,
  };
}

function noteSend(
  { input, outcome, invokedAt }: KafkaOperation,
  logOf: (key: string) => KeyLog,
  counts: { sendCount: number; acknowledgedCount: number },
): void {
  if (input.kind !== "send") return;
  counts.sendCount++;
  const log = logOf(input.key);
  log.sends.set(input.message, { invokedAt, hasFailed: outcome.kind === "failed" });
  if (outcome.kind !== "ok" || outcome.output.kind !== "sent") return;
  counts.acknowledgedCount++;
  log.place(outcome.output.offset, input.message);
  log.acknowledged.set(input.message, outcome.output.offset);
}

/** What is wrong: all of it counted, some of it kept. */
class Findings {
  readonly counts = new Map<KafkaAnomaly, number>();
  readonly problems: KafkaProblem[] = [];

  add(anomaly: KafkaAnomaly, key: string, reason: string): void {
    const count = (this.counts.get(anomaly) ?? 0) + 1;
    this.counts.set(anomaly, count);
    if (count <= examplesMax) this.problems.push({ anomaly, key, reason });
  }
}

/** All that is known of one key's log. */
class KeyLog {
  readonly key: string;
  /** By message. */
  readonly sends = new Map<number, { readonly invokedAt: number; readonly hasFailed: boolean }>();
  /** By message: the offset that its sender was told. */
  readonly acknowledged = new Map<number, number>();
  /** By offset, and the other way round. */
  readonly #messages = new Map<number, Set<number>>();
  readonly #offsets = new Map<number, Set<number>>();
  readonly #read = new Set<number>();
  #offsetReadMax = -1;
  /** The offsets at which there is something, in order: its places are the numbers without gaps. */
  #places: ReadonlyMap<number, number> | undefined;

  constructor(key: string) {
    this.key = key;
  }

  place(offset: number, message: number): void {
    add(this.#messages, offset, message);
    add(this.#offsets, message, offset);
  }

  noteRead(offset: number, message: number, completedAt: number, findings: Findings): void {
    this.place(offset, message);
    const isNew = !this.#read.has(message);
    this.#read.add(message);
    this.#offsetReadMax = Math.max(this.#offsetReadMax, offset);
    if (!isNew) return;
    const send = this.sends.get(message);
    const where = `message ${message} at offset ${offset}`;
    if (send === undefined || send.invokedAt > completedAt) {
      findings.add("invented-read", this.key, `${where} was read, but had not been sent`);
    } else if (send.hasFailed) {
      findings.add("aborted-read", this.key, `${where} was read, but its send had failed`);
    }
  }

  /** The number of the message at an offset, counted without gaps from the first that is known of. */
  indexOf(offset: number): number {
    this.#places ??= new Map(
      [...this.#messages.keys()].sort((one, other) => one - other).map((at, n) => [at, n]),
    );
    return this.#places.get(offset) ?? -1;
  }

  judge(findings: Findings): void {
    for (const [offset, messages] of this.#messages) {
      if (messages.size === 1) continue;
      const list = [...messages].join(" and ");
      findings.add("inconsistent-offsets", this.key, `offset ${offset} has messages ${list}`);
    }
    for (const [message, offsets] of this.#offsets) {
      if (offsets.size === 1) continue;
      const list = [...offsets].join(" and ");
      findings.add("duplicate", this.key, `message ${message} stands at offsets ${list}`);
    }
    for (const [message, offset] of this.acknowledged) {
      if (this.#read.has(message)) continue;
      const where = `message ${message}, acknowledged at offset ${offset}`;
      if (offset <= this.#offsetReadMax) {
        const reason = `${where}, was never read, but offset ${this.#offsetReadMax} was`;
        findings.add("lost-write", this.key, reason);
      }
      findings.add("unseen", this.key, `${where}, was never read`);
    }
  }
}

/** One client's own view: what it polls goes on from where it was, and what it sends stands in its order. */
function judgeClient(
  operations: readonly KafkaOperation[],
  logOf: (key: string) => KeyLog,
  findings: Findings,
): void {
  let places = new Map<string, number>();
  const sent = new Map<string, number>();
  for (const { input, outcome, process } of operations) {
    if (input.kind === "assign" && outcome.kind !== "failed") {
      const kept = input.fromStart === true ? [] : input.keys;
      places = new Map([...places].filter(([key]) => kept.includes(key)));
    }
    if (outcome.kind !== "ok") continue;
    if (input.kind === "send" && outcome.output.kind === "sent") {
      const { key } = input;
      const { offset } = outcome.output;
      const before = sent.get(key) ?? -1;
      if (offset <= before) {
        const reason = `${process} was told offset ${offset} for its message ${input.message} after ${before}`;
        findings.add("nonmonotonic-send", key, reason);
      }
      sent.set(key, offset);
    }
    if (outcome.output.kind !== "polled") continue;
    for (const [key, pairs] of Object.entries(outcome.output.messages)) {
      judgePoll(process, logOf(key), pairs, places, findings);
    }
  }
}

function judgePoll(
  process: string,
  log: KeyLog,
  pairs: readonly (readonly [number, number])[],
  places: Map<string, number>,
  findings: Findings,
): void {
  pairs.forEach(([offset], position) => {
    const prefix = position > 0 ? "int-" : "";
    const before = places.get(log.key);
    const index = log.indexOf(offset);
    places.set(log.key, index);
    if (before === undefined) return;
    const step = `${process} got message number ${index} (offset ${offset}) after number ${before}`;
    if (index > before + 1) findings.add(`${prefix}poll-skip`, log.key, step);
    if (index <= before) findings.add(`${prefix}nonmonotonic-poll`, log.key, step);
  });
}

/** An offset of a key that is known to be committed from some place in the history on. */
interface CommitFact {
  readonly at: number;
  readonly key: string;
  readonly offset: number;
}

/**
 * Committed offsets only grow: who asks after somebody was told that an offset is committed, or has seen it, must be
 * told no less. And nobody may be told of one that nobody has asked to commit.
 */
function judgeCommits(operations: readonly KafkaOperation[], findings: Findings): void {
  const { known, told, asked } = commitFacts(operations);
  known.sort((one, other) => one.at - other.at);
  const highest = new Map<string, number>();
  let next = 0;
  for (const { key, offset, askedAt } of told.toSorted((one, other) => one.askedAt - other.askedAt)) {
    for (; next < known.length && known[next]!.at < askedAt; next++) {
      const fact = known[next]!;
      highest.set(fact.key, Math.max(fact.offset, highest.get(fact.key) ?? -1));
    }
    const least = highest.get(key) ?? -1;
    if (offset < least) {
      findings.add("commit-regression", key, `committed offset ${offset} was reported after ${least}`);
    }
    if (offset >= 0 && asked.get(key)?.has(offset) !== true) {
      findings.add(
        "invented-commit",
        key,
        `committed offset ${offset} was reported, and nobody had committed it`,
      );
    }
  }
}

/** What is known to be committed, what clients were told of it, and all that anybody has asked to commit. */
function commitFacts(operations: readonly KafkaOperation[]): {
  readonly known: CommitFact[];
  readonly told: readonly (CommitFact & { readonly askedAt: number })[];
  readonly asked: ReadonlyMap<string, ReadonlySet<number>>;
} {
  const known: CommitFact[] = [];
  const told: (CommitFact & { readonly askedAt: number })[] = [];
  const asked = new Map<string, Set<number>>();
  const ask = (offsets: readonly (readonly [string, number])[], acknowledgedAt: number | undefined): void => {
    for (const [key, offset] of offsets) {
      asked.set(key, (asked.get(key) ?? new Set()).add(offset));
      if (acknowledgedAt !== undefined) known.push({ at: acknowledgedAt, key, offset });
    }
  };
  for (const { input, outcome, invokedAt, completedAt } of operations) {
    const output = outcome.kind === "ok" ? outcome.output : undefined;
    if (input.kind === "commit")
      ask(Object.entries(input.offsets), output === undefined ? undefined : completedAt);
    if (output?.kind === "polled" && output.isCommitted !== undefined) {
      const lasts = Object.entries(output.messages).map(([key, pairs]) => [key, pairs.at(-1)?.[0]] as const);
      const offsets = lasts.filter((last): last is readonly [string, number] => last[1] !== undefined);
      ask(offsets, output.isCommitted ? completedAt : undefined);
    }
    if (output?.kind !== "committed" || !("keys" in input)) continue;
    for (const key of input.keys) {
      const fact = { at: completedAt, key, offset: output.offsets[key] ?? -1 };
      known.push(fact);
      told.push({ ...fact, askedAt: invokedAt });
    }
  }
  return { known, told, asked };
}

function add(map: Map<number, Set<number>>, from: number, to: number): void {
  const set = map.get(from) ?? new Set();
  set.add(to);
  map.set(from, set);
}
