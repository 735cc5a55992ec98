/** Requests about the cluster: who is in it, who leads, and what its nodes ask each other. */
import type { Broker } from "./broker.ts";
import type { Handler } from "./call.ts";
import type { Replication } from "./cluster/replication.ts";
import { messages } from "../protocol/messages.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse, reply, silent } from "./outcome.ts";

function replicationOf({ replication }: Broker): Replication | ErrorOutcome {
  return replication ?? refuse("unknown-request", "this server is not part of a cluster");
}

export const clusterState: Handler<"ClusterState"> = (broker, _request, { connection }) => {
  const replication = replicationOf(broker);
  return "kind" in replication ? replication : reply(replication.state(connection.state.peer !== undefined));
};

export const leaders: Handler<"Leaders"> = async (broker, { topic: name }, { connection }) => {
  const replication = replicationOf(broker);
  if ("kind" in replication) return replication;
  if (broker.topics.get(name) === undefined) {
    // This node may only not have heard of the topic yet: the one that knows all topics may say that there is none.
    const problem =
      replication.refusal(messages.ListTopics.type, connection) ?? (await replication.current());
    if (problem !== undefined) return problem;
  }
  const topic = broker.topics.get(name);
  if (topic === undefined) return refuse("topic-not-found", `no topic named ${JSON.stringify(name)}`);
  const known = replication.leadersOf(name, topic.partitions.length);
  return reply({ leaders: known.map(({ node, address }, partition) => ({ partition, node, address })) });
};

export const changeCluster: Handler<"ChangeCluster"> = async (broker, request, { connection }) => {
  const replication = replicationOf(broker);
  if ("kind" in replication) return replication;
  return (await replication.change(request, connection)) ?? reply({});
};

export const peerHello: Handler<"PeerHello"> = async (broker, request, { connection }) => {
  const replication = replicationOf(broker);
  if ("kind" in replication) return replication;
  const welcomed = await replication.welcome(connection, request);
  return "kind" in welcomed ? welcomed : reply(welcomed);
};

export const raft: Handler<"Raft"> = (broker, { message }, { connection }) => {
  const replication = replicationOf(broker);
  if ("kind" in replication) return replication;
  const { peer } = connection.state;
  if (peer !== undefined) replication.receive(peer, message);
  connection.answered();
  return silent;
};

export const peerState: Handler<"PeerState"> = (broker) => {
  const replication = replicationOf(broker);
  return "kind" in replication ? replication : reply(replication.peerState());
};

export const peerFetch: Handler<"PeerFetch"> = async (broker, request) => {
  const replication = replicationOf(broker);
  if ("kind" in replication) return replication;
  const fetched = await replication.peerFetch(request);
  return "kind" in fetched ? fetched : reply(fetched);
};
