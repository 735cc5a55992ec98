/** Our runtime and our programs keep the rules of all exchanges. That wrong ones do not is tested where those are. */
import { describe, expect, test } from "vitest";
import { makeByteNode } from "#reference/maelstrom/byte-node.ts";
import { programs } from "#reference/maelstrom/programs.ts";
import { complaintsOf } from "./bench.ts";
import { programExchanges } from "./program-exchanges.ts";
import { probe, runtimeExchanges } from "./runtime-exchanges.ts";

describe("our runtime", () => {
  test.for(runtimeExchanges.map((exchange) => [exchange.rule, exchange] as const))(
    "%s",
    async ([, exchange]) => {
      expect(await complaintsOf(exchange, makeByteNode, probe)).toEqual([]);
    },
  );
});

describe("our programs", () => {
  test.for(programExchanges.map((exchange) => [exchange.rule, exchange] as const))(
    "%s",
    async ([, exchange]) => {
      expect(await complaintsOf(exchange, makeByteNode, programs[exchange.program])).toEqual([]);
    },
  );
});
