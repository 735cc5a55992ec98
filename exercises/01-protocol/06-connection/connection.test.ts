/**
 * The suite of E1.6: the life of a connection on the server's side. The suite plays every peer, byte for byte, and the
 * handler behind the subject. Time stands still until the suite moves it, so "within six seconds" is a statement about
 * the code and not about this machine.
 */
import { describe, test } from "vitest";
import { concatBytes } from "#reference/base/bytes.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import type {
  CloseReason,
  ConnectionHandler,
  ConnectionLimits,
} from "#reference/protocol/connection-types.ts";
import type { Delivery } from "#reference/protocol/connection-types.ts";
import { connectionLimitsDefault, tickMsOf } from "#reference/protocol/connection-types.ts";
import { errorNameOf } from "#reference/protocol/errors.ts";
import { encodeRequest, encodeResponse } from "#reference/protocol/frame.ts";
import type { FrameOutput } from "#reference/protocol/output.ts";
import { VirtualClock, settled } from "#reference/testing/clock.ts";
import { ScriptedConnection } from "#reference/testing/scripted-connection.ts";
import { expectEqual, expectThat, fail, formatValue, run } from "#exercises/lib/check.ts";
import { seed } from "#exercises/lib/seed.ts";
import { ConnectionHub } from "./connection.ts";
import type { ServerConnection } from "./connection.ts";

const limits = {
  connectionsMax: 3,
  inFlightMax: 4,
  idleTimeoutMs: 6_000,
  frameTimeoutMs: 2_000,
  stallTimeoutMs: 3_000,
  drainTimeoutMs: 5_000,
  outputBytesMax: 1_000,
};
/** A limit may be noticed so much late. */
const tickMs = tickMsOf({ ...connectionLimitsDefault, ...limits });

/** What the suite's handler keeps for a connection: the requests that it has not answered. */
interface Kept {
  readonly name: string;
  readonly requests: bigint[];
  connection?: ServerConnection<Kept>;
}

/** A connection that never closes its far side by itself, and keeps what it was handed without copying it. */
class Peer extends ScriptedConnection {
  readonly name: string;
  readonly kept: { readonly live: Uint8Array; readonly asWritten: Uint8Array }[] = [];

  constructor(name: string) {
    super();
    this.name = name;
  }

  override write(bytes: Uint8Array): boolean {
    this.kept.push({ live: bytes, asWritten: bytes.slice() });
    return super.write(bytes);
  }
}

/** One hub, its peers and its handler, and everything that happened, in order. */
class Scene implements ConnectionHandler<Kept> {
  readonly clock = new VirtualClock();
  readonly hub: ConnectionHub<Kept>;
  readonly timeline: string[] = [];
  /** Whose connection ended, and why, in order. */
  readonly ends: string[] = [];
  readonly crashes: string[] = [];
  /** What a request makes the handler do, beside keeping its id. */
  onRequest: (id: bigint, connection: ServerConnection<Kept>) => void = () => {};
  readonly peers: Peer[] = [];
  #opening = "";

  constructor(more: Partial<ConnectionLimits> = {}) {
    this.hub = new ConnectionHub<Kept>({ clock: this.clock, handler: this, limits: { ...limits, ...more } });
  }

  opened(): Kept {
    this.note(`the handler opens ${this.#opening}`);
    return { name: this.#opening, requests: [] };
  }

  request(connection: ServerConnection<Kept>, _bytes: Uint8Array, view: DataView, start: number): void {
    const id = view.getBigUint64(start + 4);
    this.note(`the handler gets request ${id} of ${connection.state.name}`);
    this.expect(
      `whether ${connection.state.name} has ended when a request is handed over`,
      this.hasEnded(connection.state.name),
      false,
    );
    connection.state.requests.push(id);
    this.onRequest(id, connection);
  }

  crashed(connection: ServerConnection<Kept>, error: unknown): void {
    this.note(`the handler is told that it crashed: ${String(error)}`);
    this.crashes.push(`${connection.state.name}: ${formatValue(error)}`);
  }

  closed(connection: ServerConnection<Kept>, reason: CloseReason): void {
    this.note(`the handler is told that ${connection.state.name} has ended: ${reason}`);
    this.ends.push(`${connection.state.name}: ${reason}`);
    this.expect(`isOpen of ${connection.state.name}, when the handler is told`, connection.isOpen, false);
  }

  hasEnded(name: string): boolean {
    return this.ends.some((end) => end.startsWith(`${name}: `));
  }

  note(line: string): void {
    this.timeline.push(`${String(this.clock.monotonicTimeMs()).padStart(6)} ms  ${line}`);
  }

  where(): string {
    const shown = this.timeline.slice(-14);
    const earlier = this.timeline.length - shown.length;
    return [...(earlier > 0 ? [`(${earlier} earlier)`] : []), ...shown].join("\n");
  }

  run<Result>(what: string, call: () => Result): Result {
    this.note(what);
    return run(what, call, () => ({ where: this.where() }));
  }

  expect(what: string, actual: unknown, expected: unknown): void {
    expectEqual(what, actual, expected, { where: this.where() });
  }

  /** A peer comes; its connection, or undefined when it was turned away. */
  connect(name: string): { readonly peer: Peer; readonly connection: ServerConnection<Kept> | undefined } {
    const peer = new Peer(name);
    this.peers.push(peer);
    this.#opening = name;
    const connection = this.run(`${name} connects`, () => this.hub.accept(peer));
    return { peer, connection };
  }

  accept(name: string): { readonly peer: Peer; readonly connection: ServerConnection<Kept> } {
    const { peer, connection } = this.connect(name);
    if (connection !== undefined) return { peer, connection };
    return fail(`${name} was turned away`, { where: this.where() });
  }

  deliver(peer: Peer, bytes: Uint8Array, what: string): void {
    this.run(`${peer.name} sends ${what}`, () => peer.deliver(bytes));
  }

  request1(peer: Peer, ...ids: number[]): void {
    this.deliver(peer, concatBytes(ids.map((id) => request(id))), `request ${ids.join(", ")}`);
  }

  vanish(peer: Peer, reason?: Error): void {
    const how = reason === undefined ? "ends its side in order" : `is lost: ${reason.message}`;
    this.run(`${peer.name} ${how}`, () => peer.vanish(reason));
  }

  drain(peer: Peer): void {
    this.run(`${peer.name} has read everything`, () => peer.drain());
  }

  /** The handler answers the oldest request of the connection, or the one given. */
  answer(connection: ServerConnection<Kept>, id = connection.state.requests[0] ?? 0n): void {
    const { requests, name } = connection.state;
    const index = requests.indexOf(id);
    if (index >= 0) requests.splice(index, 1);
    this.run(`the handler answers request ${id} of ${name}`, () => {
      putReply(connection.output, id, "done");
      connection.answered();
    });
  }

  pass(ms: number): void {
    this.run(`${ms} ms pass`, () => this.clock.advance(ms));
  }

  async turn(): Promise<void> {
    await settled();
  }

  /** What the peer has read since the last look, in short. */
  replies(peer: Peer): string[] {
    return run(`reading what ${peer.name} was sent`, () =>
      peer
        .takeResponses()
        .map(({ requestId, errorCode }) => `${requestId}: ${errorNameOf(errorCode) ?? errorCode}`),
    );
  }

  expectNothingLeft(): void {
    this.expect("connections in the hub", this.hub.count, 0);
    this.expect("timers that still run", this.clock.activeTimers, 0);
    this.expect("delivery loops that still run", this.hub.liveDeliveries, 0);
  }
}

function request(id: number, payloadBytes = 0): Uint8Array {
  const payload = new Uint8Array(payloadBytes).fill(7);
  const frame = encodeRequest({ requestId: BigInt(id), type: 1, version: 1, flags: 0, payload });
  return frame instanceof Uint8Array ? frame : fail(frame.message);
}

function putReply(output: FrameOutput, requestId: bigint, text: string): void {
  const payload = new TextEncoder().encode(text);
  const frame = encodeResponse({ requestId, status: 0, errorCode: 0, payload });
  if (!(frame instanceof Uint8Array)) fail(frame.message);
  const at = output.reserve(frame.length);
  output.bytes.set(frame, at);
  output.commit(at + frame.length);
}

const reset = (): Error => new Error("reset");
/** A length field that no limit allows. */
const tooLarge = Uint8Array.of(0x7f, 0xff, 0xff, 0xff);
/** The first five bytes of a request of 260. */
const beginning = Uint8Array.of(0, 0, 1, 0, 1);

describe("coming in", () => {
  test("an accepted connection hands its requests to the handler and its answers to the peer", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.expect("connections in the hub", scene.hub.count, 1);
    scene.request1(peer, 5, 6);
    scene.expect("what the handler got", connection.state.requests, [5n, 6n]);
    scene.expect("inFlight", connection.inFlight, 2);
    scene.answer(connection, 6n);
    scene.answer(connection, 5n);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer), ["6: none", "5: none"]);
    scene.expect("inFlight", connection.inFlight, 0);
    scene.expect("isOpen", connection.isOpen, true);
  });

  test("a place is taken at accept, and a full house turns the next one away with a reason", async () => {
    const scene = new Scene();
    const ids = ["A", "B", "C"].map((name) => scene.accept(name).connection.id);
    scene.expect("different ids of three connections", new Set(ids).size, 3);
    const late = scene.connect("D");
    scene.expect("whether D is in", late.connection !== undefined, false);
    await scene.turn();
    scene.expect("what D read", scene.replies(late.peer), ["0: too-many-connections"]);
    scene.expect("the connection of D", late.peer.state, "ended");
    scene.expect("connections in the hub", scene.hub.count, 3);
    scene.expect(
      "connections that the handler opened",
      scene.timeline.filter((line) => line.includes("opens")).length,
      3,
    );
    scene.deliver(late.peer, request(1), "a request all the same");
    scene.expect(
      "whether the handler heard of it",
      scene.timeline.some((line) => line.includes("gets request")),
      false,
    );
  });

  test("whoever was turned away takes no place, and is dropped when it does not go", () => {
    const scene = new Scene({ connectionsMax: 1 });
    const inside = scene.accept("A");
    const crowd = ["B", "C", "D", "E"].map((name) => scene.connect(name).peer);
    scene.vanish(inside.peer);
    scene.run("the turn ends", () => inside.connection.flush());
    scene.expect("connections in the hub", scene.hub.count, 0);
    const next = scene.accept("F");
    scene.pass(limits.stallTimeoutMs + tickMs);
    scene.expect(
      "the peers that stayed",
      crowd.map(({ state }) => state),
      Array(4).fill("destroyed"),
    );
    scene.expect("the peer that is in", next.peer.state, "open");
    scene.vanish(next.peer, reset());
    scene.expectNothingLeft();
    const last = scene.accept("G");
    const outside = scene.connect("H").peer;
    scene.vanish(last.peer, reset());
    scene.pass(limits.stallTimeoutMs + tickMs);
    scene.expect("a peer that stayed at the door when nobody was inside", outside.state, "destroyed");
    scene.expectNothingLeft();
  });

  test("an end of any kind gives the place back, once", async () => {
    const scene = new Scene({ connectionsMax: 1 });
    const endings: readonly (readonly [string, (peer: Peer, connection: ServerConnection<Kept>) => void])[] =
      [
        ["in order", (peer) => scene.vanish(peer)],
        ["lost", (peer) => scene.vanish(peer, reset())],
        [
          "broken frame",
          (peer) => (scene.deliver(peer, tooLarge, "a length of two billion"), scene.vanish(peer)),
        ],
        ["silent", () => scene.pass(limits.idleTimeoutMs + tickMs)],
        ["dropped", (_peer, connection) => connection.destroy("closed-by-server")],
        [
          "dropped twice",
          (peer, connection) => (
            connection.destroy("closed-by-server"),
            connection.destroy("idle"),
            scene.vanish(peer)
          ),
        ],
      ];
    for (const [how, end] of endings) {
      const { peer, connection } = scene.accept(how);
      scene.run(`an end: ${how}`, () => end(peer, connection));
      await scene.turn();
      scene.expect(`connections in the hub after the end ${how}`, scene.hub.count, 0);
      scene.expect(
        `ends that the handler was told of: ${how}`,
        scene.ends.filter((line) => line.startsWith(`${how}: `)).length,
        1,
      );
    }
    scene.accept("last");
    scene.expect("whether one more is turned away", scene.connect("one more").connection === undefined, true);
  });

  test("a thousand connects and closes leave no timer and no connection", () => {
    const scene = new Scene();
    for (let count = 0; count < 1_000; count++) {
      const peer = new Peer("P");
      run("a connection", () => scene.hub.accept(peer));
      run("its end", () => peer.vanish(reset()));
    }
    scene.expectNothingLeft();
    scene.expect("ends that the handler was told of", scene.ends.length, 1_000);
  });

  test("one timer watches all connections", () => {
    const scene = new Scene({ connectionsMax: 200 });
    const accepted = Array.from({ length: 100 }, (_, index) => scene.accept(`P${index}`));
    for (const { peer } of accepted) scene.deliver(peer, beginning, "the beginning of a request");
    scene.expect("timers for 100 connections", scene.clock.activeTimers, 1);
    for (const { peer } of accepted) scene.vanish(peer, reset());
    scene.expectNothingLeft();
  });
});

describe("requests", () => {
  test("the answers of one turn leave in one write", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1, 2, 3);
    for (let count = 0; count < 3; count++) scene.answer(connection);
    await scene.turn();
    scene.expect("writes", peer.writes.length, 1);
    scene.expect("what the peer read", scene.replies(peer), ["1: none", "2: none", "3: none"]);
  });

  test("a handler that throws fails its own request, and no other and no other's connection", async () => {
    const scene = new Scene();
    const large = 2n ** 32n * 5n + 2n;
    const [one, two] = [scene.accept("A"), scene.accept("B")];
    scene.onRequest = (id, { state }) => {
      if (id !== large) return;
      state.requests.pop();
      throw new RangeError("bug");
    };
    scene.request1(two.peer, 7);
    scene.request1(one.peer, 1, Number(large), 3);
    scene.expect("requests in flight at A", one.connection.inFlight, 2);
    scene.answer(one.connection);
    scene.answer(one.connection);
    scene.answer(two.connection);
    await scene.turn();
    scene.expect("what A read", scene.replies(one.peer).sort(), [
      "1: none",
      `${large}: internal-error`,
      "3: none",
    ]);
    scene.expect("what B read", scene.replies(two.peer), ["7: none"]);
    scene.expect("crashes that the handler was told of", scene.crashes, ["A: RangeError: bug"]);
    scene.expect("requests in flight at A", one.connection.inFlight, 0);
    scene.expect("the connections", [one.peer.state, two.peer.state, scene.hub.count], ["open", "open", 2]);
  });

  test("a handler that throws after it has answered is not answered for again", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.onRequest = (id) => {
      scene.answer(connection, id);
      throw new Error("bug behind the answer");
    };
    scene.request1(peer, 1);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer), ["1: none"]);
    scene.expect("requests in flight", connection.inFlight, 0);
    scene.expect("crashes", scene.crashes.length, 1);
  });

  test("more open requests than allowed are refused with their own ids, and an answer makes room", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1, 2, 3, 4, 5, 2 ** 40);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer), [
      "5: too-many-requests",
      `${2 ** 40}: too-many-requests`,
    ]);
    scene.expect("requests in flight", connection.inFlight, 4);
    scene.answer(connection);
    scene.request1(peer, 7, 8);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer), ["1: none", "8: too-many-requests"]);
    scene.expect("what the handler has", connection.state.requests, [2n, 3n, 4n, 7n]);
  });

  test("a broken frame is answered with its code, and ends that connection and no other", async () => {
    const scene = new Scene();
    const [one, two] = [scene.accept("A"), scene.accept("B")];
    scene.request1(one.peer, 1);
    scene.deliver(
      one.peer,
      concatBytes([tooLarge, request(2)]),
      "a length of two billion, and a request behind it",
    );
    scene.deliver(one.peer, request(3), "another request");
    await scene.turn();
    scene.expect("what the handler got", one.connection.state.requests, [1n]);
    scene.expect("what A read", scene.replies(one.peer), ["0: frame-too-large"]);
    scene.expect("A, of which a request is in flight", one.peer.state, "open");
    scene.answer(one.connection);
    await scene.turn();
    scene.expect("what A read", scene.replies(one.peer), ["1: none"]);
    scene.expect("A, when all is answered", one.peer.state, "ended");
    scene.vanish(one.peer);
    await scene.turn();
    scene.expect("ends", scene.ends, ["A: bad-frame"]);
    scene.expect("B", [two.peer.state, scene.hub.count], ["open", 1]);
  });

  test("a corrupt request is not handed over, and the connection ends", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    const corrupt = request(1, 20);
    corrupt[20]! ^= 1;
    scene.deliver(peer, corrupt, "a corrupt request");
    await scene.turn();
    scene.expect("what the handler got", connection.state.requests, []);
    scene.expect("what the peer read", scene.replies(peer), ["0: corrupt-message"]);
    scene.expect("the connection", peer.state, "ended");
  });

  test("unfinished frames are bounded over all connections, and an end gives its part back", async () => {
    const scene = new Scene({ inputBytesMax: 600 });
    const [one, two] = [scene.accept("A"), scene.accept("B")];
    for (const { peer } of [one, two]) scene.deliver(peer, beginning, "the beginning of a request");
    scene.vanish(one.peer, reset());
    const third = scene.accept("C");
    scene.deliver(third.peer, beginning, "the beginning of a request");
    await scene.turn();
    scene.expect("ends while 512 of 600 bytes are held", scene.ends, ["A: peer-lost"]);
    scene.expect("the connections of B and C", [two.peer.state, third.peer.state], ["open", "open"]);
    const last = scene.accept("D");
    scene.deliver(last.peer, beginning, "the beginning of a request");
    scene.vanish(last.peer);
    await scene.turn();
    scene.expect("ends", scene.ends, ["A: peer-lost", "D: input-full"]);
  });
});

describe("signs of life", () => {
  test("a silent peer is taken for dead at the idle limit, at most one tick late and never early", () => {
    const scene = new Scene();
    const { peer } = scene.accept("A");
    scene.pass(limits.idleTimeoutMs - 1);
    scene.expect("a peer silent for one millisecond less", peer.state, "open");
    scene.request1(peer, 1);
    scene.pass(limits.idleTimeoutMs - 1);
    scene.expect("a peer silent for one millisecond less since its request", peer.state, "open");
    scene.pass(tickMs + 1);
    scene.expect("the peer, one tick after the limit", peer.state, "destroyed");
    scene.expect("ends", scene.ends, ["A: idle"]);
    scene.expectNothingLeft();
  });

  test("half a frame, dribbled byte by byte, is no sign of life", () => {
    const scene = new Scene({ frameTimeoutMs: 0 });
    const { peer } = scene.accept("A");
    scene.deliver(peer, beginning, "the beginning of a request");
    for (let passed = 0; passed <= limits.idleTimeoutMs + tickMs; passed += 500) {
      if (peer.state !== "open") break;
      scene.deliver(peer, Uint8Array.of(1), "one byte more");
      scene.pass(500);
    }
    scene.expect(
      "the peer that never finishes a frame",
      [peer.state, ...scene.ends],
      ["destroyed", "A: idle"],
    );
  });

  test("a frame must be whole within its limit, counted from its first byte", () => {
    const scene = new Scene();
    const { peer } = scene.accept("A");
    const frame = request(1, 30);
    for (let round = 0; round < 3; round++) {
      scene.deliver(peer, frame.subarray(0, 10), "ten bytes of a request");
      scene.pass(limits.frameTimeoutMs - 1);
      scene.expect("a frame that is still in time", peer.state, "open");
      scene.deliver(peer, frame.subarray(10), "the rest");
    }
    scene.deliver(
      peer,
      concatBytes([frame, frame.subarray(0, 3)]),
      "a whole request and the beginning of another",
    );
    scene.pass(limits.frameTimeoutMs - tickMs);
    scene.deliver(peer, frame.subarray(3, 6), "three bytes more");
    scene.pass(2 * tickMs);
    scene.expect("ends", scene.ends, ["A: frame-timeout"]);
    scene.expect("the connection", peer.state, "destroyed");
    scene.expectNothingLeft();
  });

  test("between two frames no frame is late", () => {
    const scene = new Scene({ idleTimeoutMs: 0 });
    const { peer } = scene.accept("A");
    const frame = request(1);
    scene.deliver(peer, frame.subarray(0, 7), "seven bytes of a request");
    scene.deliver(peer, frame.subarray(7), "the rest");
    scene.pass(100_000);
    scene.expect("a peer that is silent, but not for long enough", [peer.state, ...scene.ends], ["open"]);
    // A chunk that ends one frame and begins the next: the next one's time begins with it.
    scene.deliver(peer, frame.subarray(0, 7), "seven bytes of a request");
    scene.pass(limits.frameTimeoutMs - tickMs - 1);
    scene.deliver(
      peer,
      concatBytes([frame.subarray(7), frame.subarray(0, 7)]),
      "the rest, and seven bytes of the next",
    );
    scene.pass(limits.frameTimeoutMs - 1);
    scene.expect("the second frame, still in time", [peer.state, ...scene.ends], ["open"]);
    scene.pass(tickMs + 1);
    scene.expect("ends", scene.ends, ["A: frame-timeout"]);
  });

  test("a limit of 0 is no limit", () => {
    const scene = new Scene({ idleTimeoutMs: 0, frameTimeoutMs: 0 });
    const [silent, slow] = [scene.accept("A"), scene.accept("B")];
    scene.deliver(slow.peer, beginning, "the beginning of a request");
    scene.pass(1_000_000);
    scene.expect("ends", scene.ends, []);
    scene.expect("the connections", [silent.peer.state, slow.peer.state], ["open", "open"]);
  });

  test("while the handler pauses a peer its silence is not held against it", () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.run("the handler pauses A", () => connection.pause());
    scene.expect("isPaused", peer.isPaused, true);
    scene.pass(10 * limits.idleTimeoutMs);
    scene.expect("the connection", peer.state, "open");
    scene.run("the handler resumes A", () => connection.resume());
    scene.expect("isPaused", peer.isPaused, false);
    scene.pass(limits.idleTimeoutMs - 1);
    scene.expect("the connection, which has had its time again", peer.state, "open");
    scene.pass(tickMs + 1);
    scene.expect("ends", scene.ends, ["A: idle"]);
  });
});

describe("slow readers", () => {
  test("a peer that does not read is not read from either, until it does", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 1;
    scene.request1(peer, 1, 2, 3);
    scene.answer(connection);
    await scene.turn();
    scene.expect("isPaused, after write has said false", peer.isPaused, true);
    scene.answer(connection);
    scene.answer(connection);
    await scene.turn();
    scene.expect("writes while the peer does not read", peer.writes.length, 1);
    peer.windowBytes = 1_000;
    scene.drain(peer);
    scene.expect("isPaused, after the drain", peer.isPaused, false);
    scene.expect("what the peer read", scene.replies(peer), ["1: none", "2: none", "3: none"]);
  });

  test("a drain into a full window changes nothing", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 1;
    scene.request1(peer, 1, 2);
    scene.answer(connection);
    await scene.turn();
    scene.answer(connection);
    let waiting = 1;
    void connection.writable().then(() => waiting--);
    scene.drain(peer);
    await scene.turn();
    scene.expect("who waits for the peer to read, after a drain that filled the window again", waiting, 1);
    scene.expect("isPaused: what waited has filled the window again", peer.isPaused, true);
    scene.drain(peer);
    scene.expect("isPaused", peer.isPaused, false);
    scene.expect("what the peer read", scene.replies(peer), ["1: none", "2: none"]);
  });

  test("a peer that the handler has paused stays paused through a drain, and the other way round", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 1;
    scene.request1(peer, 1, 2);
    scene.answer(connection);
    await scene.turn();
    scene.run("the handler pauses A", () => connection.pause());
    scene.drain(peer);
    scene.expect("isPaused: the handler has not resumed", peer.isPaused, true);
    scene.answer(connection);
    await scene.turn();
    scene.run("the handler resumes A", () => connection.resume());
    scene.expect("isPaused: the peer has not read", peer.isPaused, true);
    scene.drain(peer);
    scene.expect("isPaused", peer.isPaused, false);
  });

  test("a peer that does not read is cut off at the stall limit; each drain begins it anew", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 1;
    scene.request1(peer, 1, 2, 3);
    for (let round = 0; round < 2; round++) {
      scene.answer(connection);
      await scene.turn();
      scene.pass(limits.stallTimeoutMs - 1);
      scene.expect("a peer that is slow, but not too slow", peer.state, "open");
      scene.drain(peer);
    }
    scene.answer(connection);
    await scene.turn();
    scene.request1(peer, 4);
    scene.answer(connection);
    scene.pass(limits.stallTimeoutMs - 1);
    scene.drain(peer);
    scene.pass(limits.stallTimeoutMs - 1);
    scene.expect("a peer that reads a little, now and then", peer.state, "open");
    scene.pass(tickMs + 1);
    scene.expect("ends", scene.ends, ["A: stalled"]);
    scene.expect("the connection", peer.state, "destroyed");
    scene.expectNothingLeft();
  });

  test("while a peer does not read, and so is not read from, it is not called idle", async () => {
    const scene = new Scene({ stallTimeoutMs: 4 * limits.idleTimeoutMs });
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 1;
    scene.request1(peer, 1);
    scene.answer(connection);
    await scene.turn();
    scene.pass(2 * limits.idleTimeoutMs);
    scene.expect("the connection", [peer.state, ...scene.ends], ["open"]);
    scene.drain(peer);
    scene.pass(limits.idleTimeoutMs - 1);
    scene.expect("the connection, which has had its time again", [peer.state, ...scene.ends], ["open"]);
    scene.pass(tickMs + 1);
    scene.expect("ends", scene.ends, ["A: idle"]);
  });

  test("what a peer does not read is bounded, and the bound cuts it off", async () => {
    const scene = new Scene();
    const [one, two] = [scene.accept("A"), scene.accept("B")];
    one.peer.windowBytes = 1;
    for (let count = 0; count < 40 && one.connection.isOpen; count++) {
      putReply(one.connection.output, 1n, "x".repeat(50));
      scene.run("a push", () => one.connection.pushed());
      await scene.turn();
      const { pendingBytes } = one.connection.output;
      expectThat(pendingBytes <= limits.outputBytesMax, "more waits for one peer than outputBytesMax", {
        expected: `at most ${limits.outputBytesMax} bytes`,
        actual: `${pendingBytes} bytes`,
        where: scene.where(),
      });
    }
    scene.expect("ends", scene.ends, ["A: output-full"]);
    scene.expect("bytes that still wait for it", one.connection.output.pendingBytes, 0);
    scene.expect("the other connection", two.peer.state, "open");
  });

  test("an idle connection holds no output memory", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1);
    scene.answer(connection);
    await scene.turn();
    scene.pass(tickMs);
    scene.expect("bytes of the output's array", connection.output.bytes.length, 0);
    scene.expect("the connection", peer.state, "open");
    scene.replies(peer);
    scene.request1(peer, 2);
    scene.answer(connection);
    scene.pass(tickMs);
    await scene.turn();
    scene.expect("what the peer read of an answer that met a tick before it left", scene.replies(peer), [
      "2: none",
    ]);
  });

  test("bytes that were handed over are not written again while the socket may be reading them", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    for (let id = 1; id <= 20; id++) {
      scene.request1(peer, id);
      scene.answer(connection);
      await scene.turn();
    }
    for (const [index, { live, asWritten }] of peer.kept.entries()) {
      scene.expect(`write ${index + 1}, after later ones`, formatValue(live), formatValue(asWritten));
    }
    scene.expect("writes", peer.kept.length, 20);
  });
});

/** A subscription that the suite feeds; `offset` moves with each item that was delivered. */
class Feed implements Delivery<number> {
  offset = 0;
  asked = 0;
  puts = 0;
  cancels = 0;
  /** Items that were counted as delivered before they were written. */
  readonly early: number[] = [];
  /** What `deliver` came to. */
  outcome = "runs";
  #bring: ((item: number | undefined) => void) | undefined = undefined;
  #fail: ((error: Error) => void) | undefined = undefined;
  #written: number | undefined = undefined;
  readonly #bytes: number;

  constructor(bytes = 4) {
    this.#bytes = bytes;
  }

  next(): Promise<number | undefined> {
    this.asked++;
    if (this.cancels > 0) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#bring = resolve;
      this.#fail = reject;
    });
  }

  put(item: number, { output }: { readonly output: FrameOutput }): void {
    this.puts++;
    this.#written = item;
    putReply(output, BigInt(item), "x".repeat(this.#bytes));
  }

  delivered(item: number): void {
    if (this.#written !== item) this.early.push(item);
    this.offset = item;
  }

  cancel(): void {
    this.cancels++;
    this.#bring?.(undefined);
  }

  bring(item: number | undefined): void {
    this.#bring?.(item);
  }

  break(): void {
    this.#fail?.(new Error("storage"));
  }

  start(scene: Scene, connection: ServerConnection<Kept>): this {
    const promise = scene.run("a delivery begins", () => connection.deliver(this));
    promise.then(
      () => (this.outcome = "ended"),
      (error: unknown) => (this.outcome = `failed: ${formatValue(error)}`),
    );
    return this;
  }
}

describe("deliveries", () => {
  test("items are sent one after the other, and the offset moves with each that was written", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    const feed = new Feed().start(scene, connection);
    scene.expect("delivery loops that run", scene.hub.liveDeliveries, 1);
    for (let item = 1; item <= 3; item++) {
      await scene.turn();
      scene.expect("the offset before the item", feed.offset, item - 1);
      feed.bring(item);
      await scene.turn();
      scene.expect("the offset", feed.offset, item);
      scene.expect("what the peer read", scene.replies(peer), [`${item}: none`]);
    }
    scene.expect("items whose offset was moved to before they were written", feed.early, []);
    feed.bring(undefined);
    await scene.turn();
    scene.expect("the delivery", [feed.outcome, scene.hub.liveDeliveries], ["ended", 0]);
    scene.expect("the connection", peer.state, "open");
  });

  test("a peer that vanishes during a delivery moves no offset and leaves no loop", async () => {
    for (const reason of [reset(), undefined]) {
      const scene = new Scene();
      const { peer, connection } = scene.accept("A");
      const feed = new Feed().start(scene, connection);
      await scene.turn();
      feed.bring(1);
      await scene.turn();
      scene.note("item 2 is there");
      feed.bring(2);
      scene.vanish(peer, reason);
      await scene.turn();
      scene.expect("the offset: item 2 was never written", feed.offset, 1);
      scene.expect("items written", feed.puts, 1);
      scene.expect("cancel was called", feed.cancels, 1);
      scene.expect("the delivery", [feed.outcome, scene.hub.liveDeliveries], ["ended", 0]);
      const { asked } = feed;
      feed.bring(3);
      await scene.turn();
      scene.expect(
        "what was asked for after the end, and the offset",
        [feed.asked - asked, feed.offset],
        [0, 1],
      );
      scene.expectNothingLeft();
    }
  });

  test("a delivery asks for nothing while the peer does not read, and ends when it vanishes", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 50;
    const feed = new Feed(60).start(scene, connection);
    await scene.turn();
    feed.bring(1);
    await scene.turn();
    for (let item = 2; item < 6; item++) {
      feed.bring(item);
      await scene.turn();
    }
    expectThat(feed.asked <= 2, "a delivery goes on asking although the peer does not read", {
      expected: "the one that is not read, and at most one more that was asked for before that was known",
      actual: `${feed.asked} items asked for`,
      where: scene.where(),
    });
    const { asked } = feed;
    scene.drain(peer);
    await scene.turn();
    scene.drain(peer);
    await scene.turn();
    scene.expect("items asked for, after the peer has read", feed.asked, asked + 1);
    feed.bring(9);
    await scene.turn();
    scene.vanish(peer, reset());
    await scene.turn();
    scene.expect("the delivery", [feed.outcome, scene.hub.liveDeliveries], ["ended", 0]);
    expectThat(feed.asked <= asked + 2, "a delivery goes on asking after the end", { where: scene.where() });
  });

  test("a delivery that fails ends alone, and its error is the caller's", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    const [bad, good] = [new Feed().start(scene, connection), new Feed().start(scene, connection)];
    await scene.turn();
    bad.break();
    await scene.turn();
    scene.expect("the one that failed", bad.outcome, "failed: Error: storage");
    scene.expect("loops that run", scene.hub.liveDeliveries, 1);
    good.bring(9);
    await scene.turn();
    scene.expect("what the peer read of the other", scene.replies(peer), ["9: none"]);
    scene.vanish(peer);
    await scene.turn();
    scene.expect(
      "cancel was called on the one that ran, and on the other",
      [good.cancels, bad.cancels],
      [1, 0],
    );
    scene.expectNothingLeft();
  });

  test("on a connection that is gone or leaving no delivery begins", async () => {
    const scene = new Scene();
    const [gone, leaving] = [scene.accept("A"), scene.accept("B")];
    scene.vanish(gone.peer, reset());
    scene.request1(leaving.peer, 1);
    scene.run("the server closes B", () => leaving.connection.close("closed-by-server"));
    const feeds = [new Feed().start(scene, gone.connection), new Feed().start(scene, leaving.connection)];
    await scene.turn();
    scene.expect(
      "items asked for",
      feeds.map(({ asked }) => asked),
      [0, 0],
    );
    scene.expect(
      "the deliveries",
      feeds.map(({ outcome }) => outcome),
      ["ended", "ended"],
    );
    scene.expect("loops that run", scene.hub.liveDeliveries, 0);
  });

  test("an end in order stops deliveries as well", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1);
    const feed = new Feed().start(scene, connection);
    await scene.turn();
    feed.bring(4);
    scene.run("the server closes A, which is owed an answer", () => connection.close("closed-by-server"));
    feed.bring(5);
    await scene.turn();
    scene.expect("the delivery", [feed.outcome, feed.cancels, feed.offset], ["ended", 1, 0]);
    scene.answer(connection);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer), ["1: none"]);
    scene.expect("the connection", peer.state, "ended");
  });
});

describe("going", () => {
  test("a lost peer costs nothing from that moment on: no bytes, no writes, no second end", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1, 2);
    scene.answer(connection);
    scene.vanish(peer, reset());
    scene.expect("bytes that wait", connection.output.pendingBytes, 0);
    scene.expect("bytes of the output's array", connection.output.bytes.length, 0);
    scene.answer(connection);
    scene.run("a push", () => connection.pushed());
    scene.run("a refusal", () => connection.refuse(0, 9, "overloaded", "no"));
    scene.deliver(peer, request(3), "a request, from the grave");
    scene.drain(peer);
    await scene.turn();
    scene.expect("bytes that wait after late answers", connection.output.pendingBytes, 0);
    scene.expect("writes", peer.writes.length, 0);
    scene.expect("our side of the connection is closed as well", peer.state !== "open", true);
    scene.expect("ends", scene.ends, ["A: peer-lost"]);
    scene.expect("isOpen", connection.isOpen, false);
    scene.expectNothingLeft();
  });

  test("a peer that ends its side in order still gets the answers that it is owed", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1, 2);
    scene.vanish(peer);
    await scene.turn();
    scene.expect("the connection, while answers are owed", [peer.state, scene.hub.count], ["open", 1]);
    scene.answer(connection);
    await scene.turn();
    scene.expect("the connection, while one answer is owed", [peer.state, scene.hub.count], ["open", 1]);
    scene.answer(connection);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer), ["1: none", "2: none"]);
    scene.expect("the connection", [peer.state, scene.hub.count], ["ended", 0]);
    scene.expect("ends", scene.ends, ["A: peer-ended"]);
    scene.expectNothingLeft();
  });

  test("a peer that ends its side in the middle of a frame is told so", async () => {
    const scene = new Scene();
    const { peer } = scene.accept("A");
    scene.deliver(peer, beginning, "the beginning of a request");
    scene.vanish(peer);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer), ["0: truncated-frame"]);
    scene.expect("ends", scene.ends, ["A: bad-frame"]);
    scene.expectNothingLeft();
  });

  test("a close in order happens after everything was written, also to a slow peer", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 1;
    scene.request1(peer, 1, 2);
    scene.answer(connection);
    await scene.turn();
    scene.answer(connection);
    scene.run("the server closes A", () => connection.close("closed-by-server"));
    await scene.turn();
    scene.expect("the connection, while an answer waits for the peer", peer.state, "open");
    scene.deliver(peer, request(3), "a request after the close");
    scene.expect("what the handler got", connection.state.requests, []);
    peer.windowBytes = 1_000;
    scene.drain(peer);
    scene.expect("what the peer read", scene.replies(peer), ["1: none", "2: none"]);
    scene.expect("the connection", peer.state, "ended");
    scene.vanish(peer);
    scene.expect("ends", scene.ends, ["A: closed-by-server"]);
    scene.expectNothingLeft();

    const other = new Scene();
    const last = other.accept("B");
    other.onRequest = (_id, connection) => connection.close("closed-by-server");
    other.request1(last.peer, 1, 2);
    other.expect("what the handler got, when it closes at the first of two", last.connection.state.requests, [
      1n,
    ]);
  });

  test("a peer that was told goodbye and does not go is dropped", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.pass(limits.idleTimeoutMs - tickMs);
    scene.run("the server closes A", () => connection.close("closed-by-server"));
    await scene.turn();
    scene.pass(limits.stallTimeoutMs - 1);
    scene.expect("the connection", peer.state, "ended");
    scene.pass(tickMs + 1);
    scene.expect("the connection", peer.state, "destroyed");
    scene.expect("ends", scene.ends, ["A: stalled"]);
    scene.expectNothingLeft();
  });

  test("the handler is told last, and once: what it does then changes nothing", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    const told: number[] = [];
    scene.closed = (gone, reason) => {
      told.push(scene.hub.count);
      scene.ends.push(`A: ${reason}`);
      gone.destroy("closed-by-server");
      gone.close("closed-by-server");
    };
    scene.run("A is dropped", () => connection.destroy("closed-by-server"));
    scene.vanish(peer, reset());
    await scene.turn();
    scene.expect("connections in the hub when the handler was told, each time", told, [0]);
    scene.expect("ends", scene.ends, ["A: closed-by-server"]);
    scene.expectNothingLeft();
  });

  test("those who wait for a peer to read go on when it is gone", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    peer.windowBytes = 1;
    scene.request1(peer, 1);
    scene.answer(connection);
    await scene.turn();
    let waiting = 2;
    for (let count = 0; count < 2; count++) void connection.writable().then(() => waiting--);
    await scene.turn();
    scene.expect("who waits", waiting, 2);
    scene.vanish(peer, reset());
    await scene.turn();
    scene.expect("who waits after the end", waiting, 0);
    scene.expect("isOpen", connection.isOpen, false);
  });
});

describe("shutting down", () => {
  /** Begins to drain; the result says whether it is done. */
  function drain(scene: Scene): { isDone: boolean } {
    const state = { isDone: false };
    const promise = scene.run("the server drains", () => scene.hub.drain());
    void promise.then(() => {
      scene.note("the drain is done");
      state.isDone = true;
    });
    return state;
  }

  test("requests that were accepted are answered, and the answers leave before the end", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1, 2, 3);
    const draining = drain(scene);
    await scene.turn();
    scene.expect("the connection, while three answers are owed", peer.state, "open");
    peer.windowBytes = 1;
    scene.answer(connection);
    await scene.turn();
    scene.answer(connection);
    scene.answer(connection);
    await scene.turn();
    scene.expect("the connection, while two answers wait for the peer", peer.state, "open");
    peer.windowBytes = 1_000;
    scene.drain(peer);
    scene.expect("what the peer read", scene.replies(peer), ["1: none", "2: none", "3: none"]);
    scene.expect("the connection", [peer.state, draining.isDone], ["ended", false]);
    scene.vanish(peer);
    await scene.turn();
    scene.expect("the drain", [draining.isDone, ...scene.ends], [true, "A: drained"]);
    scene.expectNothingLeft();
  });

  test("requests and connections that come after the beginning are refused: try elsewhere", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1);
    drain(scene);
    scene.request1(peer, 2, 3);
    const late = scene.connect("B");
    await scene.turn();
    scene.expect("what A read", scene.replies(peer), ["2: shutting-down", "3: shutting-down"]);
    scene.expect("what the handler has", connection.state.requests, [1n]);
    scene.expect(
      "what B read",
      [late.connection !== undefined, ...scene.replies(late.peer)],
      [false, "0: shutting-down"],
    );
    scene.expect("the connection of B", late.peer.state, "ended");
    scene.answer(connection);
    await scene.turn();
    scene.expect("what A read", scene.replies(peer), ["1: none"]);
  });

  test("connections that owe nothing end at once, and deliveries with them", async () => {
    const scene = new Scene();
    const [idle, subscribed] = [scene.accept("A"), scene.accept("B")];
    const feed = new Feed().start(scene, subscribed.connection);
    await scene.turn();
    const draining = drain(scene);
    const again = drain(scene);
    await scene.turn();
    scene.expect("the connections", [idle.peer.state, subscribed.peer.state], ["ended", "ended"]);
    scene.expect("the delivery", [feed.outcome, scene.hub.liveDeliveries], ["ended", 0]);
    scene.vanish(idle.peer);
    await scene.turn();
    scene.expect("whether the drain is done while B is there", draining.isDone, false);
    scene.vanish(subscribed.peer);
    await scene.turn();
    scene.expect(
      "whether the drain is done, and the second one",
      [draining.isDone, again.isDone],
      [true, true],
    );
    scene.expectNothingLeft();
  });

  test("with nobody there a drain is done at once; twice is once", async () => {
    const scene = new Scene();
    const first = drain(scene);
    const second = drain(scene);
    await scene.turn();
    scene.expect("whether the drains are done", [first.isDone, second.isDone], [true, true]);
    scene.expect("isDraining", scene.hub.isDraining, true);
    scene.expectNothingLeft();
    const crowded = new Scene({ connectionsMax: 0 });
    const { peer } = crowded.connect("A");
    const third = drain(crowded);
    await crowded.turn();
    crowded.expect("whether a drain is done while somebody stands at the door", third.isDone, false);
    crowded.vanish(peer);
    await crowded.turn();
    crowded.expect("whether it is done when the last one has gone", third.isDone, true);
    crowded.expectNothingLeft();
  });

  test("a drain does not wait for ever: at its limit everybody is dropped", async () => {
    const scene = new Scene({ idleTimeoutMs: 0, stallTimeoutMs: 60_000 });
    const [owed, deaf] = [scene.accept("A"), scene.accept("B")];
    scene.request1(owed.peer, 1);
    const draining = drain(scene);
    const late = scene.connect("C");
    await scene.turn();
    scene.pass(limits.drainTimeoutMs - 1);
    await scene.turn();
    scene.expect("whether the drain is done, one millisecond before its limit", draining.isDone, false);
    scene.pass(1);
    await scene.turn();
    scene.expect("whether the drain is done at its limit", draining.isDone, true);
    const peers = [owed.peer, deaf.peer, late.peer];
    scene.expect(
      "the connections",
      peers.map(({ state }) => state),
      Array(3).fill("destroyed"),
    );
    scene.expect("ends", scene.ends, ["A: drain-timeout", "B: drain-timeout"]);
    scene.expectNothingLeft();
  });

  test("a request that crashes, or is the last of a broken stream, does not hold the drain up", async () => {
    const scene = new Scene();
    const { peer, connection } = scene.accept("A");
    scene.request1(peer, 1);
    const draining = drain(scene);
    scene.deliver(peer, tooLarge, "a length of two billion");
    scene.answer(connection);
    await scene.turn();
    scene.expect("what the peer read", scene.replies(peer).sort(), ["0: frame-too-large", "1: none"]);
    scene.vanish(peer);
    await scene.turn();
    scene.expect("whether the drain is done", draining.isDone, true);
    scene.expectNothingLeft();
  });

  test("whatever happens, in whatever order: every connection ends once and nothing is left", async () => {
    for (let round = 0; round < 8; round++) await storm(new SeededRandom((seed + round * 104_729) >>> 0));
  });
});

/** Peers come, talk, stall, break and go, at random; at the end the server drains. */
async function storm(random: SeededRandom): Promise<void> {
  const scene = new Scene({ connectionsMax: 5 });
  const inside: { readonly peer: Peer; readonly connection: ServerConnection<Kept> }[] = [];
  const feeds: { readonly feed: Feed; readonly connection: ServerConnection<Kept> }[] = [];
  let nextId = 1;
  for (let step = 0; step < 150; step++) {
    const pair = inside[random.nextBetween(0, inside.length)];
    const action = random.nextBetween(0, 9);
    if (pair === undefined || action === 0) {
      const { peer, connection } = scene.connect(`P${step}`);
      if (connection !== undefined) inside.push({ peer, connection });
      else scene.vanish(peer);
    } else if (action <= 3) scene.request1(pair.peer, nextId++);
    else if (action <= 5 && pair.connection.state.requests.length > 0) scene.answer(pair.connection);
    else if (action === 6) pair.peer.windowBytes = random.nextBetween(1, 400);
    else if (action === 7) scene.drain(pair.peer);
    else if (action === 8)
      feeds.push({ feed: new Feed().start(scene, pair.connection), connection: pair.connection });
    else if (random.nextChance(0.5)) scene.vanish(pair.peer, random.nextChance(0.5) ? reset() : undefined);
    const chosen = feeds[random.nextBetween(0, feeds.length)];
    if (chosen !== undefined) chosen.feed.bring(chosen.feed.offset + 1);
    await scene.turn();
    scene.pass(random.nextBetween(0, 400));
    await scene.turn();
    expectThat(scene.hub.count <= 5, "more connections than connectionsMax", { where: scene.where() });
    expectThat(scene.clock.activeTimers <= 1, "more than one timer runs", { where: scene.where() });
    for (const { feed, connection } of feeds) {
      expectThat(feed.offset === feed.puts, "an offset has moved past what was written", {
        where: scene.where(),
      });
      if (!connection.isOpen) scene.expect("a delivery of a connection that is gone", feed.outcome, "ended");
    }
  }
  void run("the server drains", () => scene.hub.drain());
  scene.pass(limits.drainTimeoutMs);
  await scene.turn();
  scene.expectNothingLeft();
  const opened = scene.timeline.filter((line) => line.includes("the handler opens")).length;
  const ended = new Set(scene.ends.map((end) => end.split(":")[0]));
  scene.expect(
    "connections that were opened, ended, and reported",
    [scene.ends.length, ended.size],
    [opened, opened],
  );
}
