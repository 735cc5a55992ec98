import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { InPageNetwork } from "../browser/in-page-network.ts";
import { NodeNetwork } from "../node/network.ts";
import { testNetwork } from "./network-conformance.ts";

describe("TCP", () => {
  testNetwork(() => ({ network: new NodeNetwork(), address: "127.0.0.1:0" }));
});

describe("TLS", () => {
  const read = (file: string): Buffer =>
    readFileSync(new URL(`../node/test-tls/${file}.pem`, import.meta.url));
  const tls = { cert: read("certificate"), key: read("key"), ca: read("certificate") };
  testNetwork(() => ({ network: new NodeNetwork({ tls }), address: "127.0.0.1:0" }));

  test("a server that the client has no reason to trust is refused", async () => {
    const server = new NodeNetwork({ tls });
    const listener = await server.listen("127.0.0.1:0", (connection) => connection.destroy());
    await expect(new NodeNetwork({ tls: {} }).connect(listener.address)).rejects.toMatchObject({
      code: "DEPTH_ZERO_SELF_SIGNED_CERT",
    });
    await listener.close();
  });
});

describe("in the page", () => {
  testNetwork(() => ({ network: new InPageNetwork(), address: "broker:0" }));
});

describe("in the page, cut into pieces", () => {
  testNetwork(() => ({ network: new InPageNetwork({ cut: 1000 }), address: "broker:0" }));
});
