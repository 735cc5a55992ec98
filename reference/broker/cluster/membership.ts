/**
 * Who is a member of which group: an operator's word about the cluster, and how all groups come to follow it.
 *
 * The metadata's configuration is the wish. Each leader of a partition's group looks at it now and then and brings
 * its own group a step nearer: a new node first receives everything and has no say, then it votes; one that goes
 * hands over what it leads, then it is left out. Nothing of this is remembered between the steps, so the next
 * leader goes on where the last one stopped.
 *
 * A node joins the metadata first and leaves it last: it has to hear of the changes that concern it.
 */
import type { Clock } from "../../ports.ts";
import type { ReplyOf } from "../../protocol/messages.ts";
import type { MemberChange } from "../../raft/membership.ts";
import { configurationOf } from "../../raft/state.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Peers } from "./cluster-options.ts";
import type { Group } from "./group.ts";
import { notLeader } from "./group.ts";
import type { Groups } from "./groups.ts";
import { otherFolderLine } from "./meeting.ts";
import { memberCalled, memberIdOf, nameOf } from "./member-id.ts";
import type { MetadataGroup } from "./metadata-group.ts";
import { pause } from "./transfer.ts";

const stepMs = 50;
/** The most nodes of a cluster: each votes in all groups, and all that is written goes to each. */
export const clusterNodesMax = 32;
const addTimeoutMs = 60_000;
/** How long a node that is to be added may take to answer. */
const reachTimeoutMs = 5000;
const removeTimeoutMs = 20_000;
/** What a node may be called, as on the command line. */
const namePattern = /^[a-zA-Z0-9._-]{1,64}$/;
/** Clients get all addresses as one text, with commas between. */
const addressPattern = /^[^\s,;=]{1,255}$/;

/** The nodes that shall vote in every partition's group; undefined while that is being changed. */
export function wishedVoters({ group, machine }: MetadataGroup): readonly string[] | undefined {
  if (!isSettled(group)) return undefined;
  return configurationOf(group.state).voters.filter((voter) => !machine.leaving.has(voter));
}

/** At a group's leader: one step towards the wish. */
export function reconcile(group: Group, wish: readonly string[]): void {
  if (!group.isReady || !isSettled(group) || wish.length === 0) return;
  const { voters, learners } = configurationOf(group.state);
  const missing = wish.filter((node) => !voters.includes(node));
  const extra = [...voters, ...learners].filter((node) => !wish.includes(node));
  if (missing.length === 0 && extra.length === 0) return;
  const { id, transfer } = group.state;
  if (missing.length === 0 && !wish.includes(id)) {
    // Who is to go does not lead: somebody who stays carries it out.
    const heir = wish.find((node) => voters.includes(node));
    if (heir !== undefined && transfer === undefined)
      group.command((raft, nowMs) => raft.transfer(heir, nowMs));
    return;
  }
  const isReceiving = missing.every((node) => learners.includes(node));
  // Nodes that go stay until those that come have everything: there are never fewer copies than before or after.
  const change: MemberChange = isReceiving
    ? { voters: missing.length > 0 ? [...voters, ...missing] : [...wish] }
    : { voters, learners: missing };
  group.command((raft, nowMs) => raft.changeMembers(change, nowMs));
}

/** At the metadata's leader: a node that no partition needs any more leaves the cluster. */
export function finishLeaving(metadata: MetadataGroup, groups: Groups): void {
  const { group, machine } = metadata;
  if (!group.isReady || !isSettled(group)) return;
  const { voters, learners } = configurationOf(group.state);
  for (const node of machine.leaving) {
    const isMember = voters.includes(node) || learners.includes(node);
    if (!isMember) void metadata.propose({ kind: "left", node });
    else if (groupsWith(groups, node) === 0 && node !== group.state.id) {
      const rest = voters.filter((voter) => voter !== node);
      group.command((raft, nowMs) => raft.changeMembers({ voters: rest }, nowMs));
    }
  }
}

/** What is wrong with an address: a node that is looked for where another one is would be cut off, without a word. */
export function judgeAddress(
  { group, machine }: MetadataGroup,
  addresses: ReadonlyMap<string, string>,
  name: string,
  address: string,
): ErrorOutcome | undefined {
  if (!namePattern.test(name))
    return refuse("invalid-request", `${JSON.stringify(name)} is no name of a node`);
  if (!addressPattern.test(address))
    return refuse("invalid-request", `${JSON.stringify(address)} is no address`);
  if (memberCalled(name, machine.leaving) !== undefined) return beingRemoved(name);
  const { voters, learners } = configurationOf(group.state);
  const isMember = memberCalled(name, [...voters, ...learners]) !== undefined;
  if (!isMember && voters.length + learners.length >= clusterNodesMax)
    return refuse("invalid-request", `the cluster has ${clusterNodesMax} nodes, as many as it takes`);
  const isTaken = (node: string): boolean => nameOf(node) !== name && addresses.get(node) === address;
  const taken = [...voters, ...learners].find(isTaken);
  if (taken !== undefined) return refuse("invalid-request", `${address} is the address of ${nameOf(taken)}`);
  const voter = memberCalled(name, voters);
  const known = voter === undefined ? undefined : addresses.get(voter);
  if (voter === undefined || known === address) return undefined;
  return refuse("invalid-request", `${name} is a node of this cluster already, at ${known ?? "no address"}`);
}

/** Why the node that was found at an address may not be added: what its name has promised lies in another folder. */
export function judgeFound(
  metadata: MetadataGroup,
  { node, folder }: ReplyOf<"PeerHello">,
  address: string,
): ErrorOutcome | undefined {
  const name = nameOf(node);
  const { voters, learners } = configurationOf(metadata.group.state);
  const known = memberCalled(name, [...voters, ...learners]) ?? node;
  // One of the first, which was removed, may come back with the folder that it had, and no other.
  const isSame = node === name ? metadata.folderOf(name) === folder : node === memberIdOf(name, folder);
  return known === node && isSame ? undefined : refuse("other-folder", otherFolderLine(name, address));
}

/**
 * Waits until a node answers as one that joins, and resolves to who it is: one that cannot be reached would
 * be waited for by all who write, as soon as it votes. Else resolves to why it does not.
 */
export async function reachNode(
  peers: Peers,
  clock: Clock,
  name: string,
  address: string,
): Promise<ReplyOf<"PeerHello"> | ErrorOutcome> {
  const deadlineMs = clock.monotonicTimeMs() + reachTimeoutMs;
  for (;;) {
    try {
      return await peers.identify(name, address);
    } catch (error) {
      if (clock.monotonicTimeMs() >= deadlineMs) {
        const reason = error instanceof Error ? error.message : String(error);
        return refuse("request-timeout", `no node ${name} that joins answers at ${address}: ${reason}`);
      }
      await pause(clock, stepMs);
    }
  }
}

/** Adds a node whose address is known. Resolves when it votes everywhere, or to why it does not. */
export async function addNode(
  metadata: MetadataGroup,
  groups: Groups,
  clock: Clock,
  node: string,
): Promise<ErrorOutcome | undefined> {
  const { group, machine } = metadata;
  const isVoter = (): boolean => isSettled(group) && configurationOf(group.state).voters.includes(node);
  const isEverywhere = (): boolean => groupsWithout(groups, node) === 0;
  const step = (): string | ErrorOutcome => {
    // Somebody wants it gone by now: adding it again would undo that, without end.
    if (machine.leaving.has(node) || machine.gone.has(node)) return beingRemoved(nameOf(node));
    const { voters, learners } = configurationOf(group.state);
    if (isVoter()) return `${groupsWithout(groups, node)} partitions do without it yet`;
    const change = learners.includes(node) ? { voters: [...voters, node] } : { voters, learners: [node] };
    const changed = group.command((raft, nowMs) => raft.changeMembers(change, nowMs));
    return changed.kind === "refused" ? changed.reason : "it is not committed";
  };
  return until(group, clock, addTimeoutMs, () => isVoter() && isEverywhere(), step);
}

/** Removes a node. Resolves when it has no say any more, or to why it still has. */
export async function removeNode(
  metadata: MetadataGroup,
  groups: Groups,
  clock: Clock,
  name: string,
): Promise<ErrorOutcome | undefined> {
  const { group } = metadata;
  const { voters, learners } = configurationOf(group.state);
  const node = memberCalled(name, [...voters, ...learners]);
  if (node === undefined) return refuse("invalid-request", `the cluster has no node ${name}`);
  if (voters.length === 1 && voters[0] === node) {
    return refuse("invalid-request", `${name} is the last node: a cluster of none keeps nothing`);
  }
  if (group.state.id === node) {
    return refuse("invalid-request", `${name} leads: transfer the leadership first, to another node`);
  }
  const problem = await metadata.propose({ kind: "leave", node });
  if (problem !== undefined) return problem;
  const isGone = (): boolean => {
    const now = configurationOf(group.state);
    const isMember = now.voters.includes(node) || now.learners.includes(node);
    // Until everybody knows that it has left, it cannot be added again.
    return isSettled(group) && !isMember && !metadata.machine.leaving.has(node);
  };
  const step = (): string => {
    const count = groupsWith(groups, node);
    return count > 0 ? `${count} partitions still have it` : "it is not committed";
  };
  return until(group, clock, removeTimeoutMs, isGone, step);
}

/** Takes steps, while this node leads, until it is done. */
async function until(
  group: Group,
  clock: Clock,
  timeoutMs: number,
  isDone: () => boolean,
  step: () => string | ErrorOutcome,
): Promise<ErrorOutcome | undefined> {
  const deadlineMs = clock.monotonicTimeMs() + timeoutMs;
  while (!isDone()) {
    if (group.state.role !== "leader") return notLeader(group.state.leader);
    const reason = step();
    if (typeof reason !== "string") return reason;
    if (clock.monotonicTimeMs() >= deadlineMs) {
      return refuse("request-timeout", `the members have not changed within ${timeoutMs} ms: ${reason}`);
    }
    await pause(clock, stepMs);
  }
  return undefined;
}

function beingRemoved(name: string): ErrorOutcome {
  return refuse("invalid-request", `${name} is being removed: add it when it has left`);
}

/** Partitions of which a node is a member in some way, as far as this node knows. */
function groupsWith(groups: Groups, node: string): number {
  let count = 0;
  for (const { group } of groups.all) {
    const { voters, oldVoters, learners } = configurationOf(group.state);
    if (!isSettled(group) || [...voters, ...oldVoters, ...learners].includes(node)) count++;
  }
  return count;
}

/** Partitions in which a node does not vote, as far as this node knows. */
function groupsWithout(groups: Groups, node: string): number {
  let count = 0;
  for (const { group } of groups.all) {
    if (!isSettled(group) || !configurationOf(group.state).voters.includes(node)) count++;
  }
  return count;
}

/** Whether no change is half done. */
function isSettled({ state: { configurations, commitIndex } }: Group): boolean {
  const latest = configurations[configurations.length - 1];
  return latest !== undefined && latest.index <= commitIndex && latest.configuration.oldVoters.length === 0;
}
