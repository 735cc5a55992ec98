import { expect, test } from "vitest";
import { ConnectionHub } from "../protocol/connection.ts";
import { VirtualClock } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import type { BrokerConnection } from "./connection.ts";
import { newConnectionState } from "./connection-state.ts";
import { RateLimiter, type RateLimits } from "./rate-limit.ts";

/** A limiter, and connections of clients that have proved a name, or have not. */
function setUp(limits: RateLimits) {
  const clock = new VirtualClock();
  const handler = { opened: newConnectionState, request() {}, crashed() {}, closed() {} };
  const hub = new ConnectionHub({ clock, handler, limits: { idleTimeoutMs: 0 } });
  const connect = (principal?: string): BrokerConnection => {
    const connection = hub.accept(new ScriptedConnection());
    if (connection === undefined) throw new Error("refused");
    connection.state.principal = principal;
    return connection;
  };
  return { clock, limiter: new RateLimiter(limits, clock), connect };
}

test("bytes beyond a second's worth are paid for afterwards, at the permitted rate", () => {
  const { clock, limiter, connect } = setUp({ requestsPerSecond: 0, bytesPerSecond: 1000 });
  const client = connect();
  expect(limiter.take(client, 5000)).toBe(0);
  expect(limiter.take(client, 1)).toBe(4000);
  clock.advance(3999);
  expect(limiter.take(client, 1)).toBe(1);
  clock.advance(2);
  expect(limiter.take(client, 1)).toBe(0);
});

test("a refused request costs nothing, and what was saved up is a second's worth at most", () => {
  const { clock, limiter, connect } = setUp({ requestsPerSecond: 3, bytesPerSecond: 0 });
  const client = connect();
  clock.advance(3_600_000);
  expect([1, 2, 3].map(() => limiter.take(client, 1))).toEqual([0, 0, 0]);
  for (let tries = 0; tries < 10; tries++) expect(limiter.take(client, 1)).toBeGreaterThan(0);
  clock.advance(333);
  expect(limiter.take(client, 1)).toBe(0);
  expect(limiter.take(client, 1)).toBeGreaterThan(0);
});

test("who has proved a name has one share, over all connections; others have one for each", () => {
  const { limiter, connect } = setUp({ requestsPerSecond: 1, bytesPerSecond: 0 });
  expect(limiter.take(connect("shop"), 1)).toBe(0);
  expect(limiter.take(connect("shop"), 1)).toBeGreaterThan(0);
  expect(limiter.take(connect("bank"), 1)).toBe(0);
  expect(limiter.take(connect(), 1)).toBe(0);
  expect(limiter.take(connect(), 1)).toBe(0);
});

test("the names that are remembered are bounded: the one that was idle longest starts afresh", () => {
  const { limiter, connect } = setUp({ requestsPerSecond: 1, bytesPerSecond: 0 });
  const client = connect();
  const take = (number: number): boolean => {
    client.state.principal = `client ${number}`;
    return limiter.take(client, 1) === 0;
  };
  for (let number = 0; number < 10_000; number++) expect(take(number)).toBe(true);
  expect(take(0)).toBe(false);
  expect(take(10_000)).toBe(true);
  expect(take(0)).toBe(false);
  expect(take(2)).toBe(false);
  expect(take(1)).toBe(true);
});
