/** Who leads a topic, asked at a node that may not have heard of it. */
import { expect, test } from "vitest";
import { TestBroker, TestClient } from "../testing/test-broker.ts";
import type { Replication } from "./cluster/replication.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";

/** A node that hears of the topic when it has asked whether it is current. */
async function nodeThat(problem: ErrorOutcome | undefined, refusal?: ErrorOutcome) {
  const { broker, hub } = await TestBroker.open();
  const config = { partitions: 2, retentionMs: 0, retentionBytes: 0, isCompacted: false };
  broker.takePart({
    refusal: () => refusal,
    current: async () => {
      await broker.topics.create("t", config);
      return problem;
    },
    leadersOf: (_topic: string, partitions: number) =>
      Array.from({ length: partitions }, (_, number) => ({ node: `n${number}`, address: `a:${number}` })),
  } as unknown as Replication);
  return new TestClient(hub);
}

test("that there is no such topic is said when all that was agreed on is known here", async () => {
  const client = await nodeThat(undefined);
  expect(await client.ask("Leaders", { topic: "none" })).toMatchObject({ name: "topic-not-found" });
  const other = await nodeThat(undefined);
  expect(await other.ask("Leaders", { topic: "t" })).toMatchObject({
    value: {
      leaders: [
        { partition: 0, node: "n0", address: "a:0" },
        { partition: 1, node: "n1", address: "a:1" },
      ],
    },
  });
});

test("a node that cannot know says that, and not that there is no such topic", async () => {
  const elsewhere = refuse("not-leader", "n2 leads");
  for (const client of [await nodeThat(elsewhere), await nodeThat(undefined, elsewhere)]) {
    expect(await client.ask("Leaders", { topic: "none" })).toMatchObject({ name: "not-leader" });
  }
});
