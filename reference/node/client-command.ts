/** What the commands share that talk to a server: its address, a connection, and errors as one line. */
import { ProtocolError } from "../client/protocol-error.ts";
import type { CommandResult } from "./cli/command.ts";
import { failed, misused, option } from "./cli/command.ts";
import type { Client } from "./client.ts";

/** Options of every command that talks to a server. */
export const serverOptions = {
  server: option.text("HOST:PORT", "The server, or several with commas between.", {
    default: "127.0.0.1:7420",
  }),
  tls: option.flag("Speak TLS."),
  tlsCa: option.text("FILE", "PEM file with the certificate to trust."),
  token: option.text("NAME=TOKEN", "Authenticate with a token. Better given as OZ_TOKEN."),
};

/** Their values. */
export interface ServerOptionValues {
  readonly server: string;
  readonly tls: boolean;
  readonly tlsCa: string | undefined;
  readonly token: string | undefined;
}

/** Connects to one server and no other, in the same way as to the ones that the user named. The caller closes it. */
export type ConnectTo = (address: string) => Promise<Client>;

/** Connects, runs `work`, closes. What the server or the network refuses becomes one line and an exit code. */
export async function withClient(
  options: ServerOptionValues,
  env: Readonly<Record<string, string | undefined>>,
  work: (client: Client, connectTo: ConnectTo) => Promise<CommandResult>,
): Promise<CommandResult> {
  const { Client } = await import("./client.ts");
  const { parseAddress } = await import("./network.ts");
  const addresses = options.server.split(",");
  const bad = addresses.find((address) => parseAddress(address) === undefined);
  if (bad !== undefined) return misused(`--server ${bad} is not HOST:PORT`);
  const tls = await tlsOf(options);
  if (typeof tls === "string") return misused(tls);
  const credentials = credentialsOf(options.token ?? env["OZ_TOKEN"]);
  if (credentials === undefined) return misused("--token must be NAME=TOKEN");
  const connection = { clientName: "oz", tls, ...credentials };
  let client: Client;
  try {
    client = await Client.connect(addresses, connection);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const isNamed = addresses.length === 1 && error.message.includes(options.server);
    const place = isNamed ? "" : `server ${options.server}: `;
    return misused(`${place}${error.message}${connectionHint(error, options.tls)}`);
  }
  try {
    return await work(client, (address) => Client.connect(address, connection));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return failed(describeFailure(error));
  } finally {
    client.destroy();
  }
}

/** A failed request as one line: what happened, and the stable name to look up. */
export function describeFailure(error: ProtocolError): string {
  return `${error.message} (${error.name})`;
}

/** What most often is the matter when a connection does not come about. */
function connectionHint({ cause }: ProtocolError, isTls: boolean): string {
  if (!isTls && cause instanceof ProtocolError && cause.name === "connection-closed") {
    return "; if the server speaks TLS, say --tls";
  }
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return untrusted.has(code) ? "; --tls-ca names the certificate to trust" : "";
}

/** Node's codes for a certificate that nobody vouches for. */
const untrusted: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

async function tlsOf({ tls, tlsCa }: ServerOptionValues): Promise<boolean | { ca: Buffer } | string> {
  if (tlsCa === undefined) return tls;
  const { readFile } = await import("node:fs/promises");
  try {
    return { ca: await readFile(tlsCa) };
  } catch {
    return `--tls-ca ${tlsCa}: cannot be read`;
  }
}

function credentialsOf(token: string | undefined) {
  if (token === undefined) return {};
  const at = token.indexOf("=");
  if (at < 1) return undefined;
  return { credentials: { method: "token", name: token.slice(0, at), token: token.slice(at + 1) } } as const;
}
