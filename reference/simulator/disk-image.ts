/**
 * What a simulated disk holds: every file twice, as the page cache has it and as the platters have it.
 *
 * Between two syncs the kernel may write back any sector at any time, so after a power loss each sector that was
 * written since the last sync holds the old contents, the newest, or any in between, independently of its neighbours.
 * A file's length is one more such value, and so is each name in a directory. Real file systems rarely do the worst
 * of this on the same day; a log that survives it does not depend on which file system it is.
 */
import type { SeededRandom } from "#reference/base/prng.ts";

/** What a disk writes as a whole or not at all. */
export const sectorBytes = 512;

/** Room for a file that grows: to begin with less and double it often would be much garbage for small files. */
const roomBytesMin = 8 * sectorBytes;

/** How much of what was not synced a power loss leaves. */
export type Survival =
  /** The process ended and the machine did not, as with `kill -9`: the page cache is there, and still not synced. */
  | { readonly kind: "everything" }
  /** Nothing was written back. */
  | { readonly kind: "nothing" }
  /** Each sector, length and name by itself. */
  | { readonly kind: "random"; readonly seed: number };

/** One file's contents. A directory names it; it may have lost its name and still be open. */
export class FileImage {
  readonly kind = "file";
  /** The page cache: what reads see. */
  bytes: Uint8Array;
  length: number;
  /** The platters; the array may have room behind their end. */
  #durable: Uint8Array;
  #durableLength: number;
  /** Sectors that were written since the last sync, in the order of writing; so many of the list's places count. */
  readonly #dirtySectors: number[] = [];
  #dirtyCount = 0;
  /**
   * Their contents after each of these writes, one after the other; an array for each would be garbage. Those of the
   * last write are in the page cache, and come here when something else is about to change it: most files see one
   * write between two syncs.
   */
  #dirtyContents = new Uint8Array(0);
  #keptCount = 0;
  #lengthVersions: number[] = [];

  constructor(durable: Uint8Array = new Uint8Array(0)) {
    this.#durable = durable;
    this.#durableLength = durable.length;
    this.bytes = durable.slice();
    this.length = durable.length;
  }

  read(target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.length - position));
    target.set(this.bytes.subarray(position, position + count));
    return count;
  }

  write(source: Uint8Array, position: number): void {
    const end = position + source.length;
    this.#keepContents();
    this.#reserve(end);
    this.bytes.set(source, position);
    if (end > this.length) this.#setLength(end);
    this.#noteSectors(position, end);
  }

  truncate(length: number): void {
    this.#keepContents();
    this.#reserve(length);
    const before = this.length;
    // What is cut is gone: extending the file again shows zeros.
    this.bytes.fill(0, Math.min(length, before));
    if (length !== before) this.#setLength(length);
    if (length < before) this.#noteSectors(length, before);
  }

  /** Writes what is dirty, and only that: what a failed sync gave up on stays lost. */
  sync(): void {
    const length = this.#lengthVersions.length > 0 ? this.length : this.#durableLength;
    if (length > this.#durable.length) {
      const larger = new Uint8Array(Math.max(length, this.bytes.length));
      larger.set(this.#durable.subarray(0, this.#durableLength));
      this.#durable = larger;
    }
    // What is cut is gone here too.
    if (length < this.#durableLength) this.#durable.fill(0, length, this.#durableLength);
    this.#durableLength = length;
    const sectors = this.#dirtySectors;
    const count = this.#dirtyCount;
    for (let at = 0; at < count;) {
      // Mostly one sector after the other: copied as one piece.
      const first = sectors[at]!;
      let last = first;
      for (at++; at < count && (sectors[at] === last || sectors[at] === last + 1); at++) last = sectors[at]!;
      const start = first * sectorBytes;
      const end = Math.min((last + 1) * sectorBytes, length);
      if (start < end) this.#durable.set(this.bytes.subarray(start, end), start);
    }
    this.forgetDirty();
  }

  /** A failed sync: the kernel gives up on what was dirty and will not try again, though reads still see it. */
  forgetDirty(): void {
    this.#dirtyCount = 0;
    this.#keptCount = 0;
    if (this.#lengthVersions.length > 0) this.#lengthVersions = [];
  }

  /** Changes one bit on the platters and in the cache. */
  flipBit(position: number, bit: number): void {
    this.#keepContents();
    this.bytes[position]! ^= 1 << bit;
    if (position < this.#durableLength) this.#durable[position]! ^= 1 << bit;
  }

  /** The file as it is after a power loss. */
  afterPowerLoss(survival: Survival, random: SeededRandom): FileImage {
    const durable = this.#durable.subarray(0, this.#durableLength);
    if (survival.kind === "nothing") return new FileImage(durable.slice());
    const length = random.pick([durable.length, ...this.#lengthVersions]);
    const result = new Uint8Array(length);
    result.set(durable.subarray(0, length));
    // Where the length survived and the contents did not, the new sectors hold zeros, or what they held before.
    const isStale = random.nextChance(0.3);
    for (let start = isStale ? durable.length : length; start < length; start += sectorBytes) {
      const from = random.nextBetween(0, Math.max(0, this.length - 1));
      result.set(
        this.bytes.subarray(from, Math.min(from + sectorBytes, this.length, from + length - start)),
        start,
      );
    }
    // Sometimes nearly everything was written back, sometimes nearly nothing.
    const chance = random.pick([0.1, 0.5, 0.9]);
    for (const [sector, versions] of this.#versions()) {
      const start = sector * sectorBytes;
      if (start >= length || !random.nextChance(chance)) continue;
      const version = random.nextChance(0.8) ? versions[versions.length - 1]! : random.pick(versions);
      result.set(version.subarray(0, length - start), start);
    }
    return new FileImage(result);
  }

  clone(): FileImage {
    this.#keepContents();
    const copy = new FileImage(this.#durable.slice(0, this.#durableLength));
    copy.bytes = this.bytes.slice();
    copy.length = this.length;
    copy.#dirtySectors.push(...this.#dirtySectors);
    copy.#dirtyCount = this.#dirtyCount;
    copy.#keptCount = this.#keptCount;
    copy.#dirtyContents = this.#dirtyContents.slice();
    copy.#lengthVersions.push(...this.#lengthVersions);
    return copy;
  }

  #setLength(length: number): void {
    this.length = length;
    this.#lengthVersions.push(length);
  }

  #noteSectors(start: number, end: number): void {
    for (let sector = Math.floor(start / sectorBytes); sector * sectorBytes < end; sector++) {
      this.#dirtySectors[this.#dirtyCount++] = sector;
    }
  }

  /** Keeps what the last write has made of its sectors. */
  #keepContents(): void {
    for (; this.#keptCount < this.#dirtyCount; this.#keptCount++) {
      const place = this.#keptCount * sectorBytes;
      if (place === this.#dirtyContents.length) this.#growDirty();
      const at = this.#dirtySectors[this.#keptCount]! * sectorBytes;
      const contents = this.bytes.subarray(at, Math.min(at + sectorBytes, this.length));
      this.#dirtyContents.set(contents, place);
      if (contents.length < sectorBytes)
        this.#dirtyContents.fill(0, place + contents.length, place + sectorBytes);
    }
  }

  #growDirty(): void {
    const larger = new Uint8Array(Math.max(2 * sectorBytes, 2 * this.#dirtyContents.length));
    larger.set(this.#dirtyContents);
    this.#dirtyContents = larger;
  }

  /** Contents of each sector since the last sync, the newest last. */
  #versions(): Map<number, Uint8Array[]> {
    this.#keepContents();
    const versions = new Map<number, Uint8Array[]>();
    for (const [place, sector] of this.#dirtySectors.slice(0, this.#dirtyCount).entries()) {
      const contents = this.#dirtyContents.subarray(place * sectorBytes, (place + 1) * sectorBytes);
      const known = versions.get(sector);
      if (known === undefined) versions.set(sector, [contents]);
      else known.push(contents);
    }
    return versions;
  }

  #reserve(length: number): void {
    if (length <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(length, this.bytes.length * 2, roomBytesMin));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}

/** A change of names that no directory sync has covered. */
interface NameChange {
  readonly removed?: string;
  readonly added?: { readonly name: string; readonly node: FileImage | DirectoryImage };
}

/** One directory: names as the process sees them, and as a power loss would leave them. */
export class DirectoryImage {
  readonly kind = "directory";
  readonly names = new Map<string, FileImage | DirectoryImage>();
  readonly #durable = new Map<string, FileImage | DirectoryImage>();
  #changes: NameChange[] = [];

  add(name: string, node: FileImage | DirectoryImage): void {
    this.names.set(name, node);
    this.#changes.push({ added: { name, node } });
  }

  remove(name: string): void {
    this.names.delete(name);
    this.#changes.push({ removed: name });
  }

  /** Both halves of a rename happen or neither does. */
  rename(source: string, target: string): void {
    const node = this.names.get(source)!;
    this.names.delete(source);
    this.names.set(target, node);
    this.#changes.push({ removed: source, added: { name: target, node } });
  }

  sync(): void {
    this.#durable.clear();
    for (const [name, node] of this.names) this.#durable.set(name, node);
    this.#changes = [];
  }

  /** The directory and everything in it after a power loss. */
  afterPowerLoss(survival: Survival, random: SeededRandom): DirectoryImage {
    const left = new Map(this.#durable);
    if (survival.kind === "random") {
      for (const { removed, added } of this.#changes) {
        if (random.nextChance(0.5)) continue;
        if (removed !== undefined) left.delete(removed);
        if (added !== undefined) left.set(added.name, added.node);
      }
    }
    const result = new DirectoryImage();
    for (const [name, node] of left) result.names.set(name, node.afterPowerLoss(survival, random));
    result.sync();
    return result;
  }

  clone(): DirectoryImage {
    // One file may be known under several names and states; it must stay one file.
    const copies = new Map<FileImage | DirectoryImage, FileImage | DirectoryImage>();
    const copyOf = (node: FileImage | DirectoryImage): FileImage | DirectoryImage => {
      const known = copies.get(node) ?? node.clone();
      copies.set(node, known);
      return known;
    };
    const copy = new DirectoryImage();
    for (const [name, node] of this.names) copy.names.set(name, copyOf(node));
    for (const [name, node] of this.#durable) copy.#durable.set(name, copyOf(node));
    copy.#changes = this.#changes.map(({ removed, added }) => ({
      ...(removed === undefined ? {} : { removed }),
      ...(added === undefined ? {} : { added: { name: added.name, node: copyOf(added.node) } }),
    }));
    return copy;
  }
}
