/** Addresses name a place in an exercise, and only what is not as usual. */
import { expect, test } from "vitest";
import { addressOf, readPlace, type Place } from "./address.ts";

const here = "https://example.org/base/01-protocol/01-bytes/?exercise=x&seed=9#frames";

test("a place survives the way through an address", () => {
  const places: Place[] = [
    { pane: "results", test: "known-answers", seed: 4294967295 },
    { pane: "text", test: undefined, seed: 0 },
    { pane: undefined, test: undefined, seed: undefined },
  ];
  for (const place of places) {
    const address = addressOf(here, "01-protocol/02-frame", place);
    expect(readPlace(address.search)).toEqual(place);
    expect(address.searchParams.get("exercise")).toBe("01-protocol/02-frame");
    expect(address.hash).toBe("#frames");
  }
});

test("the first pane and the usual seed stay out of the address", () => {
  const address = addressOf(here, "x", { pane: "task", test: undefined, seed: 1 });
  expect(address.search).toBe("?exercise=x");
});

test("a pane that there is not, and a seed that is none, count as not given", () => {
  for (const seed of ["", "x", "-1", "1.5", "4294967296"]) {
    expect(readPlace(`?pane=kitchen&seed=${seed}`)).toEqual({
      pane: undefined,
      test: undefined,
      seed: undefined,
    });
  }
});
