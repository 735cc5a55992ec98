/** Which function handles which request. The compiler holds the table complete and each handler to its message. */
import type { MessageName } from "../protocol/messages.ts";
import type { Handler } from "./call.ts";
import * as cluster from "./handle-cluster.ts";
import { joinGroup, leaveGroup, listGroups } from "./group-coordinator.ts";
import { commitOffset, fetchOffset } from "./handle-offsets.ts";
import * as session from "./handle-session.ts";
import * as topics from "./handle-topics.ts";
import { credit, subscribe, unsubscribe } from "./subscription.ts";
import { refuse } from "./outcome.ts";

/** Never called: Produce is handled in place. */
const inPlace = () => refuse("internal-error", "Produce is handled in place");

/** Answers, in a cluster, from a state that holds every change that was acknowledged before the request. */
function current<Name extends MessageName>(handler: Handler<Name>): Handler<Name> {
  return (broker, request, call) => {
    const { replication } = broker;
    if (replication === undefined) return handler(broker, request, call);
    return replication.current().then((problem) => problem ?? handler(broker, request, call));
  };
}

/** Request name to its handler. */
export const handlers: { readonly [Name in MessageName]: Handler<Name> } = {
  Produce: inPlace,
  Fetch: topics.fetchRecords,
  GetOffset: topics.getOffset,
  CreateTopic: topics.createTopic,
  DeleteTopic: topics.deleteTopic,
  ListTopics: current(topics.listTopics),
  HealthCheck: session.healthCheck,
  Hello: session.hello,
  Authenticate: session.authenticate,
  CommitOffset: commitOffset,
  FetchOffset: current(fetchOffset),
  Subscribe: subscribe,
  Unsubscribe: unsubscribe,
  Credit: credit,
  Ping: session.ping,
  Trim: topics.trim,
  ReadRange: topics.readRange,
  InitProducer: session.initProducer,
  JoinGroup: joinGroup,
  LeaveGroup: leaveGroup,
  ListGroups: listGroups,
  ClusterState: cluster.clusterState,
  ChangeCluster: cluster.changeCluster,
  PeerHello: cluster.peerHello,
  Raft: cluster.raft,
  PeerState: cluster.peerState,
  PeerFetch: cluster.peerFetch,
  Leaders: cluster.leaders,
};
