/**
 * Makes a server a node of a cluster: checks whose data the folder holds, opens the journal, and wires Raft to sockets.
 */
import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import { Cluster } from "../broker/cluster/cluster.ts";
import { ClusterMetrics } from "../broker/cluster/cluster-metrics.ts";
import { withNames } from "../broker/cluster/cluster-state.ts";
import { clusterDirectory, openIdentity } from "../broker/cluster/identity.ts";
import { RaftJournal } from "../broker/cluster/journal.ts";
import { clusterNodesMax } from "../broker/cluster/membership.ts";
import { proposedBytesMax } from "../broker/cluster/produce-queue.ts";
import type { Credentials, Introduction } from "../client/handshake-call.ts";
import type { MetricsRegistry } from "../observability/metrics.ts";
import type { Disk } from "../ports.ts";
import { DiskError } from "../ports.ts";
import { fastChecksum } from "./checksum/fast-crc32.ts";
import { nodeClock, nodeRandom } from "./clock.ts";
import { NodePeers } from "./cluster-peers.ts";
import { viewCluster } from "./cluster-view.ts";
import type { ClusterView } from "./cluster-view.ts";
import { LeaderWatch, lookMs } from "./leader-watch.ts";
import { NodeNetwork, parseAddress } from "./network.ts";
import type { Settings } from "./settings.ts";
import type { TlsMaterial } from "./tls.ts";

/** A node that takes part. */
export interface ClusterNode {
  readonly kind: "node";
  /** The cluster as all nodes that answer see it. */
  readonly view: () => Promise<ClusterView>;
  /** Hands leadership over and stops taking part. The broker's logs are still open afterwards. */
  stop(): Promise<void>;
}

/** Why it cannot, in one line. */
interface ClusterProblem {
  readonly kind: "problem";
  readonly message: string;
}

/** What the node tells whoever runs it. */
export interface ClusterEvents {
  readonly onNotice: (line: string) => void;
  /** The node can do no more. */
  readonly onHalt: (error: unknown) => void;
}

const journalPath = `${clusterDirectory}/journal`;

/** Messages of many groups share a frame of 1 MiB, a change of the metadata may take 3: both have to get through. */
const frameSizeMin = 4 * 2 ** 20;

/** Whether the settings ask for a cluster, and what is wrong with them. */
export function judgeClusterSettings(settings: Settings): "alone" | "cluster" | ClusterProblem {
  const { node, cluster, join, tlsCa, fsync, frameSizeMax } = settings;
  if (node === "" && cluster.size === 0) {
    if (join) return problem("--join needs --node and --cluster");
    return tlsCa === "" ? "alone" : problem("tlsCa is for nodes of a cluster: it needs --node and --cluster");
  }
  if (node === "") return problem("--cluster needs --node, the name of this server in it");
  if (cluster.size === 0) return problem("--node needs --cluster n1=HOST:PORT,n2=HOST:PORT,…");
  if (!cluster.has(node)) return problem(`--node ${node} is not among the nodes of --cluster`);
  if (fsync === "everysec") {
    return problem("--fsync everysec is not for a cluster: a node must keep what it has promised");
  }
  if (frameSizeMax < frameSizeMin) {
    const why = `its nodes say up to ${frameSizeMin} bytes at once`;
    return problem(`--frame-size-max ${frameSizeMax} is too small for a cluster: ${why}`);
  }
  if (cluster.size > clusterNodesMax)
    return problem(`--cluster names ${cluster.size} nodes, and a cluster has at most ${clusterNodesMax}`);
  const addresses = [...cluster.values()];
  const bad = addresses.find((address) => parseAddress(address) === undefined);
  if (bad !== undefined) return problem(`--cluster: ${bad} is not HOST:PORT`);
  const unfindable = addresses.find((address) => parseAddress(address)?.port === 0);
  if (unfindable !== undefined)
    return problem(`--cluster: ${unfindable}: a node needs a port that the others know`);
  if (new Set(addresses).size < addresses.length)
    return problem("--cluster: two nodes have the same address");
  return "cluster";
}

/** Whether the folder belongs to a node of a cluster: a server that is alone must leave it alone. */
export async function refuseClusterData(disk: Disk): Promise<ClusterProblem | undefined> {
  try {
    await (await disk.open(`${clusterDirectory}/identity.json`, "read")).close();
  } catch (error) {
    if (error instanceof DiskError && error.code === "not-found") return undefined;
    throw error;
  }
  return problem("it is the data of a node of a cluster: start it with --node and --cluster");
}

/** Makes the broker a node. Nothing is sent before this resolves. */
export async function openCluster(
  settings: Settings,
  disk: Disk,
  broker: Broker,
  registry: MetricsRegistry,
  tls: TlsMaterial | undefined,
  events: ClusterEvents,
): Promise<ClusterNode | ClusterProblem> {
  const { node, cluster: addresses, join: isJoining } = settings;
  const random = nodeRandom;
  const checksum = fastChecksum;
  const opened = await openIdentity(disk, { node, members: addresses, isJoining, checksum, random });
  if (opened.kind === "refused") return problem(opened.problem);
  const { identity, isNew } = opened;
  if (isNew && broker.topics.count > 0) {
    return problem("it holds topics of a server without a cluster: begin with an empty folder");
  }
  const isThere = (await disk.list(isNew ? "" : clusterDirectory)).includes(
    isNew ? clusterDirectory : "journal",
  );
  if (!isNew && !isThere) return lost(node, `${journalPath} is missing, and with it this node's promises`);
  await identity.store();
  const journal = await RaftJournal.open(disk, journalPath, fastChecksum);
  if (journal.kind === "damaged") return lost(node, journal.problem);
  const peers = new NodePeers({
    identity,
    network: new NodeNetwork({ connectTimeoutMs: 2000, ...(tls !== undefined && { tls }) }),
    isTls: tls !== undefined,
    clock: nodeClock,
    introduction: introductionOf(settings),
    frameSizeMax: broker.limits.frameSizeMax,
    onRefused: events.onNotice,
  });
  const metrics = new ClusterMetrics(registry);
  const cluster = new Cluster({
    broker,
    metrics,
    identity,
    addresses,
    journal: journal.journal,
    bootstrap:
      identity.first.length === 0 ? undefined : { voters: identity.first, oldVoters: [], learners: [] },
    peers,
    checksum,
    clock: nodeClock,
    random,
    // Whoever gives the server little memory for batches means those that wait for other nodes, too.
    proposedBytesMax: Math.min(proposedBytesMax, settings.memory / 4),
    schedule: (run) => void setImmediate(run),
    onNotice: events.onNotice,
    onHalt: events.onHalt,
  });
  const wrong = await cluster.start();
  if (wrong !== undefined) return lost(node, wrong);
  registry.collect(() => metrics.report(cluster.report()));
  broker.takePart(cluster);
  const waiting = `this node waits to be added: oz cluster add ${node}=${addresses.get(node)}`;
  // A node that knows of no members is none: it was started to be added, or its folder was lost.
  const isAdded = (): boolean => identity.first.length > 0 || cluster.addresses.length > 0;
  const problemOf = () => (isAdded() ? cluster.problem() : waiting);
  const stopWatching = watchLeader(problemOf, events.onNotice);
  const stop = async (): Promise<void> => {
    stopWatching();
    await cluster.stop();
    peers.close();
  };
  const view = (): Promise<ClusterView> =>
    viewCluster(cluster.state(), async (node) => withNames(await peers.stateOf(node)), pause);
  return { kind: "node", view, stop };
}

/** A node shows the others the first secret that clients may show, and with TLS its certificate. */
function introductionOf({ node, tokens, hmacSecrets }: Settings): Introduction {
  const [token] = tokens;
  const [hmac] = hmacSecrets;
  let credentials: Credentials | undefined;
  if (token !== undefined) credentials = { method: "token", name: token[0], token: token[1] };
  else if (hmac !== undefined) credentials = { method: "hmac-sha256", name: hmac[0], secret: hmac[1] };
  const sign = async (secret: string, message: Uint8Array): Promise<Uint8Array> =>
    createHmac("sha256", secret).update(message).digest();
  return { clientName: `node ${node}`, credentials, sign, traceparent: undefined };
}

/** Tells when nobody leads for long; returns what ends that. */
function watchLeader(problemOf: () => string | undefined, onNotice: (line: string) => void): () => void {
  const watch = new LeaderWatch();
  const timer = setInterval(() => {
    const line = watch.look(nodeClock.monotonicTimeMs(), problemOf());
    if (line !== undefined) onNotice(line);
  }, lookMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** A pause that keeps no process alive. */
function pause(durationMs: number): Promise<void> {
  return sleep(durationMs, undefined, { ref: false });
}

/** What cannot be repaired is replaced: with an empty folder the node is somebody new. */
function lost(node: string, what: string): ClusterProblem {
  const start = `empty the folder, start ${node} with --join true`;
  return problem(
    `${what}; to replace it: oz cluster remove ${node}, ${start}, oz cluster add ${node}=HOST:PORT`,
  );
}

function problem(message: string): ClusterProblem {
  return { kind: "problem", message };
}
