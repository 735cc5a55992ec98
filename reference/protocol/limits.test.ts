import { expect, test } from "vitest";
import { frameLengthMin } from "./frame.ts";
import {
  frameSizeMaxCeiling,
  frameSizeMaxDefault,
  protocolVersionMax,
  protocolVersionMin,
} from "./limits.ts";
import { lengthMax } from "./primitives.ts";

test("limits leave room for one another", () => {
  expect(frameSizeMaxDefault).toBeGreaterThan(Math.max(frameLengthMin.request, frameLengthMin.response));
  expect(frameSizeMaxCeiling).toBeGreaterThanOrEqual(frameSizeMaxDefault);
  // A byte string inside the largest frame must be countable by its int32 length.
  expect(frameSizeMaxCeiling).toBeLessThan(lengthMax);
  expect(protocolVersionMin).toBeLessThanOrEqual(protocolVersionMax);
});
