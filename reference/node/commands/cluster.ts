/** `oz cluster`: what nodes there are, adding and removing them, moving the leadership, and a cluster to play with. */
import { setTimeout as sleep } from "node:timers/promises";
import { ProtocolError } from "../../client/protocol-error.ts";
import type { ReplyOf } from "../../protocol/messages.ts";
import { defineCommand, done, failed, misused, option, positional } from "../cli/command.ts";
import type { CommandResult } from "../cli/command.ts";
import { describeFailure, serverOptions, withClient } from "../client-command.ts";
import type { Client } from "../client.ts";
import { memberLines, partitionLines, partitionLinesMax } from "../cluster-status.ts";
import { viewCluster } from "../cluster-view.ts";
import type { ClusterView } from "../cluster-view.ts";
import { parseAddress } from "../network.ts";

type State = ReplyOf<"ClusterState">;

/** Adding a node waits for it to catch up. */
const changeTimeoutMs = 130_000;

/** What the leader says, or the node that was asked while there is none. */
async function stateOf(client: Client): Promise<State> {
  await client.session().catch((error: unknown) => {
    if (!(error instanceof ProtocolError)) throw error;
  });
  return client.call("ClusterState", {});
}

const status = defineCommand({
  name: "status",
  summary: "Show the nodes, who leads, and how far each is.",
  details:
    "Asks every node. One that does not answer within a second is said to be away. Behind are nodes that lack entries " +
    "of the cluster's own log, which holds topics and groups; partitions are listed when they have no leader or a node " +
    "lacks records. Ends with 1 when nobody leads.",
  examples: ["oz cluster status --server 127.0.0.1:7420", "oz cluster status --all"],
  hasJson: true,
  options: {
    ...serverOptions,
    all: option.flag(`List all partitions with something missing, not only the first ${partitionLinesMax}.`),
  },
  run: ({ options, json, print, printJson, colors, io }) =>
    withClient(options, io.env, async (client, connectTo) => {
      const ask = async (_node: string, address: string): Promise<State> => {
        const other = await connectTo(address);
        return other.call("ClusterState", {}).finally(() => other.destroy());
      };
      // What is too late is left behind: the process ends.
      const view = await viewCluster(await stateOf(client), ask, (durationMs) => sleep(durationMs));
      const verdict = verdictOf(view);
      if (json) {
        printJson(view);
        return verdict;
      }
      const { clusterId, term, leader, partitions } = view;
      print(`${colors.bold(clusterId)}  term ${term}, ${leader === "" ? "no leader" : `${leader} leads`}`);
      for (const line of memberLines(view)) print(line);
      for (const line of partitionLines(partitions, options.all)) print(line);
      return verdict;
    }),
});

/** Whether the cluster can do its work, as far as one can see from here. */
function verdictOf({ leader, members }: ClusterView): CommandResult {
  if (leader === "") return failed("no leader is known: too few nodes can be reached");
  if (members.some(({ node, isReached }) => node === leader && !isReached))
    return failed(`${leader}, which led when it was last heard of, does not answer`);
  return done;
}

async function change(
  client: Client,
  fields: { readonly action: string; readonly node: string; readonly address: string },
): Promise<void> {
  await client.call("ChangeCluster", fields, { timeoutMs: changeTimeoutMs });
}

const add = defineCommand({
  name: "add",
  summary: "Add a node, which was started with --join true.",
  details:
    "On the new machine: oz serve --join true --node n4 --cluster n1=…,n2=…,n3=…,n4=HOST:PORT --data DIR. Then this " +
    "command, at any node. It ends when the node has caught up and votes. A node whose data folder was lost comes back " +
    "in the same way, under its name, after oz cluster remove.",
  examples: ["oz cluster add n4=10.0.0.4:7420"],
  hasJson: true,
  positionals: { member: positional.one("NAME=HOST:PORT", "The node and where it listens.") },
  options: serverOptions,
  run: ({ positionals: { member }, options, json, print, printJson, io }) => {
    const match = /^([a-zA-Z0-9._-]{1,64})=(\S+)$/.exec(member);
    const [, node = "", address = ""] = match ?? [];
    if (match === null || parseAddress(address) === undefined) {
      return Promise.resolve(misused(`${member} is not NAME=HOST:PORT`));
    }
    return withClient(options, io.env, async (client) => {
      await change(client, { action: "add", node, address });
      if (json) printJson({ node, address, added: true });
      else print(`added ${node}: it has caught up and votes`);
      return done;
    });
  },
});

const remove = defineCommand({
  name: "remove",
  summary: "Remove a node; it can be stopped afterwards.",
  details:
    "Also one that is lost for good: with an empty data folder it can be added again under the same name.",
  examples: ["oz cluster remove n3"],
  hasJson: true,
  positionals: { node: positional.one("NAME", "The node.") },
  options: serverOptions,
  run: ({ positionals: { node }, options, json, print, printJson, io }) =>
    withClient(options, io.env, async (client) => {
      await change(client, { action: "remove", node, address: "" });
      if (json) printJson({ node, removed: true });
      else print(`removed ${node}: stop it now`);
      return done;
    }),
});

const transfer = defineCommand({
  name: "transfer",
  summary: "Hand the leadership to another node.",
  details:
    "That of the cluster's own log and of all partitions: before a node is stopped for long, or a machine is given up. " +
    "A minute later partitions begin to go back to the nodes that should lead them.",
  examples: ["oz cluster transfer n2"],
  hasJson: true,
  positionals: { node: positional.one("NAME", "The node that shall lead.") },
  options: serverOptions,
  run: ({ positionals: { node }, options, json, print, printJson, io }) =>
    withClient(options, io.env, async (client): Promise<CommandResult> => {
      try {
        await change(client, { action: "transfer", node, address: "" });
      } catch (error) {
        // A leader that hands over sends its clients away; the state tells what became of it.
        if (!(error instanceof ProtocolError)) throw error;
        const isOpen = error.name === "connection-closed" || error.name === "not-leader";
        const { leader } = await stateOf(client);
        if (!isOpen || leader !== node) return failed(describeFailure(error));
      }
      if (json) printJson({ leader: node });
      else print(`${node} leads`);
      return done;
    }),
});

const demo = defineCommand({
  name: "demo",
  summary: "Run a cluster on this machine until Ctrl-C.",
  details:
    "Starts the nodes as processes of their own, so that they can be killed: kill -9 PID, and see another one lead. " +
    "A node that was killed is started again after a few seconds. Each has a dashboard that shows the whole cluster. " +
    "Data goes to a temporary folder unless --data is given; with the same folder the same cluster goes on.",
  examples: ["oz cluster demo", "oz cluster demo --nodes 5 --tls", "oz cluster demo --data ./demo"],
  hasJson: true,
  hasMine: true,
  options: {
    nodes: option.integer("N", "How many nodes (default: 3, or as many as are in --data).", {
      min: 1,
      max: 9,
    }),
    data: option.text("DIR", "Folder for their data; kept afterwards."),
    tls: option.flag("Speak TLS, with an authority and certificates made for this run."),
  },
  async run({ options, json, print, printJson, note, signal }) {
    const { startDemo } = await import("../cluster-demo.ts");
    const { nodes: count, data, tls: isTls } = options;
    const started = await startDemo({ nodes: count, data, isTls, note, signal });
    if (started.kind === "problem") return misused(started.message);
    const { nodes, authority } = started;
    const dashboard = nodes[0]?.dashboard;
    if (json) printJson({ nodes, dashboard, ...(authority !== undefined && { authority }) });
    else {
      for (const { node, address, pid, dashboard: own } of nodes) {
        print(`${node}  ${address}  pid ${String(pid).padEnd(7)}  ${own}`);
      }
      const servers = nodes.map(({ address }) => address).join(",");
      print(`dashboard  ${dashboard}`);
      const trust = authority === undefined ? "" : ` --tls-ca ${authority}`;
      print(`try        oz cluster status --server ${servers}${trust}`);
    }
    await started.ended;
    return done;
  },
});

export const command = defineCommand({
  name: "cluster",
  summary: "See and change a cluster, or run one to play with.",
  examples: ["oz cluster demo", "oz cluster status", "oz cluster transfer n2"],
  subcommands: [status, add, remove, transfer, demo],
});
