/** A member whose every message is well formed and none is true: what it says may cost agreement, and no node. */
import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Message } from "../../raft/messages.ts";
import { SmallCluster } from "../../testing/cluster/small-cluster.ts";
import { putGroupMessage } from "./frame-codec.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { GroupId } from "./group-id.ts";

/** Something that n2 might say to a node in a term. */
function anything(random: SeededRandom, to: string, term: number, commitIndex: number): Message {
  const places = [0, 1, 2, 3, commitIndex, commitIndex + 1, 1000, 2 ** 40, 2 ** 53 - 2];
  const place = (): number => random.pick(places);
  const yes = random.nextChance(0.5);
  const head = { from: "n2", to, term };
  const heard = { round: random.pick([-1, 0, 1, 2 ** 53 - 2]), sentAtMs: place() };
  const previous = { previousIndex: place(), previousTerm: Math.min(term, place()) };
  const conflictTerm = random.pick([undefined, 1, 5]);
  return random.pick<Message>([
    { kind: "pre-vote-request", ...head, lastIndex: place(), lastTerm: place() },
    { kind: "vote-request", ...head, lastIndex: place(), lastTerm: place(), isTransfer: yes },
    { kind: "pre-vote-reply", ...head, isGranted: yes },
    { kind: "vote-reply", ...head, isGranted: yes },
    { kind: "append-request", ...head, ...heard, ...previous, commitIndex: place(), entries: [] },
    { kind: "append-reply", ...head, ...heard, outcome: { kind: "matched", matchIndex: place() } },
    {
      kind: "append-reply",
      ...head,
      ...heard,
      outcome: { kind: "conflict", previousIndex: place(), conflictTerm, conflictIndex: place() },
    },
    { kind: "append-reply", ...head, ...heard, outcome: { kind: "stale" } },
    { kind: "snapshot-reply", ...head, ...heard, index: place(), offset: place(), isInstalled: yes },
    { kind: "timeout-now", ...head },
  ]);
}

function frameOf(group: GroupId, message: Message): Uint8Array {
  const to = new FrameWriter();
  putGroupMessage(to, group, message);
  return to.written();
}

test.for([1, 2, 3, 4, 5, 6, 7, 8])("a member that lies ends no node, seed %i", async (seed) => {
  const random = new SeededRandom(seed);
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  await cluster.createTopic("orders");
  for (let step = 0; step < 60; step++) {
    const { name, cluster: node, broker } = cluster.node(random.pick(["n1", "n3"]));
    const { term, commitIndex, leader, partitions } = node.state();
    const isOfMetadata = random.nextChance(0.5);
    const own = {
      term: isOfMetadata ? term : partitions[0]!.term,
      leader: isOfMetadata ? leader : partitions[0]!.leader,
    };
    const incarnation = isOfMetadata ? 0 : broker.topics.get("orders")!.config.incarnation!;
    const message = anything(random, name, own.term + (random.nextChance(0.2) ? 1 : 0), commitIndex);
    // That two lead in one term is the one lie that must end a node: somebody has forgotten a vote.
    const isCoup = message.kind === "append-request" && message.term === own.term;
    if (!isCoup) node.receive("n2", frameOf({ incarnation, partition: 0 }, message));
    await cluster.clock.advanceAsync(random.pick([0, 5, 30, 200]));
  }
  expect(cluster.bugs).toEqual([]);
  expect([...cluster.nodes.values()].map(({ halted }) => halted)).toEqual([undefined, undefined, undefined]);
});

test("a node that hears of another leader in its own term stops, and says so", async () => {
  const cluster = await SmallCluster.open(["n1", "n2", "n3"]);
  const { name, cluster: node } = cluster.leader!;
  const from = name === "n2" ? "n1" : "n2";
  const { term } = node.state();
  const nothing = { round: 0, sentAtMs: 0, previousIndex: 0, previousTerm: 0, commitIndex: 0, entries: [] };
  node.receive(
    from,
    frameOf({ incarnation: 0, partition: 0 }, { kind: "append-request", from, to: name, term, ...nothing }),
  );
  expect(cluster.node(name).halted).toMatchObject({
    message: `${name} and ${from} both lead in term ${term}`,
  });
});
