import { expect, test } from "vitest";
import { errorCodeOf, errorNameOf, protocolErrors, type ErrorName } from "./errors.ts";

const names = Object.keys(protocolErrors) as ErrorName[];

test("codes are unique and in the order of the table, those of the wire without a gap", () => {
  const codes = names.map((name) => protocolErrors[name].code);
  expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b));
  // From 1000 on a client names what never crosses the wire.
  const wire = codes.filter((code) => code < 1000);
  expect(wire).toEqual(wire.map((_, index) => index));
});

test("codes 0 to 7 are those of the network-layer plan and never change", () => {
  expect(names.slice(0, 8)).toEqual([
    "none",
    "unknown-request",
    "invalid-request",
    "offset-out-of-range",
    "corrupt-message",
    "partition-not-found",
    "request-timeout",
    "storage-error",
  ]);
});

test("name and code lead to each other, and a code of a newer server to nothing", () => {
  for (const name of names) expect(errorNameOf(errorCodeOf(name))).toBe(name);
  expect(errorNameOf(65535)).toBeUndefined();
  expect(errorNameOf(-1)).toBeUndefined();
});

test("every row says what to do in whole sentences", () => {
  for (const name of names) expect(protocolErrors[name].help, name).toMatch(/^[A-Z].*[.?]$/);
});

test("trying again is for what can pass, not for what was wrong with the request", () => {
  for (const name of [
    "corrupt-message",
    "request-timeout",
    "storage-full",
    "overloaded",
    "shutting-down",
  ] as const) {
    expect(protocolErrors[name].isRetriable, name).toBe(true);
  }
  for (const name of ["invalid-request", "frame-too-large", "malformed-frame", "record-too-large"] as const) {
    expect(protocolErrors[name].isRetriable, name).toBe(false);
  }
});
