import { expect, test } from "vitest";
import type { Connection, Network } from "../ports.ts";
import { decodeRequestPayload, encodeReplyPayload } from "../protocol/messages-codec.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import type { Credentials } from "./handshake-call.ts";
import { ServerPool } from "./pool.ts";

/** A server that shakes hands and answers pings, for as long as `answers` is true. */
class ModelNetwork implements Network {
  readonly connections: ScriptedConnection[] = [];
  /** Names and proofs of Authenticate requests. */
  readonly proofs: string[] = [];
  answers = true;
  refuses = false;
  idleTimeoutMs = 30_000;

  async connect(): Promise<Connection> {
    if (this.refuses) throw new Error("connect ECONNREFUSED");
    const connection = new ScriptedConnection();
    this.connections.push(connection);
    const write = connection.write.bind(connection);
    connection.write = (bytes) => {
      const isWritable = write(bytes);
      void Promise.resolve().then(() => this.#answer(connection));
      return isWritable;
    };
    return connection;
  }

  listen(): Promise<never> {
    return Promise.reject(new Error("a client does not listen"));
  }

  #answer(connection: ScriptedConnection): void {
    if (!this.answers) return;
    for (const { requestId, type, payload } of connection.takeRequests()) {
      if (type === 9) {
        const decoded = decodeRequestPayload("Authenticate", payload);
        if (decoded.kind === "value") {
          const { method, name, proof } = decoded.value;
          this.proofs.push(`${method} ${name} ${new TextDecoder().decode(proof)}`);
        }
      }
      connection.deliverResponse({
        requestId,
        payload: type === 8 ? this.#hello() : type === 15 ? payload : new Uint8Array(0),
      });
    }
  }

  #hello(): Uint8Array {
    return encodeReplyPayload("Hello", {
      version: 1,
      serverName: "model",
      frameSizeMax: 1_000_000,
      recordSizeMax: 1_000,
      inFlightMax: 10,
      idleTimeoutMs: this.idleTimeoutMs,
      authentication: ["token", "hmac-sha256"],
      nonce: new TextEncoder().encode("nonce"),
      tagged: [],
    });
  }
}

function setUp(size = 2, credentials?: Credentials) {
  const clock = new VirtualClock();
  const network = new ModelNetwork();
  const sign = async (secret: string, message: Uint8Array) =>
    new TextEncoder().encode(`${secret}(${new TextDecoder().decode(message)})`);
  const introduction = { clientName: "test", credentials, sign };
  const pool = new ServerPool("server", {
    network,
    session: { clock, requestTimeoutMs: 1_000 },
    introduction,
    size,
  });
  return { clock, network, pool };
}

test("slots connect when they are first used, and callers that come meanwhile wait for the same attempt", async () => {
  const { network, pool } = setUp();
  expect(pool.ready(0)).toBeUndefined();
  const [one, two] = await Promise.all([pool.acquire(0), pool.acquire(0)]);
  expect(one).toBe(two);
  expect(network.connections).toHaveLength(1);
  await pool.acquire(1);
  expect(network.connections).toHaveLength(2);
  expect([pool.next(), pool.next(), pool.next()]).toEqual([0, 1, 0]);
  expect(pool.ready(2)).toBe(one);
});

test("a slot whose connection broke connects again, and the others stay", async () => {
  const { network, pool } = setUp();
  const first = await pool.acquire(0);
  const other = await pool.acquire(1);
  network.connections[0]?.vanish(new Error("reset"));
  expect(pool.ready(0)).toBeUndefined();
  expect(pool.ready(1)).toBe(other);
  const second = await pool.acquire(0);
  expect(second).not.toBe(first);
  expect(network.connections).toHaveLength(3);
});

test("a silent connection pings in time, and one that does not answer is given up", async () => {
  const { clock, network, pool } = setUp(1);
  await pool.acquire(0);
  await clock.advanceAsync(60_000);
  const { writes } = network.connections[0] ?? { writes: [] };
  expect(writes.length).toBeGreaterThanOrEqual(7);
  network.answers = false;
  await clock.advanceAsync(20_001);
  expect(pool.ready(0)).toBeUndefined();
  expect(network.connections[0]?.state).toBe("destroyed");
  expect(clock.activeTimers).toBe(0);
});

test("a server that cannot be reached is connection-failed, and the next attempt is a new one", async () => {
  const { network, pool } = setUp();
  network.refuses = true;
  await expect(pool.acquire(0)).rejects.toMatchObject({ name: "connection-failed" });
  network.refuses = false;
  await expect(pool.acquire(0)).resolves.toMatchObject({ limits: { serverName: "model" } });
});

test("a server that connects and says nothing is found out", async () => {
  const { clock, network, pool } = setUp();
  network.answers = false;
  const failure = pool.acquire(0).catch((error: Error) => error.name);
  await clock.advanceAsync(1_000);
  expect(await failure).toBe("connection-failed");
  expect(network.connections[0]?.state).toBe("destroyed");
});

test("a server that breaks off the handshake could not be reached: nothing was sent that it could have done", async () => {
  const { network, pool } = setUp();
  network.answers = false;
  const failure = pool.acquire(0).catch((error: Error) => error.name);
  await settled();
  network.connections[0]?.vanish(new Error("read ECONNRESET"));
  expect(await failure).toBe("connection-failed");
});

test("a token goes as it is, a secret only as a signature of the server's nonce", async () => {
  for (const [credentials, proof] of [
    [{ method: "token", name: "me", token: "abc" }, "token me abc"],
    [{ method: "hmac-sha256", name: "me", secret: "key" }, "hmac-sha256 me key(nonce)"],
  ] as const) {
    const { network, pool } = setUp(1, credentials);
    await pool.acquire(0);
    expect(network.proofs).toEqual([proof]);
  }
});

test("close leaves no connection and no timer, and refuses what comes after", async () => {
  const { clock, network, pool } = setUp();
  await pool.acquire(0);
  await pool.close();
  await settled();
  expect([network.connections[0]?.state, clock.activeTimers]).toEqual(["ended", 0]);
  await expect(pool.acquire(1)).rejects.toMatchObject({ name: "client-closed" });
});
