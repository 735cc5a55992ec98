import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromHex } from "#reference/base/bytes.ts";
import { errorCodeOf } from "./errors.ts";
import { decodeErrorReply, decodeReplyPayload, decodeRequestPayload } from "./messages-codec.ts";
import { encodeErrorReply, encodeReplyPayload, encodeRequestPayload } from "./messages-codec.ts";
import {
  renderErrors,
  renderGolden,
  renderMessage,
  sampleReplyFrame,
  sampleRequestFrame,
} from "./messages-hex.ts";
import { messageSamples } from "./messages-samples.ts";
import { messageNameOf, messages } from "./messages.ts";
import type { MessageName, ReplyOf, RequestOf } from "./messages.ts";

const names = Object.keys(messages) as MessageName[];

describe.each(names)("%s", (name) => {
  const request = messageSamples[name].request as RequestOf<MessageName>;
  const reply = messageSamples[name].reply as ReplyOf<MessageName>;

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

test("the golden bytes have not changed", async () => {
  await expect(renderGolden()).toMatchFileSnapshot("messages.hex");
});

test("the golden bytes are the sample frames, comments aside", () => {
  const golden = fromHex(readFileSync(new URL("messages.hex", import.meta.url), "utf8"));
  const frames = names.flatMap((name) => [sampleRequestFrame(name), sampleReplyFrame(name)]);
  expect(golden).toEqual(Uint8Array.from(frames.flatMap((frame) => [...frame])));
});

test("SPEC.md shows the messages and the errors as the code has them", async () => {
  const spec = readFileSync(new URL("SPEC.md", import.meta.url), "utf8");
  const rendered = { messages: names.map(renderMessage).join("\n"), errors: renderErrors() };
  const current = spec.replace(
    /(<!-- rendered: (messages|errors) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, open: string, part: "messages" | "errors", close: string) =>
      `${open}\n${rendered[part]}\n${close}`,
  );
  await expect(current).toMatchFileSnapshot("SPEC.md");
});
