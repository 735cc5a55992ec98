import { describe } from "vitest";
import { InPageNetwork } from "../browser/in-page-network.ts";
import { NodeNetwork } from "../node/network.ts";
import { testNetwork } from "./network-conformance.ts";

describe("TCP", () => {
  testNetwork(() => ({ network: new NodeNetwork(), address: "127.0.0.1:0" }));
});

describe("in the page", () => {
  testNetwork(() => ({ network: new InPageNetwork(), address: "broker:0" }));
});

describe("in the page, cut into pieces", () => {
  testNetwork(() => ({ network: new InPageNetwork({ cut: 1000 }), address: "broker:0" }));
});
