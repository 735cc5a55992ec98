/** An operator's changes of a cluster: nodes that come and go, and who leads. */
import type { RequestOf } from "../../protocol/messages.ts";
import { configurationOf } from "../../raft/state.ts";
import type { Clock } from "../../ports.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Peers } from "./cluster-options.ts";
import type { Groups } from "./groups.ts";
import type { Identity } from "./identity.ts";
import { memberCalled } from "./member-id.ts";
import { addNode, judgeAddress, judgeFound, reachNode, removeNode } from "./membership.ts";
import type { MetadataGroup } from "./metadata-group.ts";
import type { NodeAddresses } from "./node-addresses.ts";
import type { Led } from "./transfer.ts";
import { transferAll } from "./transfer.ts";

/** What a change works on. */
export interface ChangeOptions {
  readonly identity: Identity;
  readonly metadata: MetadataGroup;
  readonly groups: Groups;
  readonly nodes: NodeAddresses;
  readonly peers: Peers;
  readonly clock: Clock;
  /** Called when addresses may have changed. */
  readonly onChange: () => void;
}

/** At the metadata's leader: adds or removes a node. Resolves when it is done, or to why it is not. */
export async function changeMembership(
  options: ChangeOptions,
  { action, node: name, address }: RequestOf<"ChangeCluster">,
): Promise<ErrorOutcome | undefined> {
  const { metadata, groups, nodes, peers, clock, onChange } = options;
  if (action === "remove") return removeNode(metadata, groups, clock, name);
  if (action !== "add") return refuse("invalid-request", `${action} is not add, remove or transfer`);
  const wrong = judgeAddress(metadata, nodes.all, name, address) ?? (await agreeOnFolders(options));
  if (wrong !== undefined) return wrong;
  const found = await reachNode(peers, clock, name, address);
  if ("kind" in found) return found;
  const another = judgeFound(metadata, found, address);
  if (another !== undefined) return another;
  const { node } = found;
  const problem = await metadata.propose({ kind: "address", node, address });
  onChange();
  return problem ?? addNode(metadata, groups, clock, node);
}

/**
 * At the metadata's leader: writes down which folders the first members have, once. Whoever is added later has met none
 * of them, and goes by the log.
 */
export async function agreeOnFolders({
  identity,
  metadata,
}: Pick<ChangeOptions, "identity" | "metadata">): Promise<ErrorOutcome | undefined> {
  const folders = metadata.machine.folders.size === 0 ? identity.firstFolders : undefined;
  return folders === undefined ? undefined : metadata.propose({ kind: "folders", folders });
}

/** Hands all that this node leads to another one; `asksOthers` has the others do so too. */
export async function transferEverything(
  { metadata, groups, peers, clock }: ChangeOptions,
  name: string,
  asksOthers: boolean,
): Promise<ErrorOutcome | undefined> {
  const { group } = metadata;
  const target = memberCalled(name, configurationOf(group.state).voters);
  if (target === undefined) {
    return refuse("invalid-request", `the cluster has no node ${name} that could lead`);
  }
  const leaders = new Set([group.state.leader, ...[...groups.all].map(({ leader }) => leader)]);
  const others = [...leaders].filter(
    (node) => node !== undefined && node !== target && node !== group.state.id,
  );
  const asked = asksOthers ? others.map((node) => peers.source(node ?? "").transfer(target)) : [];
  const led: Led[] = [metadata, ...groups.all];
  const results = await Promise.all([
    transferAll(led, clock, target),
    ...asked.map((asking) => asking.catch((error: unknown) => refuse("request-timeout", String(error)))),
  ]);
  return results.find((result) => result !== undefined);
}
