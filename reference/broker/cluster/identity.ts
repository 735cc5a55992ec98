/**
 * Which cluster a data folder belongs to, and which of its nodes: so that nobody's records end up in a cluster where
 * they mean something else.
 *
 * The id of a cluster is made of the names and addresses of its first nodes, and written down at the first start. A
 * node that joins later has none of its own; it takes over the id of the first node that introduces itself.
 *
 * The file is one line of JSON, for people to read, and ends in a checksum of what stands before it. A file that is
 * not, byte for byte, what would be written is damaged: with another list of first members a node could found a
 * cluster of its own.
 *
 * ```
 * {"version":1,"clusterId":"…","node":"n1","members":["n1=HOST:PORT",…],"first":["n1",…],"crc32":"9f2c01ab"}
 * ```
 */
import { bytesEqual } from "#reference/base/bytes.ts";
import type { Checksum, Disk } from "../../ports.ts";
import { readSmallFile, writeSmallFile } from "../small-file.ts";

/** The folder of all that a node needs to be a member. */
export const clusterDirectory = "cluster";

const file = "identity.json";
const version = 1;
/** The most bytes of the file: enough for a thousand members. */
const bytesMax = 64 * 1024;
/** What an id looks like, and nothing else is taken for one. */
const idPattern = /^[0-9a-f]{16}$/;

/** What is written down. */
interface StoredIdentity {
  readonly clusterId: string;
  readonly node: string;
  readonly members: readonly string[];
  /** The names of the first members, as they were at the first start; none for a node that joined later. */
  readonly first: readonly string[];
}

/** What a folder says about itself. */
export type OpenedIdentity =
  | { readonly kind: "identity"; readonly identity: Identity; readonly isNew: boolean }
  | { readonly kind: "refused"; readonly problem: string };

/** Who this node is. */
export class Identity {
  readonly node: string;
  readonly #disk: Disk;
  readonly #checksum: Checksum;
  /** The first members: the log says nothing of them. Empty for a node that joined later. */
  readonly first: readonly string[];
  #members: readonly string[];
  #clusterId: string;
  /** The id that was taken over, on its way to the disk. */
  #taking: Promise<void> | undefined;
  /** The last write; the next one waits for it. */
  #writing: Promise<void> = Promise.resolve();

  constructor(disk: Disk, checksum: Checksum, { node, clusterId, members, first }: StoredIdentity) {
    this.#disk = disk;
    this.#checksum = checksum;
    this.node = node;
    this.#clusterId = clusterId;
    this.#members = members;
    this.first = first;
  }

  /** Empty until a node that joins has been told. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** Whether a node of this cluster may talk to us. A node without a cluster takes over the one that it is told. */
  async admits(clusterId: string): Promise<boolean> {
    if (!idPattern.test(clusterId)) return false;
    if (this.#clusterId === "") {
      this.#clusterId = clusterId;
      this.#taking = this.store();
    }
    // Nobody is answered on the strength of an id that a crash could make us forget.
    await this.#taking;
    return clusterId === this.#clusterId;
  }

  /**
   * Notes the nodes that the cluster has got meanwhile. When all the first ones have been replaced, these are the ones
   * that the next start names.
   */
  async remember(members: ReadonlyMap<string, string>): Promise<void> {
    const names = [...members].map(([name, address]) => `${name}=${address}`);
    const all = [...new Set([...this.#members, ...names])];
    if (all.length === this.#members.length) return;
    this.#members = all;
    await this.store();
  }

  store(): Promise<void> {
    const written = this.#writing.then(() => this.#write());
    this.#writing = written.catch(() => {});
    return written;
  }

  async #write(): Promise<void> {
    const { node, first } = this;
    const stored: StoredIdentity = { clusterId: this.#clusterId, node, members: this.#members, first };
    await this.#disk.makeDirectory(clusterDirectory);
    await this.#disk.syncDirectory("");
    await writeSmallFile(this.#disk, clusterDirectory, file, encodeIdentity(stored, this.#checksum));
  }
}

/** Reads who the folder belongs to, or writes it down. `members` are `name=address`, from the command line. */
export async function openIdentity(
  disk: Disk,
  checksum: Checksum,
  node: string,
  members: ReadonlyMap<string, string>,
  isJoining: boolean,
): Promise<OpenedIdentity> {
  const names = [...members].map(([name, address]) => `${name}=${address}`).sort();
  const bytes = await readSmallFile(disk, `${clusterDirectory}/${file}`, bytesMax);
  if (bytes === undefined) {
    const clusterId = isJoining ? "" : idOf(names, checksum);
    const first = isJoining ? [] : [...members.keys()].sort();
    const identity = new Identity(disk, checksum, { node, clusterId, members: names, first });
    return { kind: "identity", identity, isNew: true };
  }
  const stored = parse(bytes, checksum);
  if (typeof stored === "string") return refused(`${clusterDirectory}/${file} ${stored}`);
  if (stored.node !== node) return refused(`it is the data of node ${stored.node}, not of ${node}`);
  const isOther = (member: string): boolean => !member.startsWith(`${node}=`);
  const known = new Set(stored.members.filter(isOther));
  const others = names.filter(isOther);
  if (others.length > 0 && known.size > 0 && !others.some((member) => known.has(member))) {
    const whose = `it is the data of another cluster (${stored.clusterId}, with ${[...known].join(", ")})`;
    return refused(`${whose}; if those were replaced, name one of them as well`);
  }
  // What is written down grows with the cluster; the id stays.
  const all = [...new Set([...stored.members, ...names])];
  const identity = new Identity(disk, checksum, { ...stored, members: all });
  return { kind: "identity", identity, isNew: false };
}

function idOf(members: readonly string[], checksum: Checksum): string {
  const text = new TextEncoder().encode(members.join(","));
  const reversed = text.toReversed();
  return [text, reversed].map((bytes) => checksum(bytes).toString(16).padStart(8, "0")).join("");
}

/** The file's bytes. */
function encodeIdentity({ clusterId, node, members, first }: StoredIdentity, checksum: Checksum): Uint8Array {
  const text = JSON.stringify({ version, clusterId, node, members, first });
  const crc32 = checksum(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
  return new TextEncoder().encode(`${text.slice(0, -1)},"crc32":"${crc32}"}\n`);
}

/** What the file says, or what is wrong with it. */
function parse(bytes: Uint8Array, checksum: Checksum): StoredIdentity | string {
  const value = parseJson(bytes);
  if (typeof value?.version === "number" && value.version !== version) {
    return `has version ${value.version}, this program reads ${version}`;
  }
  const { clusterId, node, members, first } = value ?? {};
  if (typeof clusterId !== "string" || typeof node !== "string") return "is damaged";
  if (!isTexts(members) || !isTexts(first)) return "is damaged";
  const stored = { clusterId, node, members, first };
  return bytesEqual(bytes, encodeIdentity(stored, checksum)) ? stored : "is damaged";
}

function parseJson(bytes: Uint8Array): Partial<Record<string, unknown>> | null | undefined {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Partial<Record<string, unknown>> | null;
  } catch {
    return undefined;
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function refused(problem: string): OpenedIdentity {
  return { kind: "refused", problem };
}
