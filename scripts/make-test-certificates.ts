/**
 * Makes the certificates that tests use, `reference/node/test-tls`: `node scripts/make-test-certificates.ts` (with OpenSSL).
 *
 * All of them have the one key that lies beside them for everybody to read: trust them nowhere. They begin long before
 * any clock that a test runs under, and end long after it, but for the one that has expired.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../reference/node/test-tls", import.meta.url));
const key = join(folder, "key.pem");
const here = "subjectAltName=DNS:localhost,IP:127.0.0.1";
const [begin, end] = ["20200101000000Z", "21200101000000Z"];

/** One certificate. Without `by` it is signed with its own key. */
interface TestCertificate {
  readonly file: string;
  readonly name: string;
  readonly extensions: readonly string[];
  readonly by?: string;
  readonly until?: string;
}

const certificates: readonly TestCertificate[] = [
  // One machine alone: the certificate is what its clients trust. To nodes of a cluster it is a stranger's.
  { file: "certificate", name: "localhost", extensions: [here, "basicConstraints=critical,CA:TRUE"] },
  { file: "authority", name: "Authority of a test", extensions: ["basicConstraints=critical,CA:TRUE"] },
  { file: "node", name: "node", extensions: [here], by: "authority" },
  { file: "expired", name: "node", extensions: [here], by: "authority", until: "20210101000000Z" },
  { file: "elsewhere", name: "node", extensions: ["subjectAltName=DNS:elsewhere.example"], by: "authority" },
  { file: "server-only", name: "node", extensions: [here, "extendedKeyUsage=serverAuth"], by: "authority" },
];

const work = mkdtempSync(join(tmpdir(), "oz-certificates-"));
const openssl = (...argv: readonly string[]): void => {
  execFileSync("openssl", argv, { cwd: work, stdio: ["ignore", "ignore", "pipe"] });
};
openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", key);
openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", "authority.key");
for (const certificate of certificates) make(certificate);
rmSync(work, { recursive: true });

function make({ file, name, extensions, by, until = end }: TestCertificate): void {
  const own = file === "authority" ? "authority.key" : key;
  // `openssl ca` is the one command that every version lets choose both dates; it wants a little accounting.
  writeFileSync(join(work, "index.txt"), "");
  const config = `
[ca]
default_ca = test
[test]
database = index.txt
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = extensions
unique_subject = no
[any]
commonName = supplied
[extensions]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
${extensions.join("\n")}
`;
  writeFileSync(join(work, "ca.conf"), config);
  openssl("req", "-new", "-key", own, "-subj", `/CN=${name}`, "-out", "request.pem");
  const signer =
    by === undefined
      ? ["-selfsign", "-keyfile", own]
      : ["-cert", join(folder, `${by}.pem`), "-keyfile", `${by}.key`];
  const dates = ["-startdate", begin, "-enddate", until];
  const files = ["-config", "ca.conf", "-in", "request.pem", "-out", join(folder, `${file}.pem`)];
  openssl("ca", "-batch", "-notext", ...files, ...signer, ...dates);
}
