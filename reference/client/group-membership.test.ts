/** What a member says to its group, and when: the test is the server, and answers as it likes. */
import { beforeEach, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { MessageName, ReplyOf } from "../protocol/messages.ts";
import { messageNameOf } from "../protocol/messages.ts";
import { decodeRequestPayload } from "../protocol/messages-codec.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import type { MembershipOptions } from "./group-membership.ts";
import { GroupMembership } from "./group-membership.ts";
import { protocolError } from "./protocol-error.ts";

const heartbeatMs = 3000;
const at = (partition: number) => ({ topic: "t", partition });

let clock: VirtualClock;
/** What was asked, in order, with what the member says that it reads or commits. */
let asked: string[];
/** The partitions that the group gives, or why it refuses. */
let given: readonly number[] | Error;
/** Keeps an answer back, by the name of its request. */
let held: Map<MessageName, Promise<void>>;
/** What the membership told its owner, in order. */
let told: string[];
let membership: GroupMembership;

/** The answer to a request. */
function answerOf(name: MessageName): object {
  if (given instanceof Error) throw given;
  switch (name) {
    case "JoinGroup":
      return { memberId: "", generation: 1, heartbeatMs, assigned: given.map(at) };
    case "FetchOffset":
      return { offsets: given.map((partition) => ({ ...at(partition), isCommitted: true, offset: 7 })) };
    case "CommitOffset":
      return { errorCodes: [0] };
    default:
      return {};
  }
}

beforeEach(() => {
  clock = new VirtualClock();
  [asked, given, held, told] = [[], [0, 1], new Map(), []];
  const session = {
    isOpen: true,
    request: async (type: number, payload: Uint8Array): Promise<object> => {
      const name = messageNameOf(type)!;
      const request = decodeRequestPayload(name, payload);
      const { owned = [], offsets = [] } = (request.kind === "value" ? request.value : {}) as {
        owned?: { partition: number }[];
        offsets?: { partition: number; offset: number }[];
      };
      const about =
        name === "JoinGroup" ? owned.map(({ partition }) => partition) : offsets.map((of) => of.offset);
      asked.push([name, ...about].join(" "));
      await held.get(name);
      return answerOf(name);
    },
  };
  const options = {
    client: {
      clock,
      clientName: "c",
      random: new SeededRandom(1),
      isCluster: false,
      session: async () => ({ session }),
      failed: () => {},
    },
    group: "g",
    topics: ["t"],
    trace: {},
    onAssigned: (offsets: ReplyOf<"FetchOffset">["offsets"]) =>
      void told.push(`read ${offsets.map(({ partition }) => partition).join()}`),
    onRevoked: (partitions: readonly { readonly partition: number }[]) => {
      told.push(`stop ${partitions.map(({ partition }) => partition).join()}`);
      return partitions.map(({ partition }) => ({ ...at(partition), offset: 100 + partition }));
    },
    onError: (error: unknown) => void told.push((error as Error).message),
  };
  membership = new GroupMembership(options as unknown as MembershipOptions);
});

/** Lets time pass. */
async function pass(durationMs: number): Promise<void> {
  for (let passed = 0; passed < durationMs; passed += 100) await clock.advanceAsync(100);
  await settled();
}

test("what is given up is committed, and the next word, which says so, does not wait", async () => {
  membership.start();
  await pass(100);
  expect(asked).toEqual(["JoinGroup", "FetchOffset"]);
  given = [1];
  await pass(heartbeatMs);
  expect(asked.slice(2)).toEqual(["JoinGroup 0 1", "CommitOffset 100", "JoinGroup 1"]);
  expect(told).toEqual(["read 0,1", "stop 0"]);
});

test("who leaves while it is being let in reads nothing, and is in no more", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  held.set("JoinGroup", promise);
  membership.start();
  await pass(100);
  await membership.leave();
  resolve();
  await pass(2 * heartbeatMs);
  expect(told).toEqual([]);
  expect(asked).toEqual(["JoinGroup", "LeaveGroup"]);
});

test("who leaves while it learns where to begin does not begin", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  held.set("FetchOffset", promise);
  membership.start();
  await pass(100);
  await membership.leave();
  resolve();
  await pass(2 * heartbeatMs);
  expect(told).toEqual([]);
  expect(asked).toEqual(["JoinGroup", "FetchOffset", "LeaveGroup"]);
});

test("a member gives up after twenty failures in a row, and not after as many with successes in between", async () => {
  membership.start();
  await pass(100);
  const failure = protocolError("overloaded", "no room");
  const joins = (): number => asked.filter((request) => request.startsWith("JoinGroup")).length;
  for (let times = 0; times < 3; times++) {
    given = failure;
    const before = joins();
    for (let turns = 0; turns < 600 && joins() < before + 15; turns++) await pass(100);
    given = [0, 1];
    await pass(2 * heartbeatMs);
  }
  expect(told).not.toContain("no room");
  given = failure;
  const before = joins();
  await pass(60_000);
  expect(joins() - before).toBe(21);
  expect(told.at(-1)).toContain("no room");
});
