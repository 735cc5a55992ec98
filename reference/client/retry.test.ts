import { expect, test, vi } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { ErrorName } from "../protocol/errors.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import { ProtocolError, protocolError } from "./protocol-error.ts";
import { retry, retryDelayMs, sleep } from "./retry.ts";
import { Stop } from "./stop.ts";

const policy = { attemptsMax: 5, delayMinMs: 100, delayMaxMs: 1_000 };

function failing(times: number, name: ErrorName) {
  let left = times;
  return vi.fn<() => Promise<string>>(async () => {
    if (left-- > 0) throw protocolError(name);
    return "done";
  });
}

const options = (clock: VirtualClock, isIdempotent = true) => ({
  clock,
  random: new SeededRandom(1),
  policy,
  isIdempotent,
});

test("it tries again after a failure that may pass, and stops when that has been enough", async () => {
  const clock = new VirtualClock();
  const good = failing(4, "overloaded");
  const result = retry(good, options(clock));
  await clock.advanceAsync(10_000);
  await expect(result).resolves.toBe("done");
  const bad = failing(99, "overloaded");
  const failure = retry(bad, options(clock)).catch((error: ProtocolError) => error.name);
  await clock.advanceAsync(10_000);
  expect([await failure, bad.mock.calls.length, clock.activeTimers]).toEqual(["overloaded", 5, 0]);
});

test("it does not try again what would fail again", async () => {
  const operation = failing(1, "topic-not-found");
  await expect(retry(operation, options(new VirtualClock()))).rejects.toMatchObject({
    name: "topic-not-found",
  });
  expect(operation).toHaveBeenCalledOnce();
});

test("what may have been carried out is repeated only if twice is the same as once", async () => {
  const clock = new VirtualClock();
  for (const [name, isIdempotent, calls] of [
    ["connection-closed", false, 1],
    ["request-timeout", false, 1],
    ["connection-closed", true, 2],
    ["connection-failed", false, 2],
    ["overloaded", false, 2],
  ] as const) {
    const operation = failing(1, name);
    const settledResult = retry(operation, options(clock, isIdempotent)).catch(() => "failed");
    await clock.advanceAsync(1_000);
    await settledResult;
    expect(operation, `${name}, ${isIdempotent}`).toHaveBeenCalledTimes(calls);
  }
});

test("what gets ahead on its way has all of its tries again", async () => {
  const clock = new VirtualClock();
  let calls = 0;
  const operation = async (progressed: () => void): Promise<string> => {
    if (++calls === 4) progressed();
    if (calls < 8) throw protocolError("overloaded");
    return "done";
  };
  const result = retry(operation, options(clock));
  await clock.advanceAsync(20_000);
  expect(await result).toBe("done");
});

test("it waits no less than the server asked for", async () => {
  const clock = new VirtualClock();
  const error = new ProtocolError(17, "full", { retryAfterMs: 5_000 });
  const operation = vi.fn<() => Promise<string>>().mockRejectedValueOnce(error).mockResolvedValue("done");
  const result = retry(operation, options(clock));
  await clock.advanceAsync(4_999);
  expect(operation).toHaveBeenCalledOnce();
  await clock.advanceAsync(1);
  await expect(result).resolves.toBe("done");
});

test("delays are drawn from a range that doubles up to the cap", () => {
  const random = new SeededRandom(7);
  for (const [failures, rangeMs] of [
    [1, 100],
    [2, 200],
    [4, 800],
    [5, 1_000],
    [500, 1_000],
  ] as const) {
    const delays = Array.from({ length: 200 }, () => retryDelayMs(failures, policy, random));
    expect(Math.max(...delays)).toBeLessThanOrEqual(rangeMs);
    expect(Math.max(...delays)).toBeGreaterThan(rangeMs * 0.9);
    expect(Math.min(...delays)).toBeLessThan(rangeMs * 0.1);
  }
});

test("a sleep that is aborted leaves no timer", async () => {
  const clock = new VirtualClock();
  const stop = new Stop();
  const sleeping = sleep(1_000, clock, stop);
  stop.abort("enough");
  await expect(sleeping).rejects.toMatchObject({ name: "request-aborted" });
  await expect(sleep(1_000, clock, stop)).rejects.toMatchObject({ name: "request-aborted" });
  await settled();
  expect(clock.activeTimers).toBe(0);
});
