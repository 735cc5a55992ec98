/** Handing leadership over, of one group or of all that a node leads. */
import type { Clock } from "../../ports.ts";
import { configurationOf } from "../../raft/state.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Group } from "./group.ts";
import { notLeader } from "./group.ts";
import { nameOf } from "./member-id.ts";

/** A group whose leadership can be handed over. */
export interface Led {
  readonly group: Group;
  /** Takes no more for the moment; resolves when what was taken is answered, or soon anyway. */
  drain(): Promise<void>;
  /** Takes requests again. */
  release(): void;
}

const stepMs = 20;
const transferTimeoutMs = 3000;
/** A node that has been silent for longer is not handed anything without having been named. */
const silentMsMax = 1000;

/**
 * Hands a group's leadership to a node, or to any; resolves when this node leads no more, or to why it still does.
 */
export async function transferTo(
  led: Led,
  clock: Clock,
  node: string | undefined,
): Promise<ErrorOutcome | undefined> {
  if (led.group.state.role === "leader") await led.drain();
  const problem = await transferDrained(led.group, clock, node);
  led.release();
  return problem;
}

async function transferDrained(
  group: Group,
  clock: Clock,
  node: string | undefined,
): Promise<ErrorOutcome | undefined> {
  const { role, id, term, transfer } = group.state;
  if (role !== "leader") return node === undefined ? undefined : notLeader(group.state.leader);
  const target = node ?? bestOf(group);
  if (target === undefined || target === id) return undefined;
  if (transfer === undefined) {
    const result = group.command((raft, nowMs) => raft.transfer(target, nowMs));
    if (result.kind === "refused") {
      return refuse("invalid-request", `cannot hand over to ${nameOf(target)}: ${result.reason}`);
    }
  }
  const deadlineMs = clock.monotonicTimeMs() + transferTimeoutMs;
  while (group.state.role === "leader" && group.state.term === term) {
    if (clock.monotonicTimeMs() >= deadlineMs || group.state.transfer === undefined) {
      return refuse("request-timeout", `${nameOf(target)} has not taken over in time`);
    }
    await pause(clock, stepMs);
  }
  return undefined;
}

/** Hands over all of these groups that this node leads; resolves to why one of them stayed. */
export async function transferAll(
  groups: Iterable<Led>,
  clock: Clock,
  node: string | undefined,
): Promise<ErrorOutcome | undefined> {
  const led = [...groups].filter(({ group }) => group.state.role === "leader");
  const results = await Promise.all(led.map((one) => transferTo(one, clock, node)));
  return results.find((result) => result !== undefined);
}

/** The voter that has most of the log, of those that are there. */
function bestOf(group: Group): string | undefined {
  const { id, progress, nowMs } = group.state;
  const isThere = (voter: string): boolean => nowMs - (progress.get(voter)?.heardAtMs ?? 0) <= silentMsMax;
  const others = configurationOf(group.state).voters.filter((voter) => voter !== id && isThere(voter));
  const matchOf = (voter: string): number => progress.get(voter)?.matchIndex ?? 0;
  return others.toSorted((one, other) => matchOf(other) - matchOf(one))[0];
}

/** Resolves after a while. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.after(delayMs, resolve));
}

/** Resolves when something is so, or when that takes too long. */
export async function untilSo(
  isSo: () => boolean,
  clock: Clock,
  timeoutMs: number,
  lookMs: number,
): Promise<void> {
  const deadlineMs = clock.monotonicTimeMs() + timeoutMs;
  while (!isSo() && clock.monotonicTimeMs() < deadlineMs) await pause(clock, lookMs);
}
