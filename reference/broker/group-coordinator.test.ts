/** Who in a group is alive: by time, by connection, and after another node has taken over. */
import { beforeEach, describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { ConnectionHub } from "../protocol/connection.ts";
import { settled, VirtualClock } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import type { BrokerConnection } from "./connection.ts";
import { newConnectionState, runClosed } from "./connection-state.ts";
import type { GroupKeeper } from "./consumer-groups.ts";
import { LocalGroups } from "./consumer-groups.ts";
import { GroupCoordinator, memberTimeoutMs } from "./group-coordinator.ts";
import type { Membership, PartitionName } from "./group.ts";
import { refuse } from "./outcome.ts";

let clock: VirtualClock;
let kept: LocalGroups;
/** What has been asked of the keeper, in order. */
let changes: string[];
let groups: GroupCoordinator;
let connection: BrokerConnection;

const partition = (number: number): PartitionName => ({ topic: "t", partition: number });

beforeEach(() => {
  clock = new VirtualClock();
  kept = new LocalGroups((topic) => (topic === "t" ? 2 : 0));
  changes = [];
  groups = coordinator();
  connection = connect();
});

function connect(socket = new ScriptedConnection()): BrokerConnection {
  const handler = { opened: newConnectionState, request() {}, crashed() {}, closed() {} };
  const made = new ConnectionHub({ clock, handler }).accept(socket);
  if (made === undefined) throw new Error("refused");
  return made;
}

/** Another server that answers for the same groups. */
function coordinator(refusal?: GroupKeeper["leave"]): GroupCoordinator {
  const keeper: GroupKeeper = {
    groups: kept.groups,
    current: () => kept.current(),
    join: (change) => {
      changes.push(`join ${change.memberId} with ${change.owned.length}`);
      return kept.join(change);
    },
    leave: (change) => {
      changes.push(`leave ${change.memberIds.join()}`);
      return refusal === undefined ? kept.leave(change) : refusal(change);
    },
  };
  return new GroupCoordinator(clock, new SeededRandom(1), keeper);
}

async function join(
  memberId: string,
  owned: readonly PartitionName[] = [],
  at = groups,
  from = connection,
): Promise<Membership & { memberId: string }> {
  const joined = await at.join(from, { group: "g", memberId, topics: ["t"], owned });
  if ("kind" in joined) throw new Error(joined.message);
  return joined;
}

async function members(at = groups): Promise<string[]> {
  const list = await at.list();
  if ("kind" in list) throw new Error(list.message);
  return list.flatMap((group) => group.members);
}

describe("time", () => {
  test("a member that is silent for the time-out is gone, and not before", async () => {
    await join("m");
    clock.advance(memberTimeoutMs - 1);
    expect(await members()).toEqual(["m"]);
    clock.advance(1);
    expect(await members()).toEqual([]);
    expect(connection.state.onClosed?.size).toBe(0);
  });

  test("a member that has been silent for too long commits nothing any more", async () => {
    const { generation } = await join("m");
    const mayCommit = () => groups.mayCommit(connection, "g", "m", generation, partition(0));
    clock.advance(memberTimeoutMs - 1);
    expect(mayCommit()).toBe(true);
    clock.advance(1);
    expect(mayCommit()).toBe(false);
  });

  test("a heartbeat keeps a member, and changes nothing that others would have to hear of", async () => {
    let { assigned } = await join("m");
    for (let beat = 0; beat < 5; beat++) {
      clock.advance(memberTimeoutMs - 1);
      ({ assigned } = await join("m", assigned));
    }
    expect(assigned).toEqual([partition(0), partition(1)]);
    expect(changes).toEqual(["join m with 0"]);
  });

  test("who looks after the groups finds the silent at most a second late", async () => {
    await join("m");
    groups.lookAfter();
    clock.advance(memberTimeoutMs);
    groups.lookAfter();
    await settled();
    expect(changes).toEqual(["join m with 0", "leave m"]);
    await join("m");
    clock.advance(999);
    groups.lookAfter();
    await settled();
    expect(changes).toHaveLength(3);
  });
});

describe("connections", () => {
  test("a member goes with the connection that it joined from last", async () => {
    const other = connect();
    const { assigned } = await join("m");
    await join("m", assigned, groups, other);
    runClosed(connection.state);
    expect(await members()).toEqual(["m"]);
    runClosed(other.state);
    expect(await members()).toEqual([]);
  });

  test("a member whose connection ends before it is in is gone as well", async () => {
    const socket = new ScriptedConnection();
    const joining = join("m", [], groups, connect(socket));
    socket.vanish();
    await joining;
    await settled();
    expect(await members()).toEqual([]);
    expect(changes).toEqual(["join m with 0", "leave m"]);
  });

  test("an earlier connection of a member commits nothing any more", async () => {
    const { assigned, generation } = await join("m");
    const other = connect();
    await join("m", assigned, groups, other);
    expect(groups.mayCommit(connection, "g", "m", generation, partition(0))).toBe(false);
    expect(groups.mayCommit(other, "g", "m", generation, partition(0))).toBe(true);
  });

  test("members that come and go leave nothing on their connection", async () => {
    for (let number = 0; number < 100; number++) {
      await join(`m${number}`);
      await groups.leave("g", `m${number}`);
    }
    expect(connection.state.onClosed?.size).toBe(0);
  });

  test("one that is refused is not bound to its connection", async () => {
    const joined = await groups.join(connection, {
      group: "g",
      memberId: "m",
      topics: ["t"],
      owned: [partition(0)],
    });
    expect(joined).toMatchObject({ name: "fenced-member", message: "group g has no member m" });
    expect(connection.state.onClosed?.size).toBe(0);
    expect(changes).toEqual([]);
  });

  test("what a member claims and was never given does not get into the log", async () => {
    const { assigned } = await join("m");
    const many = Array.from({ length: 1000 }, (_, number) => ({ topic: "x", partition: number }));
    await join("m", [...assigned.slice(1), ...many]);
    expect(changes).toEqual(["join m with 0", "join m with 1"]);
  });
});

describe("another server takes over", () => {
  test("members keep what they have, and the group its generation", async () => {
    const before = await join("m");
    const next = coordinator();
    groups.forgetAll();
    expect(await join("m", before.assigned, next, connect())).toEqual(before);
    expect(changes).toEqual(["join m with 0"]);
  });

  test("the end of a connection to the server before takes no member away", async () => {
    const { assigned } = await join("m");
    const next = coordinator();
    groups.forgetAll();
    runClosed(connection.state);
    await settled();
    expect(await members(next)).toEqual(["m"]);
    await join("m", assigned, next, connect());
    expect(changes).toEqual(["join m with 0"]);
  });

  test("everybody has the whole time to be heard there, and is gone after it", async () => {
    await join("m");
    clock.advance(memberTimeoutMs - 1);
    const next = coordinator();
    expect(await members(next)).toEqual(["m"]);
    clock.advance(memberTimeoutMs - 1);
    expect(await members(next)).toEqual(["m"]);
    clock.advance(1);
    expect(await members(next)).toEqual([]);
  });

  test("a member may commit there before its first heartbeat", async () => {
    const { generation } = await join("m");
    const next = coordinator();
    expect(next.mayCommit(connect(), "g", "m", generation, partition(0))).toBe(true);
    expect(next.mayCommit(connect(), "g", "nobody", generation, partition(0))).toBe(false);
  });

  test("a server that cannot know whether it still answers takes no heartbeat", async () => {
    const { assigned } = await join("m");
    const refusal = refuse("not-leader", "n2 leads");
    const keeper = {
      groups: kept.groups,
      current: () => Promise.resolve(refusal),
      join: () => Promise.resolve(refusal),
      leave: () => Promise.resolve(refusal),
    };
    const cutOff = new GroupCoordinator(clock, new SeededRandom(1), keeper);
    const request = { group: "g", memberId: "m", topics: ["t"], owned: assigned };
    expect(await cutOff.join(connection, request)).toEqual(refusal);
    expect(await cutOff.list()).toEqual(refusal);
  });

  test("a server that may not say who is gone says so, and forgets nobody", async () => {
    await join("m");
    const deposed = coordinator(() => Promise.resolve(refuse("not-leader", "n2 leads")));
    await join("m", [partition(0), partition(1)], deposed);
    clock.advance(memberTimeoutMs);
    expect(await deposed.list()).toMatchObject({ name: "not-leader" });
    expect(kept.groups.get("g")?.has("m")).toBe(true);
  });
});
