/**
 * Changes that take several steps of Raft: adding a node, removing one, handing leadership over.
 *
 * A new node first receives everything and has no say; when it has nearly caught up it becomes a voter. So a cluster of
 * three is never, not for a moment, a cluster of four of which two hold the records.
 */
import type { Clock } from "../../ports.ts";
import type { Changed, MemberChange } from "../../raft/membership.ts";
import { configurationOf } from "../../raft/state.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Replica } from "./replica.ts";
import { notLeader } from "./replica.ts";

const stepMs = 50;
const addTimeoutMs = 60_000;
const removeTimeoutMs = 10_000;
const transferTimeoutMs = 3000;

/** Adds a node whose address is known. Resolves when it votes, or to why it does not. */
export async function addNode(
  replica: Replica,
  clock: Clock,
  node: string,
): Promise<ErrorOutcome | undefined> {
  const { voters } = configurationOf(replica.state);
  if (voters.includes(node)) return undefined;
  const isLearner = (): boolean => configurationOf(replica.state).learners.includes(node);
  const joined = await until(replica, clock, addTimeoutMs, isLearner, () => ({ voters, learners: [node] }));
  if (joined !== undefined) return joined;
  const isVoter = (): boolean => isSettled(replica) && configurationOf(replica.state).voters.includes(node);
  return until(replica, clock, addTimeoutMs, isVoter, () => ({ voters: [...voters, node] }));
}

/** Removes a node. Resolves when it has no say any more, or to why it still has. */
export async function removeNode(
  replica: Replica,
  clock: Clock,
  node: string,
): Promise<ErrorOutcome | undefined> {
  const { voters, learners } = configurationOf(replica.state);
  if (!voters.includes(node) && !learners.includes(node)) {
    return refuse("invalid-request", `the cluster has no node ${node}`);
  }
  if (voters.length === 1 && voters[0] === node) {
    return refuse("invalid-request", `${node} is the last node: a cluster of none keeps nothing`);
  }
  if (replica.state.id === node) {
    return refuse("invalid-request", `${node} leads: transfer the leadership first, to another node`);
  }
  const rest = voters.filter((voter) => voter !== node);
  const isGone = (): boolean => {
    const now = configurationOf(replica.state);
    return isSettled(replica) && !now.voters.includes(node) && !now.learners.includes(node);
  };
  return until(replica, clock, removeTimeoutMs, isGone, () => ({ voters: rest }));
}

/** Hands leadership to a node, or to any; resolves when this node leads no more. */
export async function transferTo(
  replica: Replica,
  clock: Clock,
  node: string | undefined,
): Promise<ErrorOutcome | undefined> {
  const { role, id, progress } = replica.state;
  if (role !== "leader") return node === undefined ? undefined : notLeader(replica.state.leader);
  if (node === id) return undefined;
  const others = configurationOf(replica.state).voters.filter((voter) => voter !== id);
  const matchOf = (voter: string): number => progress.get(voter)?.matchIndex ?? 0;
  const target = node ?? others.toSorted((one, other) => matchOf(other) - matchOf(one))[0];
  if (target === undefined) return undefined;
  const result = replica.command((raft, nowMs) => raft.transfer(target, nowMs));
  if (result.kind === "refused") {
    return refuse("invalid-request", `cannot hand over to ${target}: ${result.reason}`);
  }
  const deadlineMs = clock.monotonicTimeMs() + transferTimeoutMs;
  while (replica.state.role === "leader") {
    if (clock.monotonicTimeMs() >= deadlineMs || replica.state.transfer === undefined) {
      return refuse("request-timeout", `${target} has not taken over within ${transferTimeoutMs} ms`);
    }
    await pause(clock);
  }
  return undefined;
}

/** Asks for the change again and again, while that can help, until it is done. */
async function until(
  replica: Replica,
  clock: Clock,
  timeoutMs: number,
  isDone: () => boolean,
  change: () => MemberChange,
): Promise<ErrorOutcome | undefined> {
  const deadlineMs = clock.monotonicTimeMs() + timeoutMs;
  let reason = "";
  while (!isDone()) {
    if (replica.state.role !== "leader") return notLeader(replica.state.leader);
    if (clock.monotonicTimeMs() >= deadlineMs) {
      const why = reason === "" ? "it is not committed" : reason;
      return refuse("request-timeout", `the members have not changed within ${timeoutMs} ms: ${why}`);
    }
    const changed: Changed = replica.command((raft, nowMs) => raft.changeMembers(change(), nowMs));
    if (changed.kind === "refused") ({ reason } = changed);
    await pause(clock);
  }
  return undefined;
}

/** Whether no change is half done. */
function isSettled(replica: Replica): boolean {
  const { configurations, commitIndex } = replica.state;
  const latest = configurations[configurations.length - 1];
  return latest !== undefined && latest.index <= commitIndex && latest.configuration.oldVoters.length === 0;
}

function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => void clock.after(stepMs, resolve));
}
