/** Exchanges that put a program on trial: what a challenge's solution must do, and no workload asks for. */
import type { Body, Json } from "#reference/maelstrom/message.ts";
import type { ProgramName } from "#reference/maelstrom/programs.ts";
import type { Exchange, NodeBench } from "./bench.ts";

/** Ids in one go: of so many random numbers of 32 bits some are the same, all but surely. */
const manyIds = 50_000;
/** More than a sequence of 12 bits counts. */
const idsOfOneMoment = 5000;

/** Each with the challenge whose solutions it is for. */
export const programExchanges: readonly (Exchange & { readonly program: ProgramName })[] = [
  {
    name: "many-ids",
    rule: `none of ${manyIds} ids is another`,
    program: "unique-ids",
    play: (bench) => expectIds(bench, manyIds, 1),
  },
  {
    name: "one-moment",
    rule: `none of ${idsOfOneMoment} ids of one millisecond is another`,
    program: "unique-ids",
    play: (bench) => expectIds(bench, idsOfOneMoment, 0),
  },
  {
    name: "create-if-not-exists",
    rule: "a swap of a key that is not there makes it when it is told to, and is refused with error 20 otherwise",
    program: "lin-kv",
    async play(bench) {
      await bench.init(["n1"]);
      const cas = { type: "cas", key: 1, from: 0, to: 5 };
      const refused = await ask(bench, 2, cas);
      bench.expect(refused?.["code"] === 20, `without the flag: ${JSON.stringify(refused)}`);
      const made = await ask(bench, 3, { ...cas, create_if_not_exists: true });
      bench.expect(made?.type === "cas_ok", `with the flag: ${JSON.stringify(made)}`);
      const read = await ask(bench, 4, { type: "read", key: 1 });
      bench.expect(read?.["value"] === 5, `then it reads ${JSON.stringify(read)}`);
    },
  },
  {
    name: "doubled-acknowledgement",
    rule: "a follower counts once towards a majority, however often it answers",
    program: "lin-kv",
    async play(bench) {
      const peers = ["n2", "n3", "n4", "n5"];
      await bench.init(["n1", ...peers]);
      await lead(bench, peers);
      await bench.say("c1", { type: "write", msg_id: 2, key: 1, value: 1 });
      await bench.wait(2);
      const replies = appendsTo(bench, "n2").map((request) => replyTo(request));
      for (let count = 0; count < 4; count++) for (const reply of replies) await bench.say("n2", reply);
      bench.expect(bench.answerTo(2) === undefined, "two of five nodes have a write that was acknowledged");
      for (const request of appendsTo(bench, "n3")) await bench.say("n3", replyTo(request));
      bench.expect(
        bench.answerTo(2)?.type === "write_ok",
        "three of five have it, and it is not acknowledged",
      );
    },
  },
];

/** Asks for so many ids, a thousand at a time, and lets so much time pass after each thousand. */
async function expectIds(bench: NodeBench, count: number, pauseMs: number): Promise<void> {
  await bench.init();
  const encoder = new TextEncoder();
  const lineOf = (id: number): string =>
    `{"src":"c1","dest":"n1","body":{"type":"generate","msg_id":${id}}}\n`;
  // The first one may have to wait for a disk.
  await bench.push(encoder.encode(lineOf(1)));
  await bench.wait(2);
  for (let done = 1; done < count; done += 1000) {
    const lines = Array.from({ length: Math.min(1000, count - done) }, (_, index) =>
      lineOf(done + index + 1),
    );
    await bench.push(encoder.encode(lines.join("")));
    await bench.wait(pauseMs);
  }
  const ids = bench.sent.map(({ body }) => JSON.stringify(body["id"]));
  bench.expect(ids.length === count, `${ids.length} of ${count} requests were answered`);
  const different = new Set(ids).size;
  bench.expect(different === ids.length, `${ids.length} ids, of which ${different} are different`);
}

/** A client's request, and the answer that comes in the next seconds. */
async function ask(bench: NodeBench, messageId: number, body: Body): Promise<Body | undefined> {
  await bench.say("c1", { ...body, msg_id: messageId });
  await bench.wait(5000);
  return bench.answerTo(messageId);
}

type RaftBody = Readonly<Record<string, Json>>;

function raftMessages(bench: NodeBench, peer: string): readonly RaftBody[] {
  return bench.asked(peer, "raft").map(({ message }) => message as RaftBody);
}

function appendsTo(bench: NodeBench, peer: string): readonly RaftBody[] {
  return raftMessages(bench, peer).filter(({ kind }) => kind === "append-request");
}

/** The peers vote for the node and take its first entry, so that it leads. */
async function lead(bench: NodeBench, peers: readonly string[]): Promise<void> {
  for (const kind of ["pre-vote", "vote"]) {
    for (let waitedMs = 0; waitedMs < 10_000 && raftMessages(bench, "n2").length === 0; waitedMs += 10) {
      await bench.wait(10);
    }
    const request = raftMessages(bench, "n2").find((message) => message["kind"] === `${kind}-request`);
    if (request === undefined) return bench.expect(false, `the node asked for no ${kind}`);
    bench.sent.length = 0;
    const { term } = request;
    for (const peer of peers) {
      await bench.say(peer, {
        type: "raft",
        message: { kind: `${kind}-reply`, term: term!, isGranted: true },
      });
    }
    await bench.wait(2);
  }
  for (const peer of peers) {
    for (const request of appendsTo(bench, peer)) await bench.say(peer, replyTo(request));
  }
  bench.sent.length = 0;
}

/** A follower that has taken everything. */
function replyTo({ term, previousIndex, entries, round, sentAtMs }: RaftBody): Body {
  const matchIndex = (previousIndex as number) + (entries as readonly Json[]).length;
  const outcome = { kind: "matched", matchIndex };
  return {
    type: "raft",
    message: { kind: "append-reply", term: term!, round: round!, sentAtMs: sentAtMs!, outcome },
  };
}
