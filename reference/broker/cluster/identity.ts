/**
 * Which cluster a data folder belongs to, and which of its nodes: so that nobody's records end up in a cluster where
 * they mean something else, and nobody passes for a node whose promises lie in another folder.
 *
 * The id of a cluster is made of the names and addresses of its first nodes, and written down at the first start. A
 * node that joins later has none of its own; it takes over the id of the first node that introduces itself.
 *
 * The id of a folder is drawn when it is made, and a node shows it with its name. Whoever hears a name for the first
 * time writes down the folder before it answers (`met`), and never believes another folder under that name. An empty
 * folder of a first member cannot know whether the cluster is new or the old folder was lost: so it takes part in
 * nothing before *every* other first member has met it (`hasBegun`). If there was a folder of that name which had made
 * a promise, each of them had met that one before, and each that has kept its own folder says so.
 *
 * The file is one line of JSON, for people to read, and ends in a checksum of what stands before it. A file that is
 * not, byte for byte, what would be written is damaged: with another list of first members a node could found a
 * cluster of its own.
 *
 * ```
 * {"version":2,"clusterId":"…","node":"n1","folder":"…","members":["n1=HOST:PORT",…],"first":["n1",…],
 *  "met":["n2=FOLDER",…],"hasBegun":true,"crc32":"9f2c01ab"}
 * ```
 */
import { bytesEqual } from "#reference/base/bytes.ts";
import type { Checksum, Disk, Random } from "../../ports.ts";
import { readSmallFile, writeSmallFile } from "../small-file.ts";
import { memberIdOf, nameOf } from "./member-id.ts";

/** The folder of all that a node needs to be a member. */
export const clusterDirectory = "cluster";

const file = "identity.json";
const version = 2;
/** The most bytes of the file: enough for the members that are written down, however long their names. */
const bytesMax = 64 * 1024;
/** The most members that are written down, those of now before those that there were. */
export const writtenMembersMax = 100;
/** What the id of a cluster or of a folder looks like, and nothing else is taken for one. */
const idPattern = /^[0-9a-f]{16}$/;

/** What is written down. */
interface StoredIdentity {
  readonly clusterId: string;
  readonly node: string;
  /** The id of this folder. */
  readonly folder: string;
  readonly members: readonly string[];
  /** The names of the first members, as they were at the first start; none for a node that joined later. */
  readonly first: readonly string[];
  /** The folders of other nodes, `name=folder`, as they were shown here first. */
  readonly met: readonly string[];
  /** Whether this node may take part. */
  readonly hasBegun: boolean;
}

/** What a folder says about itself. */
export type OpenedIdentity =
  | { readonly kind: "identity"; readonly identity: Identity; readonly isNew: boolean }
  | { readonly kind: "refused"; readonly problem: string };

/** Who is to be, as the command line says. */
export interface IdentityOptions {
  readonly node: string;
  /** Names and addresses of all nodes. */
  readonly members: ReadonlyMap<string, string>;
  /** Whether an empty folder waits to be added to a cluster. */
  readonly isJoining: boolean;
  readonly checksum: Checksum;
  readonly random: Random;
}

/** Who this node is. */
export class Identity {
  readonly node: string;
  readonly folder: string;
  /** The folder of a first member, as far as the log says it: then that counts. */
  agreedFolder: (name: string) => string | undefined = () => undefined;
  readonly #disk: Disk;
  readonly #checksum: Checksum;
  /** The first members: the log says nothing of them. Empty for a node that joined later. */
  readonly first: readonly string[];
  #members: readonly string[];
  #clusterId: string;
  readonly #met: Map<string, string>;
  #hasBegun: boolean;
  /** What the file is to say of it; that counts when it does. */
  #mayBegin: boolean;
  #standsBack = false;
  /** First members that have met this folder, since the start. */
  readonly #metBy = new Set<string>();
  /** The last write; the next one waits for it. */
  #writing: Promise<void> = Promise.resolve();
  /** Changes so far, and how many of them are on disk. */
  #changes = 0;
  #stored = 0;

  constructor(disk: Disk, checksum: Checksum, stored: StoredIdentity) {
    this.#disk = disk;
    this.#checksum = checksum;
    this.node = stored.node;
    this.folder = stored.folder;
    this.#clusterId = stored.clusterId;
    this.#members = stored.members;
    this.first = stored.first;
    this.#hasBegun = stored.hasBegun;
    this.#mayBegin = stored.hasBegun;
    this.#met = new Map(stored.met.map((one) => one.split("=") as [string, string]));
  }

  /** What Raft calls this node. */
  get member(): string {
    return this.first.length === 0 ? memberIdOf(this.node, this.folder) : this.node;
  }

  /** Empty until a node that joins has been told. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** Whether this node may take part: nobody can have made promises under its name before. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The first members that have not met this folder yet; none when the node has begun. */
  get awaited(): readonly string[] {
    if (this.#hasBegun) return [];
    return this.first.filter((name) => name !== this.node && !this.#metBy.has(name));
  }

  /** The folders of all first members; undefined while one is not known. */
  get firstFolders(): readonly (readonly [name: string, folder: string])[] | undefined {
    const folders = this.first.map((name) => [name, this.#folderOf(name) ?? ""] as const);
    return folders.length === 0 || folders.some(([, folder]) => folder === "") ? undefined : folders;
  }

  /** The folder that is known under a name: as the log says, or as it was shown here first. */
  #folderOf(name: string): string | undefined {
    return this.agreedFolder(name) ?? (name === this.node ? this.folder : this.#met.get(name));
  }

  /** Whether a node of this cluster may talk to us. A node without a cluster takes over the one that it is told. */
  async admits(clusterId: string): Promise<boolean> {
    if (!idPattern.test(clusterId)) return false;
    if (this.#clusterId === "") {
      this.#clusterId = clusterId;
      this.#changes++;
    }
    // Nobody is answered on the strength of an id that a crash could make us forget.
    await this.#written();
    return clusterId === this.#clusterId;
  }

  /** Notes the folder of a first member, before it is believed; resolves to whether it is the one that is known. */
  async meet(name: string, folder: string): Promise<boolean> {
    if (!idPattern.test(folder)) return false;
    if (this.#folderOf(name) === undefined) {
      this.#met.set(name, folder);
      this.#changes++;
    }
    await this.#written();
    return this.#folderOf(name) === folder;
  }

  /** A first member has written down which folder this is. */
  metBy(name: string): void {
    this.#metBy.add(name);
  }

  /** Nobody is awaited any more: this node may take part from now on. */
  async begin(): Promise<void> {
    this.#mayBegin = true;
    await this.store();
    this.#hasBegun = true;
  }

  /** The promises under this name lie elsewhere; here are none: the next start waits to be added, as somebody new. */
  standBack(): Promise<void> {
    this.#standsBack = true;
    return this.store();
  }

  /**
   * Notes the nodes that the cluster has got meanwhile. When all the first ones have been replaced, these are the ones
   * that the next start names.
   */
  async remember(members: ReadonlyMap<string, string>): Promise<void> {
    const names = [...members].map(([member, address]) => `${nameOf(member)}=${address}`);
    if (names.every((name) => this.#members.includes(name))) return;
    this.#members = newestOf(this.#members, names);
    await this.store();
  }

  store(): Promise<void> {
    this.#changes++;
    const written = this.#writing.then(() => this.#write());
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Resolves when what was noted so far is on disk. */
  #written(): Promise<void> {
    return this.#stored === this.#changes ? Promise.resolve() : this.store();
  }

  async #write(): Promise<void> {
    const { node, folder } = this;
    const changes = this.#changes;
    const stored: StoredIdentity = {
      clusterId: this.#clusterId,
      node,
      folder,
      members: this.#members,
      first: this.#standsBack ? [] : this.first,
      met: [...this.#met].map(([name, of]) => `${name}=${of}`),
      hasBegun: this.#mayBegin || this.#standsBack,
    };
    await this.#disk.makeDirectory(clusterDirectory);
    await this.#disk.syncDirectory("");
    await writeSmallFile(this.#disk, clusterDirectory, file, encodeIdentity(stored, this.#checksum));
    this.#stored = Math.max(this.#stored, changes);
  }
}

/** Reads who the folder belongs to, or makes it up; `store` writes it down. */
export async function openIdentity(disk: Disk, options: IdentityOptions): Promise<OpenedIdentity> {
  const { node, members, isJoining, checksum, random } = options;
  const names = [...members].map(([name, address]) => `${name}=${address}`).sort();
  const bytes = await readSmallFile(disk, `${clusterDirectory}/${file}`, bytesMax);
  if (bytes === undefined) {
    const clusterId = isJoining ? "" : idOf(names, checksum);
    const first = isJoining ? [] : [...members.keys()].sort();
    const hasBegun = isJoining || first.length === 1;
    const folder = hex(random.nextUint32()) + hex(random.nextUint32());
    const stored = { node, clusterId, folder, members: names, first, met: [], hasBegun };
    return { kind: "identity", identity: new Identity(disk, checksum, stored), isNew: true };
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
  const all = newestOf(stored.members, names);
  const identity = new Identity(disk, checksum, { ...stored, members: all });
  return { kind: "identity", identity, isNew: false };
}

/** The members of now behind those that there were, as many as are written down. */
function newestOf(before: readonly string[], now: readonly string[]): readonly string[] {
  return [...before.filter((member) => !now.includes(member)), ...now].slice(-writtenMembersMax);
}

function idOf(members: readonly string[], checksum: Checksum): string {
  const text = new TextEncoder().encode(members.join(","));
  const reversed = text.toReversed();
  return [text, reversed].map((bytes) => hex(checksum(bytes))).join("");
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** The file's bytes. */
function encodeIdentity(stored: StoredIdentity, checksum: Checksum): Uint8Array {
  const { clusterId, node, folder, members, first, met, hasBegun } = stored;
  const text = JSON.stringify({ version, clusterId, node, folder, members, first, met, hasBegun });
  const crc32 = hex(checksum(new TextEncoder().encode(text)));
  return new TextEncoder().encode(`${text.slice(0, -1)},"crc32":"${crc32}"}\n`);
}

/** What the file says, or what is wrong with it. */
function parse(bytes: Uint8Array, checksum: Checksum): StoredIdentity | string {
  const value = parseJson(bytes);
  if (typeof value?.version === "number" && value.version !== version) {
    return `has version ${value.version}, this program reads ${version}`;
  }
  const { clusterId, node, folder, members, first, met, hasBegun } = value ?? {};
  if (typeof clusterId !== "string" || typeof node !== "string" || typeof folder !== "string")
    return "is damaged";
  if (!isTexts(members) || !isTexts(first) || !isTexts(met) || typeof hasBegun !== "boolean")
    return "is damaged";
  const stored = { clusterId, node, folder, members, first, met, hasBegun };
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
