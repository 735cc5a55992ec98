/**
 * Which cluster a data folder belongs to, and which of its nodes: so that nobody's records end up in a cluster where
 * they mean something else.
 *
 * The id of a cluster is made of the names and addresses of its first nodes, and written down at the first start. A
 * node that joins later has none of its own; it takes over the id of the first node that introduces itself.
 */
import type { Checksum, Disk } from "../../ports.ts";
import { readSmallFile, writeSmallFile } from "../small-file.ts";

/** The folder of all that a node needs to be a member. */
export const clusterDirectory = "cluster";

const file = "identity.json";
const bytesMax = 64 * 1024;

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
  /** The first members: the log says nothing of them. Empty for a node that joined later. */
  readonly first: readonly string[];
  readonly #members: readonly string[];
  #clusterId: string;

  constructor(disk: Disk, { node, clusterId, members, first }: StoredIdentity) {
    this.#disk = disk;
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
    if (this.#clusterId === "" && clusterId !== "") {
      this.#clusterId = clusterId;
      await this.store();
    }
    return clusterId === this.#clusterId;
  }

  async store(): Promise<void> {
    const { node, first } = this;
    const stored: StoredIdentity = { clusterId: this.#clusterId, node, members: this.#members, first };
    await this.#disk.makeDirectory(clusterDirectory);
    await this.#disk.syncDirectory("");
    const bytes = new TextEncoder().encode(`${JSON.stringify(stored)}\n`);
    await writeSmallFile(this.#disk, clusterDirectory, file, bytes);
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
    const identity = new Identity(disk, { node, clusterId, members: names, first });
    return { kind: "identity", identity, isNew: true };
  }
  const stored = parse(bytes);
  if (stored === undefined) return refused(`${clusterDirectory}/${file} is damaged`);
  if (stored.node !== node) return refused(`it is the data of node ${stored.node}, not of ${node}`);
  const isOther = (member: string): boolean => !member.startsWith(`${node}=`);
  const known = new Set(stored.members.filter(isOther));
  const others = names.filter(isOther);
  if (others.length > 0 && known.size > 0 && !others.some((member) => known.has(member))) {
    return refused(`it is the data of another cluster (${stored.clusterId}, with ${[...known].join(", ")})`);
  }
  // What is written down grows with the cluster; the id stays.
  const identity = new Identity(disk, { ...stored, members: [...new Set([...stored.members, ...names])] });
  return { kind: "identity", identity, isNew: false };
}

function idOf(members: readonly string[], checksum: Checksum): string {
  const text = new TextEncoder().encode(members.join(","));
  const reversed = text.toReversed();
  return [text, reversed].map((bytes) => checksum(bytes).toString(16).padStart(8, "0")).join("");
}

function parse(bytes: Uint8Array): StoredIdentity | undefined {
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as Partial<StoredIdentity> | null;
    const { clusterId, node, members, first } = value ?? {};
    if (typeof clusterId !== "string" || typeof node !== "string") return undefined;
    if (!Array.isArray(members) || !Array.isArray(first)) return undefined;
    return { clusterId, node, members, first };
  } catch {
    return undefined;
  }
}

function refused(problem: string): OpenedIdentity {
  return { kind: "refused", problem };
}
