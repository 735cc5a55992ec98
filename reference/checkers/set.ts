/**
 * A set that anyone may add to, as broadcast and the grow-only set are: an element that somebody was told is in, or
 * that somebody has seen, must in the end be seen by everybody, and stay.
 *
 * For each element: it is *known* from the moment when its addition was acknowledged or a read first showed it. It is
 * *stable* when from some moment on every read shows it; how long after it was known that took is its stable latency.
 * It is *lost* when it was known and later reads, up to the last one that could have shown it, do not. These are the
 * notions of Jepsen's set-full checker; in addition an element that is twice in one read, or that nobody ever added,
 * is an error here.
 */
import type { Operation } from "./history.ts";
import { quantilesOf, type Quantiles } from "./quantiles.ts";
import { examplesMax, type Verdict } from "./verdict.ts";

export type SetInput<Element> =
  { readonly kind: "add"; readonly element: Element } | { readonly kind: "read" };

/** The elements, of a read; nothing otherwise. */
export type SetOutput<Element> = readonly Element[];

export interface SetResult<Element> {
  readonly verdict: Verdict;
  readonly attemptCount: number;
  readonly acknowledgedCount: number;
  readonly stableCount: number;
  readonly lostCount: number;
  readonly lost: readonly Element[];
  /** Never shown by any read: an addition that failed, or one that came too late. */
  readonly neverReadCount: number;
  /** Stable, but absent from some read that began after they were known. */
  readonly staleCount: number;
  readonly duplicatedCount: number;
  readonly duplicated: readonly Element[];
  readonly inventedCount: number;
  readonly invented: readonly Element[];
  /** Milliseconds from known to stable. */
  readonly stableLatenciesMs: Quantiles | undefined;
}

/** What is known of one element. Times and places are those of reads' beginnings. */
interface Fate {
  /** Where and when it was known to be in; infinite as long as nobody knows. */
  knownAt: number;
  knownAtUs: number;
  /** Where its addition began: who has seen it before that has made it up. */
  readonly addedAt: number;
  lastPresentAt: number;
  lastAbsentAt: number;
  lastAbsentAtUs: number;
  isAcknowledged: boolean;
  hasFailed: boolean;
}

/** Judges a history. Elements are told apart by their JSON, so that 1 and "1" are two. */
export function checkSet<Element>(
  operations: readonly Operation<SetInput<Element>, SetOutput<Element>>[],
): SetResult<Element> {
  const elements = new Map<Key, Element>();
  const fates = new Map<Key, Fate>();
  for (const { input, outcome, invokedAt: addedAt, completedAt, completedAtUs } of operations) {
    if (input.kind !== "add") continue;
    const key = keyOf(input.element);
    elements.set(key, input.element);
    const [knownAt, knownAtUs] = outcome.kind === "ok" ? [completedAt, completedAtUs] : [Infinity, Infinity];
    const fate = { knownAt, knownAtUs, addedAt, lastPresentAt: -1, lastAbsentAt: -1, lastAbsentAtUs: -1 };
    fates.set(key, { ...fate, isAcknowledged: outcome.kind === "ok", hasFailed: outcome.kind === "failed" });
  }
  const duplicated = new Map<Key, Element>();
  const invented = new Map<Key, Element>();
  const reads = operations.filter(({ input, outcome }) => input.kind === "read" && outcome.kind === "ok");
  for (const read of reads) noteRead(read, fates, duplicated, invented);
  const all = [...fates];
  const stable = all.filter(([, fate]) => fate.lastPresentAt > fate.lastAbsentAt);
  const lost = all.filter(([, fate]) => isLost(fate));
  // Somebody read what its sender was told had failed: the answer was wrong, or the element.
  for (const [key, fate] of all)
    if (fate.hasFailed && fate.lastPresentAt >= 0) invented.set(key, elements.get(key)!);
  const latenciesMs = stable.map(([, fate]) => Math.max(0, (fate.lastAbsentAtUs - fate.knownAtUs) / 1000));
  const isWrong = lost.length > 0 || duplicated.size > 0 || invented.size > 0;
  return {
    verdict: isWrong ? "invalid" : stable.length === 0 ? "unknown" : "valid",
    attemptCount: all.length,
    acknowledgedCount: all.filter(([, { isAcknowledged }]) => isAcknowledged).length,
    stableCount: stable.length,
    lostCount: lost.length,
    lost: lost.slice(0, examplesMax).map(([key]) => elements.get(key)!),
    neverReadCount: all.filter(([, fate]) => fate.lastPresentAt < 0 && !isLost(fate)).length,
    staleCount: latenciesMs.filter((latency) => latency > 0).length,
    duplicatedCount: duplicated.size,
    duplicated: [...duplicated.values()].slice(0, examplesMax),
    inventedCount: invented.size,
    invented: [...invented.values()].slice(0, examplesMax),
    stableLatenciesMs: quantilesOf(latenciesMs),
  };
}

type Key = string | number;

/** Whole numbers, the usual elements, stand for themselves: no text is made for each of millions of reads of them. */
function keyOf(element: unknown): Key {
  return typeof element === "number" ? element : (JSON.stringify(element) ?? "undefined");
}

/** Known, absent from a read that began after that, and never seen in a read that began later still. */
function isLost(fate: Fate): boolean {
  return fate.lastAbsentAt > fate.lastPresentAt && fate.lastAbsentAt > fate.knownAt;
}

function noteRead<Element>(
  {
    outcome,
    invokedAt,
    invokedAtUs,
    completedAt,
    completedAtUs,
  }: Operation<SetInput<Element>, SetOutput<Element>>,
  fates: ReadonlyMap<Key, Fate>,
  duplicated: Map<Key, Element>,
  invented: Map<Key, Element>,
): void {
  if (outcome.kind !== "ok") return;
  const present = new Set<Key>();
  for (const element of outcome.output) {
    const key = keyOf(element);
    if (present.has(key)) duplicated.set(key, element);
    present.add(key);
    const fate = fates.get(key);
    if (fate === undefined || completedAt < fate.addedAt) {
      invented.set(key, element);
      continue;
    }
    fate.lastPresentAt = Math.max(fate.lastPresentAt, invokedAt);
    if (completedAt < fate.knownAt) {
      fate.knownAt = completedAt;
      fate.knownAtUs = completedAtUs;
    }
  }
  for (const [key, fate] of fates) {
    if (present.has(key) || invokedAt < fate.lastAbsentAt) continue;
    fate.lastAbsentAt = invokedAt;
    fate.lastAbsentAtUs = invokedAtUs;
  }
}
