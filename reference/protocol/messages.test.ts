import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "#reference/base/bytes.ts";
import { encodeRecordBatch } from "../storage/record-batch-builder.ts";
import { batchHeaderBytes, batchLayout } from "../storage/record-batch.ts";
import { acksOf } from "./acks.ts";
import { errorCodeOf } from "./errors.ts";
import { decodeErrorReply, decodeReplyPayload, decodeRequestPayload } from "./messages-codec.ts";
import { encodeErrorReply, encodeReplyPayload, encodeRequestPayload } from "./messages-codec.ts";
import {
  annotate,
  renderAcks,
  renderErrors,
  renderGolden,
  renderMessage,
  sampleReplyFrame,
  renderTraced,
  sampleAcksFrame,
  sampleRequestFrame,
  sampleTracedFrame,
} from "./messages-hex.ts";
import { messageSamples } from "./messages-samples.ts";
import { messageNameOf, messages } from "./messages.ts";
import type { MessageName } from "./messages.ts";

const names = Object.keys(messages) as MessageName[];

describe.each(names)("%s", (name) => {
  const { request, reply } = messageSamples[name] as { request: never; reply: never };

  test("is found by its type number", () => {
    expect(messageNameOf(messages[name].type)).toBe(name);
  });

  test("reads back what was written", () => {
    expect(decodeRequestPayload(name, encodeRequestPayload(name, request))).toEqual({
      kind: "value",
      value: request,
    });
    expect(decodeReplyPayload(name, encodeReplyPayload(name, reply))).toEqual({
      kind: "value",
      value: reply,
    });
  });

  test("refuses a payload that is cut anywhere, and one with a byte too much", () => {
    const payload = encodeRequestPayload(name, request);
    for (let length = 0; length < payload.length; length++) {
      expect(decodeRequestPayload(name, payload.subarray(0, length)).kind).toBe("fault");
    }
    const longer = new Uint8Array(payload.length + 1);
    longer.set(payload);
    expect(decodeRequestPayload(name, longer).kind).toBe("fault");
  });
});

test("an offset that a number cannot hold exactly is refused, not rounded", () => {
  const payload = encodeRequestPayload("Trim", {
    topic: "t",
    partition: 0,
    beforeOffset: Number.MAX_SAFE_INTEGER,
  });
  expect(decodeRequestPayload("Trim", payload).kind).toBe("value");
  payload[payload.length - 8] = 0x20;
  const decoded = decodeRequestPayload("Trim", payload);
  expect(decoded.kind === "fault" && decoded.fault.code).toBe(errorCodeOf("invalid-request"));
});

test("an error reply gives its code even when its text cannot be read", () => {
  const payload = encodeErrorReply("no topic named x", 250);
  const frame = { requestId: 1n, status: 1, errorCode: 12, payload } as const;
  expect(decodeErrorReply(frame)).toEqual({ code: 12, message: "no topic named x", retryAfterMs: 250 });
  expect(decodeErrorReply({ ...frame, payload: payload.subarray(0, 3) }).code).toBe(12);
});

test("a Produce says with one bit that the leader's disk is enough, and quorum is what says nothing", () => {
  expect(acksOf(sampleAcksFrame(), 0)).toBe("leader");
  expect(acksOf(sampleRequestFrame("Produce"), 0)).toBe("quorum");
  expect(acksOf(sampleTracedFrame(), 0)).toBe("quorum");
  expect(renderAcks()).toContain("# flags: uint16 = 2 (acks=leader)");
});

test("the golden bytes have not changed", async () => {
  await expect(renderGolden()).toMatchFileSnapshot("messages.hex");
});

test("the golden bytes are the sample frames, comments aside", () => {
  const golden = fromHex(readFileSync(new URL("messages.hex", import.meta.url), "utf8"));
  const frames = names.flatMap((name) => [sampleRequestFrame(name), sampleReplyFrame(name)]);
  frames.push(sampleTracedFrame(), sampleAcksFrame());
  expect(golden).toEqual(Uint8Array.from(frames.flatMap((frame) => [...frame])));
});

test("SPEC.md shows the messages and the errors as the code has them", async () => {
  const spec = readFileSync(new URL("SPEC.md", import.meta.url), "utf8");
  const rendered = {
    messages: names.map(renderMessage).join("\n"),
    errors: renderErrors(),
    traced: renderTraced(),
    acks: renderAcks(),
    batch: renderBatch(),
  };
  const current = spec.replace(
    /(<!-- rendered: (messages|errors|batch|traced|acks) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, open: string, part: keyof typeof rendered, close: string) =>
      `${open}\n${rendered[part]}\n${close}`,
  );
  await expect(current).toMatchFileSnapshot("SPEC.md");
});

/** The fields of a batch, and one of two records byte by byte. */
function renderBatch(): string {
  const stamped = new Set(["baseOffset", "epoch", "idMilliseconds", "idSequence", "lastOffsetDelta"]);
  for (const name of ["unsyncedBefore", "headerCrc"]) stamped.add(name);
  const fields = Object.entries(batchLayout).filter(([name]) => name !== "records");
  const ends = [...fields.slice(1).map(([, at]) => at), batchHeaderBytes];
  const rows = fields.map(([name, at], index) => {
    const writer = stamped.has(name) ? "server; send 0" : "producer";
    return `| ${at} | ${(ends[index] ?? 0) - at} | ${name} | ${writer} |`;
  });
  const batch = encodeRecordBatch(
    [
      { value: new TextEncoder().encode("hello"), timestampMs: 1763700000000 },
      { key: new TextEncoder().encode("k"), value: new Uint8Array(0), timestampMs: 1763700000001 },
    ],
    { producerId: 77, baseSequence: 40 },
  );
  const spans = fields.map(([name, start], index) => {
    const end = ends[index] ?? 0;
    const text = String(BigInt(`0x${toHex(batch.subarray(start, end))}`));
    return { name, kind: `uint${(end - start) * 8}`, start, end, text };
  });
  const records = [];
  for (let at: number = batchHeaderBytes; at < batch.length;) {
    const end = at + 4 + Number.parseInt(toHex(batch.subarray(at, at + 4)), 16);
    records.push({
      name: `record ${records.length}`,
      kind: "length, flags …",
      start: at,
      end,
      text: `${end - at} bytes`,
    });
    at = end;
  }
  const table = ["| at | bytes | field | filled in by |", "|---|---|---|---|", ...rows];
  const example = ["```", ...annotate(batch, [...spans, ...records]), "```"];
  const about =
    'A batch of two records as a producer sends it: the value "hello", then an empty value with the key "k":';
  return [...table, "", about, "", ...example, ""].join("\n");
}
