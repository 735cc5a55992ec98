import { expect, test, vi } from "vitest";
import { VirtualClock, settled } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import { ConnectionHub } from "./connection.ts";
import type { ServerConnection } from "./connection.ts";
import type { CloseReason, ConnectionHandler, ConnectionLimits, Delivery } from "./connection-types.ts";
import { connectionLimitsDefault, tickMsOf } from "./connection-types.ts";
import { errorNameOf } from "./errors.ts";
import { encodeRequest, putResponseHeader, sealFrame } from "./frame.ts";
import { FrameOutput } from "./output.ts";
import { refusedPeersMax } from "./refused-peers.ts";

const limits = {
  connectionsMax: 3,
  inFlightMax: 4,
  idleTimeoutMs: 6_000,
  frameTimeoutMs: 2_000,
  stallTimeoutMs: 3_000,
  drainTimeoutMs: 5_000,
  outputBytesMax: 1_000,
};
const tickMs = tickMsOf({ ...connectionLimitsDefault, ...limits });

interface Note {
  requests: bigint[];
}

/** A handler that keeps requests until the test answers them. */
class Handler implements ConnectionHandler<Note> {
  readonly closed = vi.fn<(connection: ServerConnection<Note>, reason: CloseReason) => void>();
  readonly crashed = vi.fn<(connection: ServerConnection<Note>, error: unknown) => void>();
  onRequest: (id: bigint) => void = () => {};

  opened(): Note {
    return { requests: [] };
  }

  request(connection: ServerConnection<Note>, _bytes: Uint8Array, view: DataView, start: number): void {
    const id = view.getBigUint64(start + 4);
    this.onRequest(id);
    connection.state.requests.push(id);
  }
}

function answer(connection: ServerConnection<Note>): void {
  const id = connection.state.requests.shift()!;
  putReply(connection.output, id, new Uint8Array(0));
  connection.answered();
}

function putReply(output: FrameOutput, id: bigint, payload: Uint8Array): void {
  const start = output.reserve(17 + payload.length);
  const at = putResponseHeader(output.view, start, 0, Number(id), 0, 0);
  output.bytes.set(payload, at);
  output.commit(sealFrame(output.bytes, output.view, start, at + payload.length));
}

function setUp(more: Partial<ConnectionLimits> = {}) {
  const clock = new VirtualClock();
  const handler = new Handler();
  const hub = new ConnectionHub<Note>({ clock, handler, limits: { ...limits, ...more } });
  const connect = () => {
    const peer = new ScriptedConnection();
    return { peer, connection: hub.accept(peer) };
  };
  const accept = () => {
    const { peer, connection } = connect();
    if (connection === undefined) throw new Error("not accepted");
    return { peer, connection };
  };
  return { clock, handler, hub, connect, accept };
}

const errorsOf = (peer: ScriptedConnection) =>
  peer.takeResponses().map(({ requestId, errorCode }) => [requestId, errorNameOf(errorCode)]);

test("replies of one turn leave in one write", async () => {
  const { accept } = setUp();
  const { peer, connection } = accept();
  for (const requestId of [1n, 2n, 3n]) peer.deliverRequest({ requestId });
  for (let count = 0; count < 3; count++) answer(connection);
  await settled();
  expect(peer.writes).toHaveLength(1);
  expect(peer.takeResponses().map(({ requestId }) => requestId)).toEqual([1n, 2n, 3n]);
});

test("a thousand connects and closes leave no timer and no connection", () => {
  const { clock, handler, hub, accept } = setUp();
  for (let count = 0; count < 1000; count++) accept().peer.vanish();
  expect([clock.activeTimers, hub.count]).toEqual([0, 0]);
  expect(handler.closed).toHaveBeenCalledTimes(1000);
});

test("a peer that vanishes during a delivery moves no offset and leaves no loop", async () => {
  const { hub, accept } = setUp();
  const { peer, connection } = accept();
  let offset = 0;
  let bring = (_item: number | undefined): void => {};
  const cancel = vi.fn<() => void>(() => bring(undefined));
  const delivery: Delivery<number> = {
    next: () => new Promise((resolve) => void (bring = resolve)),
    put: (item, { output }) => putReply(output, 1n, new Uint8Array([item])),
    delivered: (item) => void (offset = item),
    cancel,
  };
  const ended = connection.deliver(delivery);
  await settled();
  bring(1);
  await settled();
  expect([offset, peer.takeResponses().length, hub.liveDeliveries]).toEqual([1, 1, 1]);
  bring(2);
  peer.vanish(new Error("reset"));
  await ended;
  expect([offset, hub.liveDeliveries]).toEqual([1, 0]);
  expect(cancel).toHaveBeenCalledOnce();
});

test("a delivery waits for a peer that does not read, and ends when that peer vanishes", async () => {
  const { hub, accept } = setUp();
  const { peer, connection } = accept();
  peer.windowBytes = 100;
  const next = vi.fn<() => Promise<number>>(() => Promise.resolve(1));
  const delivery: Delivery<number> = {
    next,
    put: (_item, { output }) => putReply(output, 1n, new Uint8Array(60)),
    delivered: () => {},
    cancel: () => {},
  };
  const ended = connection.deliver(delivery);
  await settled();
  const asked = next.mock.calls.length;
  await settled();
  expect(next).toHaveBeenCalledTimes(asked);
  expect(asked).toBeLessThan(10);
  peer.vanish();
  await ended;
  expect(hub.liveDeliveries).toBe(0);
});

test("connections are looked at eight times within the shortest limit, and once a second at least", () => {
  const tickOf = (more: Partial<ConnectionLimits>): number =>
    tickMsOf({ ...connectionLimitsDefault, ...more });
  expect(tickOf({})).toBe(1000);
  expect(tickOf({ idleTimeoutMs: 6000, frameTimeoutMs: 2000, stallTimeoutMs: 3000 })).toBe(250);
  expect(tickOf({ stallTimeoutMs: 400 })).toBe(50);
  expect(tickOf({ idleTimeoutMs: 0, frameTimeoutMs: 0, stallTimeoutMs: 0 })).toBe(1000);
  expect(tickOf({ idleTimeoutMs: 1 })).toBe(1);
});

test("a silent peer is found dead within the idle limit and one tick", () => {
  const { clock, handler, accept } = setUp();
  const { peer } = accept();
  clock.advance(limits.idleTimeoutMs - tickMs);
  peer.deliverRequest({ requestId: 1n });
  clock.advance(limits.idleTimeoutMs - 1);
  expect(peer.state).toBe("open");
  clock.advance(tickMs + 1);
  expect(peer.state).toBe("destroyed");
  expect(handler.closed.mock.calls.map(([, reason]) => reason)).toEqual(["idle"]);
  expect(clock.activeTimers).toBe(0);
});

test("half a frame, dribbled byte by byte, is no sign of life", () => {
  const { clock, handler, accept } = setUp({ frameTimeoutMs: 0 });
  const { peer } = accept();
  peer.deliver(new Uint8Array([0, 0, 1, 0]));
  for (let passed = 0; passed <= limits.idleTimeoutMs + tickMs; passed += 500) {
    peer.deliver(new Uint8Array([1]));
    clock.advance(500);
  }
  expect(peer.state).toBe("destroyed");
  expect(handler.closed.mock.calls[0]?.[1]).toBe("idle");
});

test("a frame that is not finished in time ends the connection, also between good ones", () => {
  const { clock, handler, accept } = setUp();
  const { peer } = accept();
  const whole = encodeRequest({ requestId: 1n, type: 1, version: 1, flags: 0, payload: new Uint8Array(8) });
  if (!(whole instanceof Uint8Array)) throw new Error("too large");
  peer.deliver(whole, whole.subarray(0, 9));
  clock.advance(limits.frameTimeoutMs - 1);
  expect(peer.state).toBe("open");
  clock.advance(tickMs + 1);
  expect(handler.closed.mock.calls[0]?.[1]).toBe("frame-timeout");
});

test("a peer that does not read is paused, and cut off after the stall limit", async () => {
  const { clock, handler, accept } = setUp();
  const { peer, connection } = accept();
  peer.windowBytes = 1;
  peer.deliverRequest({ requestId: 1n });
  answer(connection);
  await settled();
  expect(peer.isPaused).toBe(true);
  clock.advance(limits.stallTimeoutMs - 1);
  peer.drain();
  expect(peer.isPaused).toBe(false);
  clock.advance(limits.stallTimeoutMs - 1);
  expect(peer.state).toBe("open");
  peer.deliverRequest({ requestId: 2n });
  answer(connection);
  await settled();
  clock.advance(limits.stallTimeoutMs + tickMs);
  expect(handler.closed.mock.calls[0]?.[1]).toBe("stalled");
});

test("replies that nobody reads are bounded", async () => {
  const { handler, accept } = setUp();
  const { peer, connection } = accept();
  peer.windowBytes = 1;
  for (let count = 0; count < 100; count++) {
    putReply(connection.output, 1n, new Uint8Array(50));
    connection.pushed();
    await settled();
    expect(connection.output.pendingBytes).toBeLessThanOrEqual(limits.outputBytesMax);
  }
  expect(handler.closed.mock.calls[0]?.[1]).toBe("output-full");
  expect(connection.output.pendingBytes).toBe(0);
});

test("more open requests than allowed are refused with their own ids", async () => {
  const { accept } = setUp();
  const { peer, connection } = accept();
  for (const requestId of [1n, 2n, 3n, 4n, 5n]) peer.deliverRequest({ requestId });
  await settled();
  expect(errorsOf(peer)).toEqual([[5n, "too-many-requests"]]);
  answer(connection);
  peer.deliverRequest({ requestId: 6n });
  expect(connection.state.requests).toEqual([2n, 3n, 4n, 6n]);
});

test("a handler that throws fails its own request and nothing else", async () => {
  const { handler, accept } = setUp();
  const one = accept();
  const two = accept();
  two.peer.deliverRequest({ requestId: 7n });
  handler.onRequest = (id) => {
    if (id === 2n) throw new Error("bug");
  };
  one.peer.deliverRequest({ requestId: 1n });
  expect(() => one.peer.deliverRequest({ requestId: 2n })).not.toThrow();
  one.peer.deliverRequest({ requestId: 3n });
  for (const { connection } of [one, one, two]) answer(connection);
  await settled();
  expect(errorsOf(one.peer)).toEqual([
    [2n, "internal-error"],
    [1n, "none"],
    [3n, "none"],
  ]);
  expect(errorsOf(two.peer)).toEqual([[7n, "none"]]);
  expect(handler.crashed).toHaveBeenCalledOnce();
  expect(one.connection.inFlight).toBe(0);
});

test("a broken frame is answered with its code, ends that connection and no other", async () => {
  const { handler, hub, accept } = setUp();
  const one = accept();
  accept();
  one.peer.deliver(new Uint8Array([0x7f, 0xff, 0xff, 0xff]));
  await settled();
  expect(errorsOf(one.peer)).toEqual([[0n, "frame-too-large"]]);
  expect(one.peer.state).toBe("ended");
  one.peer.vanish();
  expect(handler.closed.mock.calls[0]?.[1]).toBe("bad-frame");
  expect(hub.count).toBe(1);
});

test("a peer that ends its side in order still gets the answers that it is owed", async () => {
  const { handler, hub, accept } = setUp();
  const { peer, connection } = accept();
  peer.deliverRequest({ requestId: 1n });
  peer.vanish();
  expect([peer.state, hub.count]).toEqual(["open", 1]);
  answer(connection);
  await settled();
  expect(errorsOf(peer)).toEqual([[1n, "none"]]);
  expect([peer.state, hub.count]).toEqual(["ended", 0]);
  expect(handler.closed.mock.calls[0]?.[1]).toBe("peer-ended");
});

test("a peer that ends its side in the middle of a frame is told so", async () => {
  const { handler, accept } = setUp();
  const { peer } = accept();
  peer.deliver(new Uint8Array([0, 0, 0, 40, 1]));
  peer.vanish();
  await settled();
  expect(errorsOf(peer)).toEqual([[0n, "truncated-frame"]]);
  expect(handler.closed.mock.calls[0]?.[1]).toBe("bad-frame");
});

test("unfinished frames are bounded over all connections, and one that ends gives its part back", () => {
  const { handler, accept } = setUp({ inputBytesMax: 600 });
  const begin = new Uint8Array([0, 0, 1, 0, 1]);
  const peers = [accept().peer, accept().peer];
  for (const peer of peers) peer.deliver(begin);
  peers[0]?.vanish(new Error("reset"));
  const third = accept().peer;
  third.deliver(begin);
  expect(handler.closed.mock.calls.map(([, reason]) => reason)).toEqual(["peer-lost"]);
  const fourth = accept().peer;
  fourth.deliver(begin);
  fourth.vanish();
  expect(handler.closed.mock.calls.map(([, reason]) => reason)).toEqual(["peer-lost", "input-full"]);
});

test("the limit of connections holds at accept, and an end of any kind gives the place back", async () => {
  const { clock, hub, connect } = setUp();
  const inside = [connect(), connect(), connect()];
  const late = connect();
  expect(late.connection).toBeUndefined();
  expect(errorsOf(late.peer)).toEqual([[0n, "too-many-connections"]]);
  expect(late.peer.state).toBe("ended");
  late.peer.vanish();
  inside[0]?.peer.vanish(new Error("reset"));
  inside[1]?.peer.deliver(new Uint8Array([0x7f, 0xff, 0xff, 0xff]));
  inside[1]?.peer.vanish();
  expect(hub.count).toBe(1);
  expect([connect(), connect()].map(({ connection }) => connection !== undefined)).toEqual([true, true]);
  expect(connect().connection).toBeUndefined();
  clock.advance(limits.idleTimeoutMs + limits.stallTimeoutMs);
  expect([hub.count, clock.activeTimers]).toEqual([0, 0]);
});

test("a peer that was turned away and stays is dropped", () => {
  const { clock, connect } = setUp({ connectionsMax: 0 });
  const { peer } = connect();
  expect(peer.state).toBe("ended");
  clock.advance(limits.stallTimeoutMs + tickMs);
  expect(peer.state).toBe("destroyed");
  expect(clock.activeTimers).toBe(0);
});

test("a crowd that was turned away is bounded: of too many, the first is dropped", () => {
  const { clock, connect } = setUp({ connectionsMax: 0 });
  const crowd = Array.from({ length: refusedPeersMax }, () => connect().peer);
  const { peer: last } = connect();
  expect(crowd.map(({ state }) => state).indexOf("ended")).toBe(1);
  expect(errorsOf(last)).toEqual([[0n, "too-many-connections"]]);
  clock.advance(limits.stallTimeoutMs - tickMs);
  expect(last.state).toBe("ended");
  for (const peer of [...crowd, last]) peer.vanish();
  clock.advance(tickMs);
  expect(clock.activeTimers).toBe(0);
});

test("a drain answers what was accepted, refuses what comes after, and ends when all is written", async () => {
  const { clock, hub, connect, accept } = setUp();
  const busy = accept();
  const idle = accept();
  for (const requestId of [1n, 2n, 3n]) busy.peer.deliverRequest({ requestId });
  const drained = vi.fn<() => void>();
  void hub.drain().then(drained);
  expect(connect().connection).toBeUndefined();
  busy.peer.deliverRequest({ requestId: 4n });
  await settled();
  expect(errorsOf(busy.peer)).toEqual([[4n, "shutting-down"]]);
  expect([idle.peer.state, busy.peer.state]).toEqual(["ended", "open"]);
  busy.peer.windowBytes = 1;
  for (let count = 0; count < 3; count++) answer(busy.connection);
  await settled();
  expect(busy.peer.state).toBe("open");
  busy.peer.drain();
  expect(errorsOf(busy.peer)).toEqual([1n, 2n, 3n].map((id) => [id, "none"]));
  expect(busy.peer.state).toBe("ended");
  await settled();
  expect(drained).not.toHaveBeenCalled();
  busy.peer.vanish();
  idle.peer.vanish();
  clock.advance(limits.stallTimeoutMs + tickMs);
  await settled();
  expect(drained).toHaveBeenCalledOnce();
  expect(clock.activeTimers).toBe(0);
});

test("a drain does not wait for ever for a peer that is dead", async () => {
  const { clock, hub, accept } = setUp({ idleTimeoutMs: 0, stallTimeoutMs: 0 });
  const { peer } = accept();
  peer.deliverRequest({ requestId: 1n });
  const drained = vi.fn<() => void>();
  void hub.drain().then(drained);
  clock.advance(limits.drainTimeoutMs - 1);
  await settled();
  expect(drained).not.toHaveBeenCalled();
  clock.advance(1);
  await settled();
  expect(drained).toHaveBeenCalledOnce();
  expect([peer.state, clock.activeTimers, hub.count]).toEqual(["destroyed", 0, 0]);
});

test("while the handler pauses a peer, its silence is not held against it", () => {
  const { clock, accept } = setUp();
  const { peer, connection } = accept();
  connection.pause();
  clock.advance(10 * limits.idleTimeoutMs);
  expect([peer.state, peer.isPaused]).toEqual(["open", true]);
  connection.resume();
  expect(peer.isPaused).toBe(false);
  clock.advance(limits.idleTimeoutMs + tickMs);
  expect(peer.state).toBe("destroyed");
});
