import net from "node:net";
import { expect, test } from "vitest";
import { describeConnectError } from "./connect-error.ts";
import { describeListenError, listenProblem } from "./listen-error.ts";
import { formatAddress, NodeNetwork } from "./network.ts";

const failed = (code: string) => Object.assign(new Error("system"), { code });

test("an address that cannot be listened on is told before anything is begun", async () => {
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as net.AddressInfo;
  const place = { host: "127.0.0.1", port };
  const address = formatAddress(place.host, port);
  expect(await listenProblem(place)).toBe(
    `address ${address} is in use; choose another --port, or 0 for a free one`,
  );
  await new Promise((resolve) => taken.close(resolve));
  expect(await listenProblem(place)).toBeUndefined();
  expect(await listenProblem({ host: "192.0.2.1", port: 0 })).toBeUndefined();
});

test.each([
  ["EADDRNOTAVAIL", "address a:1 is not an address of this machine; --admin-host says where to listen"],
  ["ENOTFOUND", "address a:1: this name is not known here; --admin-host says where to listen"],
  ["EACCES", "address a:1: no permission to listen there"],
  ["EOTHER", "address a:1: system"],
])("%s says what to do", (code, line) => {
  expect(describeListenError(failed(code), "a:1", "--admin-port")).toContain(line);
});

test("a connection that is refused says so in words, and keeps the system's code", async () => {
  const closed = net.createServer();
  await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const { port } = closed.address() as net.AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const refused = new NodeNetwork({}).connect(formatAddress("127.0.0.1", port));
  await expect(refused).rejects.toMatchObject({
    code: "ECONNREFUSED",
    message: "nothing listens there (ECONNREFUSED)",
  });
  expect(describeConnectError(failed("ENOTFOUND"), "db1").message).toBe(
    "no host db1 is known here (ENOTFOUND)",
  );
  expect(describeConnectError(failed("EPROTO"), "db1").message).toBe("system");
});
