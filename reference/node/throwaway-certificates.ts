/**
 * An authority and a certificate for clusters that live for a demonstration or a benchmark.
 *
 * Node can read certificates and sign bytes, but not make certificates. The libraries that can bring a dozen packages
 * or no elliptic curves; what is needed here is one kind of certificate (X.509 version 3, P-256, for 127.0.0.1), which
 * is a handful of nested fields in DER: a byte that says what it is, its length, its content. The authority's key is
 * forgotten when the certificate is signed. Whoever runs a real cluster has an authority of their own.
 */
import { generateKeyPairSync, hash, randomBytes, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Files in PEM, as `oz serve` takes them. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
}

const lifetimeMs = 30 * 24 * 3600 * 1000;
/** Clocks of one machine agree, but a virtual machine may be set back a little. */
const backdateMs = 24 * 3600 * 1000;

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  bytes: 0x04,
  identifier: 0x06,
  utf8: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;
/** Of a name among the subject's alternative ones: a DNS name, an IP address. */
const dnsTag = 0x82;
const addressTag = 0x87;
/** Fields that are told apart by a number of their own. */
const versionTag = 0xa0;
const extensionsTag = 0xa3;
const keyIdTag = 0x80;

/** Identifiers of standards, in DER. */
const ids = {
  ecdsaWithSha256: "2a8648ce3d040302",
  commonName: "550403",
  subjectKeyIdentifier: "551d0e",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  authorityKeyIdentifier: "551d23",
};

/** Makes them and writes them into a folder. The certificate holds for this machine only. */
export async function writeThrowawayCertificates(folder: string, nowMs: number): Promise<CertificateFiles> {
  const { certificate, key, authority } = makeThrowawayCertificates(nowMs);
  const files = {
    certificate: join(folder, "certificate.pem"),
    key: join(folder, "key.pem"),
    authority: join(folder, "authority.pem"),
  };
  await writeFile(files.key, key, { mode: 0o600 });
  await writeFile(files.certificate, certificate);
  await writeFile(files.authority, authority);
  return files;
}

/** What tells `oz serve` of them. */
export function tlsFlags({ certificate, key, authority }: CertificateFiles): string[] {
  return ["--tls-certificate", certificate, "--tls-key", key, "--tls-ca", authority];
}

/** The same, as text in PEM. */
export function makeThrowawayCertificates(nowMs: number): CertificateFiles {
  const [authority, own] = [newKeys(), newKeys()];
  const isAuthority = der(tags.sequence, der(tags.boolean, Buffer.of(0xff)));
  const here = der(
    tags.sequence,
    der(dnsTag, Buffer.from("localhost")),
    der(addressTag, Buffer.of(127, 0, 0, 1)),
    der(addressTag, Buffer.from([...new Uint8Array(15), 1])),
  );
  const sealed = (name: string, keys: Keys, ...extensions: readonly Buffer[]): string =>
    certificateOf({ name, keys, issuer: authorityName, signer: authority, extensions, nowMs });
  return {
    authority: sealed(authorityName, authority, extension(ids.basicConstraints, isAuthority, true)),
    certificate: sealed("offset-zero node", own, extension(ids.subjectAltName, here)),
    key: own.privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

const authorityName = "offset-zero throw-away authority";

interface Keys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

interface CertificateFields {
  readonly name: string;
  readonly keys: Keys;
  readonly issuer: string;
  readonly signer: Keys;
  readonly extensions: readonly Buffer[];
  readonly nowMs: number;
}

function newKeys(): Keys {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** The fields in the order of RFC 5280, then the signature over them. */
function certificateOf({ name, keys, issuer, signer, extensions, nowMs }: CertificateFields): string {
  const algorithm = der(tags.sequence, identifier(ids.ecdsaWithSha256));
  // Positive, and never with zeroes in front.
  const serial = Buffer.concat([Buffer.of(0x40), randomBytes(15)]);
  const validity = [nowMs - backdateMs, nowMs + lifetimeMs].map((atMs) => der(tags.time, timeText(atMs)));
  const names = [
    extension(ids.subjectKeyIdentifier, der(tags.bytes, keyId(keys))),
    extension(ids.authorityKeyIdentifier, der(tags.sequence, der(keyIdTag, keyId(signer)))),
  ];
  const body = der(
    tags.sequence,
    der(versionTag, der(tags.integer, Buffer.of(2))),
    der(tags.integer, serial),
    algorithm,
    commonName(issuer),
    der(tags.sequence, ...validity),
    commonName(name),
    keys.publicKey.export({ type: "spki", format: "der" }),
    der(extensionsTag, der(tags.sequence, ...names, ...extensions)),
  );
  const signature = sign("sha256", body, signer.privateKey);
  const bytes = der(tags.sequence, body, algorithm, bitString(signature));
  const lines = bytes.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** What it is, how long it is, what is in it: lengths of 128 and more say first in how many bytes they are written. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  if (length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, length), content]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content]);
}

function identifier(hex: string): Buffer {
  return der(tags.identifier, Buffer.from(hex, "hex"));
}

/** Bits come in whole bytes here: none of the last one is unused. */
function bitString(bytes: Buffer): Buffer {
  return der(tags.bits, Buffer.of(0), bytes);
}

function commonName(name: string): Buffer {
  const value = der(tags.utf8, Buffer.from(name));
  return der(tags.sequence, der(tags.set, der(tags.sequence, identifier(ids.commonName), value)));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [der(tags.boolean, Buffer.of(0xff))] : [];
  return der(tags.sequence, identifier(id), ...critical, der(tags.bytes, value));
}

function keyId({ publicKey }: Keys): Buffer {
  return hash("sha1", publicKey.export({ type: "spki", format: "der" }), "buffer");
}

/** `YYYYMMDDHHMMSSZ`. */
function timeText(atMs: number): Buffer {
  const text = new Date(atMs).toISOString();
  return Buffer.from(`${text.slice(0, 19).replace(/\D/g, "")}Z`);
}
