/** The live pictures say what the reference does: their models, without a page around them. */
import { expect, test } from "vitest";
import {
  crashAt,
  describeCrash,
  policies,
  runPolicy,
  sendTimesMs,
  survivalOf,
  timelineMs,
} from "./crash-model.ts";
import {
  describeFrame,
  encodeForm,
  exampleFrame,
  exampleNames,
  firstFrame,
  flipBit,
  formOf,
  parseHex,
  readFrame,
} from "./frame-model.ts";
import { describeLookUp, intervals, lookUp, makeLog } from "./log-model.ts";
import {
  damaged,
  describePlay,
  isWholeFrame,
  makeStream,
  nameOfByte,
  play,
  presets,
  randomCuts,
} from "./splitter-model.ts";

test.each(["request", "response"] as const)(
  "every example %s is intact, and its form gives its bytes back",
  (kind) => {
    for (const name of exampleNames) {
      const bytes = exampleFrame(kind, name);
      const reading = readFrame(bytes, kind);
      expect(reading.state, name).toBe("intact");
      expect(encodeForm(kind, formOf(reading)), name).toEqual(bytes);
    }
  },
);

test("a flipped bit is refused wherever it is, or asks for bytes that never come", () => {
  const bytes = firstFrame();
  for (let at = 0; at < bytes.length; at++) {
    const { state, verdict } = readFrame(flipBit(bytes, at, 3), "request");
    expect(state, `byte ${at}: ${verdict}`).not.toBe("intact");
  }
});

test("a frame's text names the verdict, the fields, what is in the payload, and the bytes", () => {
  const text = describeFrame(readFrame(firstFrame(), "request"));
  expect(text).toContain("An intact request.");
  expect(text).toContain("requestId");
  expect(text).toMatch(/topic: text = "orders"/);
  expect(text).toContain("0000  00 00 00");
});

test("what is typed and cannot be is one sentence that names the field", () => {
  expect(parseHex("0g")).toEqual({ problem: '"g" is no hexadecimal digit.' });
  expect(parseHex("0")).toEqual({ problem: "The last byte has only one digit." });
  const form = { requestId: "1", type: "256", version: "1", flags: "0", payload: "" };
  expect(encodeForm("request", form)).toEqual({
    field: "type",
    problem: "256 is above 255, the most that fits.",
  });
  const reply = { requestId: "1", status: "1", errorCode: "0", payload: "" };
  expect(encodeForm("response", reply)).toMatchObject({ field: "errorCode" });
});

test("the same stream gives the same frames, however it is cut", () => {
  const stream = makeStream();
  const cuttings = [
    ...Object.values(presets).map((cut) => cut(stream)),
    ...[1, 2, 3].map((seed) => randomCuts(stream, seed)),
  ];
  for (const cuts of cuttings) {
    const steps = play(stream, new Set(cuts));
    expect(steps.flatMap(({ frames }) => frames)).toEqual([
      { number: 1, payload: "hi" },
      { number: 2, payload: "" },
      { number: 3, payload: "one more" },
    ]);
    expect(steps.at(-1)?.end).toBe(stream.bytes.length);
  }
  expect(stream.frames.every(({ start, end }) => isWholeFrame(stream.bytes.subarray(start, end)))).toBe(true);
  expect(nameOfByte(stream, stream.frames[1]!.end - 1)).toBe("checksum of frame 2");
});

test("after a damaged frame nothing is handed out, and the text says why", () => {
  const steps = play(damaged(makeStream()), new Set([30, 50]));
  expect(steps.flatMap(({ frames }) => frames.map(({ number }) => number))).toEqual([1]);
  expect(describePlay(steps)).toContain("refused, corrupt-message");
  expect(describePlay(steps)).toContain("ignored: after a fault");
});

test.each(intervals)(
  "with an entry every %i bytes, the steps of the picture end where the broker's look-up ends",
  async (interval) => {
    const view = await makeLog(interval);
    expect(view.segments.length).toBeGreaterThan(1);
    for (let offset = 0; offset < view.endOffset; offset++) {
      const found = await lookUp(view, offset);
      expect(found.visited.at(-1)?.position, `offset ${offset}`).toBe(found.position);
      expect(found.visited.at(-1)?.baseOffset).toBeLessThanOrEqual(offset);
    }
    const last = await lookUp(view, view.endOffset - 1);
    expect(describeLookUp(view, last)).toContain(`Looking for offset ${view.endOffset - 1}`);
  },
);

test("whatever the moment, always loses no acknowledged record, and a killed process loses none at all", async () => {
  const lost: Record<string, number> = {};
  for (const policy of policies) {
    const run = await runPolicy(policy);
    lost[policy] = 0;
    for (let atMs = 0; atMs <= timelineMs; atMs += 50) {
      for (const crash of ["process", "power", "luck"] as const) {
        const { fates } = await crashAt(run, atMs, survivalOf(crash, atMs));
        const gone = fates.filter((fate) => fate === "lost").length;
        const goneMax = policy === "always" || crash === "process" ? 0 : sendTimesMs.length;
        expect(gone, `${policy} ${crash} ${atMs}`).toBeLessThanOrEqual(goneMax);
        lost[policy] = Math.max(lost[policy], gone);
      }
    }
  }
  expect(lost["everysec"]).toBeGreaterThan(0);
  expect(lost["never"]).toBe(sendTimesMs.length);
});

test("a crash is told in words: when, how, and what each policy lost", async () => {
  const runs = await Promise.all(policies.map(runPolicy));
  const outcomes = await Promise.all(runs.map((run) => crashAt(run, 1_700, survivalOf("power", 1))));
  const text = describeCrash(1_700, "power", outcomes);
  expect(text).toContain("1700 ms after the start");
  expect(text).toMatch(/always: \d+ acknowledged, 0 of them lost/);
  expect(text).toMatch(/never: 8 acknowledged, 8 of them lost/);
});
