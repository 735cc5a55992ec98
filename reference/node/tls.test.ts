import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { NodeNetwork } from "./network.ts";
import type { SocketConnection } from "./network.ts";
import { describeTlsFailure, loadTls } from "./tls.ts";

const pathOf = (name: string): string => fileURLToPath(new URL(`test-tls/${name}.pem`, import.meta.url));
const read = (name: string): Buffer => readFileSync(pathOf(name));
const ca = read("authority");
const shown = (name: string) => ({ cert: read(name), key: read("key") });

const untrusted = "its certificate is signed by nobody who is trusted here";
const expired = "its certificate has expired";
const elsewhere = "its certificate is for elsewhere.example, not for 127.0.0.1";
const onlyServers =
  "its certificate is not for this use: extendedKeyUsage must name serverAuth and clientAuth, or be left out";

/** A port as a node of a cluster opens it; `accepted` is the next connection. */
async function nodePort(options: { readonly cert?: Buffer; readonly minVersion?: "TLSv1.3" } = {}) {
  const asking = { requestCert: true, rejectUnauthorized: false };
  const network = new NodeNetwork({ tls: { ...shown("node"), ca, ...asking, ...options } });
  const connections: SocketConnection[] = [];
  let accept = (_connection: SocketConnection): void => {};
  const listener = await network.listen("127.0.0.1:0", (connection) => {
    connections.push(connection);
    accept(connection);
  });
  const accepted = (): Promise<SocketConnection> => new Promise((resolve) => (accept = resolve));
  const close = (): Promise<void> => {
    for (const connection of connections) connection.destroy();
    return listener.close();
  };
  return { address: listener.address, accepted, close };
}

/** Why a node's connection to `address` fails. */
async function failureAt(
  address: string,
  options: { readonly maxVersion?: "TLSv1.2" } = {},
): Promise<string | undefined> {
  const network = new NodeNetwork({ tls: { ca, ...options } });
  const error: unknown = await network.connect(address).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  return describeTlsFailure(error);
}

describe("whoever says that it is a node", () => {
  test.each([
    { who: "with a certificate for its address", certificate: "node", problem: undefined },
    { who: "with no certificate", certificate: undefined, problem: "it shows no certificate" },
    { who: "with one that it has signed itself", certificate: "certificate", problem: untrusted },
    { who: "with one that has expired", certificate: "expired", problem: expired },
    { who: "with one of another machine", certificate: "elsewhere", problem: elsewhere },
    { who: "with one that is for servers only", certificate: "server-only", problem: onlyServers },
  ])("$who: $problem", async ({ certificate, problem }) => {
    const { address, accepted, close } = await nodePort();
    const next = accepted();
    const own = certificate === undefined ? {} : shown(certificate);
    const connection = await new NodeNetwork({ tls: { ca, ...own } }).connect(address);
    const other = await next;
    expect(other.unprovedIdentity("127.0.0.1")).toBe(problem);
    connection.destroy();
    await close();
  });

  test("proves nothing by resuming a session, which counts as authorized without any certificate", async () => {
    const { address, accepted, close } = await nodePort();
    const port = Number(address.split(":")[1]);
    const options = { host: "127.0.0.1", port, ca, servername: "" };
    const first = tls.connect(options).resume();
    const session = await new Promise<Buffer>((resolve) => first.once("session", resolve));
    first.destroy();
    const next = accepted();
    const second = tls.connect({ ...options, session }).resume();
    await new Promise((resolve) => second.once("secureConnect", resolve));
    expect(second.isSessionReused()).toBe(true);
    const other = await next;
    expect(other.unprovedIdentity("127.0.0.1")).toMatch(/resumes a TLS session/);
    second.destroy();
    await close();
  });

  test("proves nothing without TLS", async () => {
    const network = new NodeNetwork();
    const { promise, resolve } = Promise.withResolvers<SocketConnection>();
    const listener = await network.listen("127.0.0.1:0", resolve);
    const connection = await network.connect(listener.address);
    const other = await promise;
    expect(other.unprovedIdentity("127.0.0.1")).toBe("it does not speak TLS");
    connection.destroy();
    other.destroy();
    await listener.close();
  });
});

describe("a server that a node connects to", () => {
  test.each([
    { who: "with a certificate that it has signed itself", certificate: "certificate", problem: untrusted },
    { who: "with one that has expired", certificate: "expired", problem: expired },
    { who: "with one of another machine", certificate: "elsewhere", problem: elsewhere },
  ])("$who: $problem", async ({ certificate, problem }) => {
    const { address, close } = await nodePort(shown(certificate));
    expect(await failureAt(address)).toBe(problem);
    await close();
  });

  test("without TLS: it does not speak it", async () => {
    const listener = await new NodeNetwork().listen("127.0.0.1:0", (connection) => {
      connection.onData = () => connection.write(new Uint8Array(64));
      connection.onClose = () => connection.destroy();
    });
    expect(await failureAt(listener.address)).toBe("it does not speak TLS");
    await listener.close();
  });

  test("with no version of TLS in common", async () => {
    const { address, close } = await nodePort({ minVersion: "TLSv1.3" });
    const problem = "TLS fails (tlsv1_alert_protocol_version)";
    expect(await failureAt(address, { maxVersion: "TLSv1.2" })).toBe(problem);
    await close();
  });

  test("that is not there is no failure of TLS", async () => {
    const { address, close } = await nodePort();
    await close();
    expect(await failureAt(address)).toBeUndefined();
  });
});

describe("the files", () => {
  const nowMs = Date.UTC(2026, 0);
  const files = { tlsCertificate: pathOf("node"), tlsKey: pathOf("key"), tlsCa: pathOf("authority") };

  test("are read, and none are no TLS", () => {
    const loaded = loadTls(files, nowMs);
    expect(loaded).toEqual({ kind: "tls", material: { ...shown("node"), ca }, notices: [] });
    const none = loadTls({ tlsCertificate: "", tlsKey: "", tlsCa: "" }, nowMs);
    expect(none).toEqual({ kind: "tls", material: undefined, notices: [] });
    const own = loadTls({ ...files, tlsCa: "" }, nowMs);
    expect(own).toMatchObject({ material: shown("node") });
    expect(own).not.toHaveProperty("material.ca");
  });

  test.each([
    { tlsKey: "", message: "tlsCa needs tlsCertificate and tlsKey" },
    { tlsKey: "", tlsCa: "", message: "TLS needs both tlsCertificate and tlsKey" },
    { tlsCertificate: pathOf("nobody"), message: `${pathOf("nobody")}: cannot be read (ENOENT)` },
    { tlsCa: tmpdir(), message: `${tmpdir()}: cannot be read (EISDIR)` },
    { tlsCertificate: pathOf("key"), message: `${pathOf("key")}: no certificate in PEM format` },
    { tlsCa: pathOf("key"), message: `${pathOf("key")}: no certificate in PEM format` },
    {
      tlsKey: pathOf("node"),
      message: `${pathOf("node")}: no private key in PEM format, or one with a passphrase`,
    },
    {
      tlsCertificate: pathOf("authority"),
      message: `${pathOf("key")}: not the key of ${pathOf("authority")}`,
    },
  ])("$message", ({ message, ...wrong }) => {
    expect(loadTls({ ...files, ...wrong }, nowMs)).toEqual({ kind: "problem", message });
  });

  test("that nobody will accept today are told of", () => {
    const late = loadTls({ ...files, tlsCertificate: pathOf("expired") }, nowMs);
    expect(late).toMatchObject({ notices: [expect.stringMatching(/has expired \(Jan {2}1 00:00:00 2021/)] });
    const early = loadTls(files, Date.UTC(2019, 0));
    expect(early).toMatchObject({ notices: [expect.stringMatching(/is not valid before Jan {2}1/)] });
  });
});
