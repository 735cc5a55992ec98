import { expect, test } from "vitest";
import { BackPressure } from "./back-pressure.ts";
import type { BrokerConnection } from "./connection.ts";

/** A connection that notes whether it is read from. */
function connectionWith(told: string[], name: string): BrokerConnection {
  const connection = {
    isOpen: true,
    pause: () => told.push(`pause ${name}`),
    resume: () => told.push(`resume ${name}`),
  };
  return connection as unknown as BrokerConnection;
}

const marks = { highBytes: 100, lowBytes: 20 };

test("holds from the high mark on, down to the low one, and says so once for each wave", () => {
  const pressure = new BackPressure(marks);
  const states = [0, 99, 100, 150, 60, 21, 20, 60, 99, 100, 0].map((bytes) => {
    pressure.update(bytes);
    return pressure.isOn;
  });
  expect(states).toEqual([false, false, true, true, true, true, false, false, false, true, false]);
  expect(pressure.pauseCount).toBe(2);
});

test("whoever produces while the gate is closed is held once, and read from again when it opens", () => {
  const told: string[] = [];
  const pressure = new BackPressure(marks);
  const [one, two] = [connectionWith(told, "one"), connectionWith(told, "two")];
  pressure.begin();
  pressure.hold(one);
  pressure.hold(one);
  pressure.hold(two);
  expect(told).toEqual(["pause one", "pause two"]);
  pressure.end();
  expect(told.slice(2)).toEqual(["resume one", "resume two"]);
  pressure.end();
  expect([told.length, pressure.isOn, pressure.pauseCount]).toEqual([4, false, 1]);
});

test("a connection that is gone is neither kept nor resumed", () => {
  const told: string[] = [];
  const pressure = new BackPressure(marks);
  const [gone, ended] = [connectionWith(told, "gone"), connectionWith(told, "ended")];
  pressure.begin();
  pressure.hold(gone);
  pressure.hold(ended);
  pressure.forget(gone);
  Object.assign(ended, { isOpen: false });
  pressure.end();
  expect(told).toEqual(["pause gone", "pause ended"]);
});
