/**
 * TLS: key, certificate and authorities from files, whether the other side is the machine that it should be, and what
 * is wrong with it as one clause.
 *
 * Clients look at the server's certificate; nodes of a cluster look at each other's. A client token lets nobody pass for
 * a node then: whoever says that it is one must show a certificate of a trusted authority that holds for the address at
 * which this node is known, the same that it shows as a server. No list of nodes has to be kept in step with the
 * cluster's, and a certificate that some other machine has from the same authority is good for nothing here.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import tls from "node:tls";

/** The files, as the settings name them; empty where there is none. */
export interface TlsFiles {
  readonly tlsCertificate: string;
  readonly tlsKey: string;
  readonly tlsCa: string;
}

/** What Node needs to speak TLS on either side. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Whom to trust; absent when that is whom Node trusts. */
  readonly ca?: Buffer;
}

/** The files' contents; undefined without TLS. */
export type LoadedTls =
  | { readonly kind: "tls"; readonly material: TlsMaterial | undefined; readonly notices: readonly string[] }
  | { readonly kind: "problem"; readonly message: string };

/** Reads and tries the files now: what is wrong with them is a problem of the start and not of the first client. */
export function loadTls({ tlsCertificate, tlsKey, tlsCa }: TlsFiles, nowMs: number): LoadedTls {
  if (tlsCertificate === "" && tlsKey === "" && tlsCa === "") {
    return { kind: "tls", material: undefined, notices: [] };
  }
  if (tlsCertificate === "" || tlsKey === "") {
    return problem(
      tlsCa === "" ? "TLS needs both tlsCertificate and tlsKey" : "tlsCa needs tlsCertificate and tlsKey",
    );
  }
  const files: Buffer[] = [];
  for (const path of [tlsCertificate, tlsKey, ...(tlsCa === "" ? [] : [tlsCa])]) {
    try {
      files.push(readFileSync(path));
    } catch (error) {
      return problem(`${path}: cannot be read (${codeOf(error)})`);
    }
  }
  const [cert = Buffer.alloc(0), key = Buffer.alloc(0), ca] = files;
  // One after the other, so that the message can name the file.
  const certificate = certificateIn(cert);
  if (certificate === undefined) return problem(`${tlsCertificate}: no certificate in PEM format`);
  if (!isUsable({ key })) return problem(`${tlsKey}: no private key in PEM format, or one with a passphrase`);
  if (!isUsable({ cert, key })) return problem(`${tlsKey}: not the key of ${tlsCertificate}`);
  if (ca !== undefined && certificateIn(ca) === undefined)
    return problem(`${tlsCa}: no certificate in PEM format`);
  const notices = [];
  const { validFrom, validTo } = certificate;
  if (Date.parse(validTo) < nowMs)
    notices.push(`${tlsCertificate}: has expired (${validTo}): nobody trusts it`);
  if (Date.parse(validFrom) > nowMs) notices.push(`${tlsCertificate}: is not valid before ${validFrom}`);
  return { kind: "tls", material: { cert, key, ...(ca !== undefined && { ca }) }, notices };
}

/**
 * Why whoever has connected has not proved to be the machine at `host`; undefined when it has. For servers that ask
 * for a certificate and let in those who show none, since most clients need none.
 */
export function unprovedIdentity(socket: tls.TLSSocket, host: string): string | undefined {
  // A session that is resumed counts as authorized, also when it never showed a certificate.
  if (socket.isSessionReused()) return "it resumes a TLS session instead of showing its certificate";
  const certificate = socket.getPeerCertificate();
  if (Object.keys(certificate).length === 0) return "it shows no certificate";
  if (!socket.authorized) {
    const code = String(socket.authorizationError);
    return `its certificate ${certificateFaults[code] ?? `is not accepted (${code})`}`;
  }
  return tls.checkServerIdentity(host, certificate) === undefined ? undefined : wrongName(certificate, host);
}

/** What is wrong with the other side when connecting to it failed because of TLS; undefined when it was not that. */
export function describeTlsFailure(error: unknown): string | undefined {
  const code = codeOf(error);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" && error instanceof Error) {
    const { host, cert } = error as { host?: string; cert?: tls.PeerCertificate };
    return wrongName(cert, host ?? "its address");
  }
  const fault = certificateFaults[code];
  if (fault !== undefined) return `its certificate ${fault}`;
  if (notTls.has(code)) return "it does not speak TLS";
  // OpenSSL's own: no version or cipher in common, an alert.
  if (code.startsWith("ERR_SSL_")) return `TLS fails (${code.slice("ERR_SSL_".length).toLowerCase()})`;
  return undefined;
}

const untrusted = "is signed by nobody who is trusted here";

/** Node's codes for certificates that are not accepted, as clauses. */
const certificateFaults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not valid yet",
  CERT_SIGNATURE_FAILURE: "has a wrong signature",
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  INVALID_CA: untrusted,
  INVALID_PURPOSE:
    "is not for this use: extendedKeyUsage must name serverAuth and clientAuth, or be left out",
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
};

/** What OpenSSL makes of an answer in another protocol. */
const notTls: ReadonlySet<string> = new Set([
  "ERR_SSL_HTTP_REQUEST",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_RECORD_TOO_SMALL",
  "ERR_SSL_WRONG_VERSION_NUMBER",
]);

function wrongName(certificate: tls.PeerCertificate | undefined, host: string): string {
  const names = certificate?.subjectaltname?.replaceAll(/(?:DNS|IP Address):/g, "");
  return `its certificate is for ${names ?? "no address"}, not for ${host}`;
}

function certificateIn(pem: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function isUsable(options: tls.SecureContextOptions): boolean {
  try {
    tls.createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}

function problem(message: string): LoadedTls {
  return { kind: "problem", message };
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
