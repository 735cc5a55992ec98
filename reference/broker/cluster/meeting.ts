/**
 * How nodes get to know each other: what one says of itself, whom another believes, and when a new cluster begins.
 *
 * Raft stands on members that never forget a promise. A node whose folder was lost has forgotten all, and comes back
 * under its name: with its vote the others could elect a leader that lacks acknowledged records. So a node shows which
 * folder it has, and is refused where another one is known under its name (identity.ts, member-id.ts).
 */
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import { configurationOf } from "../../raft/state.ts";
import type { BrokerConnection } from "../connection.ts";
import type { Clock } from "../../ports.ts";
import { DiskError } from "../../ports.ts";
import { refusalOfDisk } from "../disk-refusal.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Peers } from "./cluster-options.ts";
import type { Identity } from "./identity.ts";
import { memberCalled, memberIdOf, nameOf } from "./member-id.ts";
import type { MetadataGroup } from "./metadata-group.ts";
import type { NodeAddresses } from "./node-addresses.ts";
import { pause } from "./transfer.ts";

/** How often a first member looks for those that it has not met. */
const gatherMs = 100;
/** After so long an operator is told who is missing. */
const patientMs = 5000;
/** Lines about refused nodes. */
const toldMax = 64;

/** The cluster knows this node with another data folder. */
export class OtherFolderError extends Error {
  override readonly name = "other-folder";
}

/** Who answers at a node's address is not that node. */
export class StrangerError extends Error {
  override readonly name = "stranger";
}

/** What a node says when it connects to another one. */
export function introduce(identity: Identity, target: string, frameSizeMax: number): RequestOf<"PeerHello"> {
  const { clusterId, member: node, folder } = identity;
  return { clusterId, node, folder, target: nameOf(target), frameSizeMax };
}

/** Takes note of who has answered an introduction; rejects with a `StrangerError` when it is not who was meant. */
export async function noteAnswer(
  identity: Identity,
  target: string,
  { node, folder }: ReplyOf<"PeerHello">,
): Promise<void> {
  const isKnown = node === target && (node !== nameOf(node) || (await identity.meet(node, folder)));
  if (!isKnown) throw new StrangerError(otherFolderLine(nameOf(target), ""));
  identity.metBy(node);
}

/** What welcoming a node needs. */
export interface ReceptionOptions {
  readonly identity: Identity;
  readonly nodes: NodeAddresses;
  readonly metadata: MetadataGroup;
  readonly frameSizeMax: number;
  readonly onNotice?: (line: string) => void;
}

/** Welcomes other nodes, or refuses them. */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #told = new Set<string>();

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  /** Another node introduces itself; resolves to what is said of this one, or to why it does not belong here. */
  async welcome(
    connection: BrokerConnection,
    request: RequestOf<"PeerHello">,
  ): Promise<ReplyOf<"PeerHello"> | ErrorOutcome> {
    const { identity, frameSizeMax } = this.#options;
    const problem = await welcomePeer(this.#options, connection, request).catch(refusalOfFailure);
    if (problem === undefined) return { node: identity.member, folder: identity.folder, frameSizeMax };
    if (problem.name === "other-folder")
      this.#tell(`node ${nameOf(request.node)} is refused: ${problem.message}`);
    return problem;
  }

  /** Once, so that nobody who knocks can fill the log. */
  #tell(line: string): void {
    if (this.#told.has(line) || this.#told.size >= toldMax) return;
    this.#told.add(line);
    this.#options.onNotice?.(line);
  }
}

/** A folder that cannot be written down cannot be believed. */
function refusalOfFailure(error: unknown): ErrorOutcome {
  if (error instanceof DiskError) return refusalOfDisk(error);
  throw error;
}

async function welcomePeer(
  { identity, nodes, metadata, frameSizeMax }: ReceptionOptions,
  connection: BrokerConnection,
  request: RequestOf<"PeerHello">,
): Promise<ErrorOutcome | undefined> {
  const { clusterId, node, target } = request;
  const name = nameOf(node);
  if (target !== identity.node) {
    return refuse("not-a-member", `this is node ${identity.node}, not ${target}: an address is wrong`);
  }
  const address = nodes.all.get(node) ?? nodes.expected(node);
  if (address === undefined && !nodes.isGone(node)) {
    return refuse("not-a-member", `${name} is not among the nodes that ${identity.node} knows`);
  }
  // Before its cluster counts: a node that joins takes over the cluster of whoever comes first.
  const unproved = address === undefined ? undefined : connection.state.judgeNode?.(name, address);
  if (unproved !== undefined) return refuse("not-a-member", `not proved to be ${name}: ${unproved}`);
  if (!(await identity.admits(clusterId))) {
    const message = `this node belongs to cluster ${identity.clusterId}, ${name} to ${clusterId}`;
    const hint = "a new cluster's first nodes need the same list in --cluster";
    return refuse("not-a-member", `${message}; ${hint}`);
  }
  const other = await judgeFolder(identity, nodes, metadata, request, address ?? "");
  if (other !== undefined) return other;
  if (nodes.isGone(node) || address === undefined) {
    return refuse("not-a-member", `${name} was removed from this cluster: oz cluster add takes it back`);
  }
  const misfit = judgeLimits(identity.node, frameSizeMax, name, request.frameSizeMax);
  if (misfit !== undefined) return misfit;
  if (!nodes.all.has(node)) nodes.tell(node, address);
  connection.state.peer = node;
  return undefined;
}

/** Why a node that shows this folder is not the one that is known under its name. */
async function judgeFolder(
  identity: Identity,
  nodes: NodeAddresses,
  metadata: MetadataGroup,
  { node, folder }: RequestOf<"PeerHello">,
  address: string,
): Promise<ErrorOutcome | undefined> {
  const name = nameOf(node);
  if (node !== name) {
    // Its folder is in its name for Raft: it is nobody else, but two of one name are one too many.
    if (node !== memberIdOf(name, folder)) return refuse("not-a-member", `${node} does not name its folder`);
    const { voters, oldVoters, learners } = configurationOf(metadata.group.state);
    const others = [...voters, ...oldVoters, ...learners].filter((member) => member !== node);
    const isAnother = memberCalled(name, others) !== undefined && !nodes.all.has(node);
    return isAnother ? otherFolder(identity, name, address) : undefined;
  }
  return (await identity.meet(name, folder)) ? undefined : otherFolder(identity, name, address);
}

function otherFolder({ hasBegun }: Identity, name: string, address: string): ErrorOutcome {
  const isNew = `${name} is known with another data folder; if the cluster is new, empty the folders of all its nodes`;
  return refuse("other-folder", hasBegun ? otherFolderLine(name, address) : isNew);
}

/** What an operator is told of a node whose folder is not the one that is known. */
export function otherFolderLine(name: string, address: string): string {
  const what = `${name} is known with another data folder, which holds its promises`;
  const cure = `oz cluster remove ${name}, start ${name} again, oz cluster add ${name}=${address || "HOST:PORT"}`;
  return `${what}; if that is lost: ${cure}`;
}

/** Why two nodes cannot send each other everything that they take. */
function judgeLimits(own: string, ownMax: number, name: string, itsMax: number): ErrorOutcome | undefined {
  if (ownMax === itsMax) return undefined;
  const frames = `${own} takes frames of ${ownMax} bytes, ${name} of ${itsMax}`;
  const cure = "all nodes need the same --frame-size-max, and --memory enough for it";
  return refuse("not-a-member", `${frames}: ${cure}`);
}

/**
 * At an empty folder of a first member: resolves when all other first members have met it. Rejects with an
 * `OtherFolderError` when one of them knows another folder of this name; this one waits to be added from then on.
 */
export async function gather(
  identity: Identity,
  peers: Peers,
  clock: Clock,
  isStopped: () => boolean,
  onNotice: (line: string) => void,
): Promise<void> {
  const tellAtMs = clock.monotonicTimeMs() + patientMs;
  let hasTold = false;
  while (!identity.hasBegun && !isStopped()) {
    const asked = identity.awaited.map(async (node) => {
      const failure = await peers.source(node).members().then(nothing, errorOf);
      return failure?.name === "other-folder"
        ? `node ${node} refuses this one: ${failure.message}`
        : undefined;
    });
    const refused = (await Promise.all(asked)).find((line) => line !== undefined);
    if (refused !== undefined) {
      await identity.standBack();
      throw new OtherFolderError(refused);
    }
    if (identity.awaited.length === 0) return identity.begin();
    if (!hasTold && clock.monotonicTimeMs() >= tellAtMs) {
      hasTold = true;
      onNotice(waitingLine(identity));
    }
    await pause(clock, gatherMs);
  }
}

/** What a node that has not begun waits for. */
export function waitingLine({ awaited }: Identity): string {
  return `waiting for ${awaited.join(", ")}: a new cluster begins when all its first nodes have met`;
}

function nothing(): undefined {
  return undefined;
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
