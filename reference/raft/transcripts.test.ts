/**
 * Golden transcripts: short plays that read as lessons. `vitest -u` writes them anew; read the difference as
 * prose.
 */
import { expect, test } from "vitest";
import { entriesOf } from "#reference/testing/raft/bench.ts";
import { Theatre } from "#reference/testing/raft/theatre.ts";

const golden = (name: string): string => `../testing/golden/raft/${name}.txt`;

/** Makes a server leader, with everyone's help who is connected. */
function elect(stage: Theatre, name: string): void {
  stage.timeOut(name);
  stage.deliver();
}

test("an election", async () => {
  const stage = new Theatre(["n1", "n2", "n3"]);
  stage.say("Nobody leads. n1 loses patience first, and asks whether it could win before it begins a term.");
  elect(stage, "n1");
  stage.show();
  stage.say(
    "n3 loses patience although the leader is well. A pre-vote changes nothing: n2 hears the leader.",
  );
  stage.cut("n1");
  stage.timeOut("n3");
  stage.bench("n2").nowMs = stage.bench("n2").state.leaderHeardAtMs + 100;
  stage.deliver();
  stage.show();
  await expect(stage.text).toMatchFileSnapshot(golden("election"));
});

test("replication and commitment", async () => {
  const stage = new Theatre(["n1", "n2", "n3"]);
  elect(stage, "n1");
  stage.say(
    "A client's command is on all logs after one exchange, and committed when a majority has it on disk.",
  );
  stage.propose("n1", "x = 1");
  stage.deliver();
  stage.show();
  stage.say("The followers learn what is committed with the next message.");
  stage.timeOut("n1");
  stage.deliver();
  stage.show();
  stage.say("n3 misses two commands. The next heartbeat shows the gap, and n3 says where its log ends.");
  stage.cut("n3");
  stage.propose("n1", "x = 2");
  stage.propose("n1", "x = 3");
  stage.deliver();
  stage.heal();
  stage.timeOut("n1");
  stage.deliver();
  stage.show();
  await expect(stage.text).toMatchFileSnapshot(golden("replication"));
});

test("Figure 7: repairing a log", async () => {
  const logs: Record<string, number[]> = {
    n1: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
    n2: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
    n3: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  };
  const stage = new Theatre(["n1", "n2", "n3"], (name) => ({
    durable: { term: 7, entries: entriesOf(...logs[name]!) },
  }));
  stage.say("n3 led terms 2 and 3 (follower f of Figure 7): its log conflicts from entry 4 on.");
  stage.show();
  stage.say("n1 leads term 8. It goes back one term of n3's at a time, not one entry.");
  elect(stage, "n1");
  stage.show();
  await expect(stage.text).toMatchFileSnapshot(golden("figure-7"));
});

test("Figure 8: an entry of an earlier term is not committed by counting", async () => {
  const five = ["n1", "n2", "n3", "n4", "n5"];
  const logs: Record<string, number[]> = { n1: [1, 2], n2: [1, 2], n3: [1], n4: [1], n5: [1, 3] };
  const stage = new Theatre(five, (name) => ({
    durable: { term: 3, entries: entriesOf(...logs[name]!) },
    options: { batchEntriesMax: 1 },
  }));
  stage.say(
    "Figure 8 (c). n1 led term 2 and got entry 2 to n2; n5 led term 3 and kept another entry 2 for itself.",
  );
  stage.show();
  stage.say(
    "n1 leads term 4 without n5. Entry 2 of term 2 comes to n3: it is on a majority, and still not committed.",
  );
  stage.cut("n5");
  stage.timeOut("n1");
  stage.deliver(({ kind }) => kind !== "append-request" && kind !== "append-reply");
  stage.timeOut("n1");
  stage.deliver((message) => {
    if (message.kind === "append-reply") return true;
    if (message.kind !== "append-request") return false;
    if (message.to === "n2") return message.entries.length === 0;
    return message.to === "n3" && stage.bench("n3").state.log.lastIndex < 2;
  });
  stage.show();
  stage.say(
    "When an entry of term 4 is on a majority, everything before it is committed with it (Figure 8 (e)).",
  );
  stage.deliver();
  stage.show();
  await expect(stage.text).toMatchFileSnapshot(golden("figure-8"));
});

test("a change of members", async () => {
  const stage = new Theatre(["n1", "n2", "n3", "n4"], () => ({ voters: ["n1", "n2", "n3"], learners: [] }));
  elect(stage, "n1");
  stage.say("n4 shall take n3's place. First it becomes a learner, so that nobody has to wait for it.");
  stage.run("n1", "add n4 as a learner", (node, nowMs) => {
    return node.changeMembers({ voters: ["n1", "n2", "n3"], learners: ["n4"] }, nowMs).effects;
  });
  stage.deliver();
  stage.say(
    "Then the joint configuration: every decision needs both majorities. When it is committed, the new one follows.",
  );
  stage.run("n1", "let n1, n2, n4 be the voters", (node, nowMs) => {
    return node.changeMembers({ voters: ["n1", "n2", "n4"] }, nowMs).effects;
  });
  stage.deliver();
  stage.show();
  await expect(stage.text).toMatchFileSnapshot(golden("membership"));
});

test("a snapshot for a server that is far behind", async () => {
  const stage = new Theatre(["n1", "n2", "n3"], () => ({ options: { snapshotChunkBytesMax: 4 } }));
  elect(stage, "n1");
  stage.say("n3 is away while the others go on, and the leader compacts its log.");
  stage.cut("n3");
  for (const text of ["x = 1", "x = 2", "x = 3"]) stage.propose("n1", text);
  stage.deliver();
  stage.run("n1", "compact up to 4", (node, nowMs) =>
    node.compact(4, new TextEncoder().encode("x = 3"), nowMs),
  );
  stage.say("n3 is back. What it needs is gone, so it gets the snapshot, piece by piece.");
  stage.heal();
  stage.timeOut("n1");
  stage.deliver();
  stage.show();
  await expect(stage.text).toMatchFileSnapshot(golden("snapshot"));
});

test("a hand-over", async () => {
  const stage = new Theatre(["n1", "n2", "n3"]);
  elect(stage, "n1");
  stage.say("n1 shall be restarted. It hands over, and nobody has to wait for a timeout.");
  stage.run("n1", "hand over to n2", (node, nowMs) => node.transfer("n2", nowMs).effects);
  stage.deliver();
  stage.show();
  await expect(stage.text).toMatchFileSnapshot(golden("transfer"));
});
