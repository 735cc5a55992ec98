import { X509Certificate, createPrivateKey } from "node:crypto";
import { once } from "node:events";
import tls from "node:tls";
import { expect, test } from "vitest";
import { makeThrowawayCertificates } from "./throwaway-certificates.ts";

const nowMs = Date.parse("2026-11-21T12:00:00Z");

test("the certificate holds for this machine, for a month, and only its authority vouches for it", () => {
  const made = makeThrowawayCertificates(nowMs);
  const [authority, own] = [new X509Certificate(made.authority), new X509Certificate(made.certificate)];
  expect([authority.ca, own.ca]).toEqual([true, false]);
  expect(own.checkIssued(authority) && own.verify(authority.publicKey)).toBe(true);
  expect(authority.verify(authority.publicKey)).toBe(true);
  expect(own.checkPrivateKey(createPrivateKey(made.key))).toBe(true);
  expect([own.checkIP("127.0.0.1"), own.checkIP("::1"), own.checkHost("localhost")]).toEqual([
    "127.0.0.1",
    "::1",
    "localhost",
  ]);
  expect([own.checkIP("10.0.0.1"), own.checkHost("example.com")]).toEqual([undefined, undefined]);
  expect([own.validFromDate, own.validToDate]).toEqual([
    new Date("2026-11-20T12:00:00Z"),
    new Date("2026-12-21T12:00:00Z"),
  ]);
  const stranger = new X509Certificate(makeThrowawayCertificates(nowMs).authority);
  expect(own.verify(stranger.publicKey)).toBe(false);
});

test("two ends that show it to each other talk, and whoever trusts another authority does not", async () => {
  const { certificate: cert, key, authority } = makeThrowawayCertificates(Date.now());
  const options = { cert, key, ca: authority, requestCert: true, rejectUnauthorized: true };
  const server = tls.createServer(options, (socket) => void socket.on("error", () => {}).end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = tls.connect({ host: "127.0.0.1", port, cert, key, ca: authority });
  const [said] = (await once(client, "data")) as [Buffer];
  expect(said.toString()).toBe("hello");
  client.destroy();
  const other = makeThrowawayCertificates(Date.now()).authority;
  const refused = tls.connect({ host: "127.0.0.1", port, cert, key, ca: other });
  const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toMatch(
    /UNABLE_TO_(GET_ISSUER_CERT_LOCALLY|VERIFY_LEAF_SIGNATURE)|CERT_SIGNATURE_FAILURE|SELF_SIGNED_CERT_IN_CHAIN/,
  );
  server.close();
});
