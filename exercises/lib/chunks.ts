/** Ways to cut a byte sequence, for decoders that must not care where the network cut it. */
import { SeededRandom } from "#reference/base/prng.ts";

/** The pieces of `bytes` between the cuts, each a copy of its own, as a network would deliver them. */
export function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const edges = [0, ...cuts, bytes.length];
  return edges.slice(1).map((end, index) => bytes.slice(edges[index], end));
}

/** Pieces of `size` bytes, the last one maybe shorter. */
export function cutEvery(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
  return pieces;
}

/** Pieces of random sizes from 0 to `sizeMax`; the same seed cuts in the same way. */
export function cutAtRandom(bytes: Uint8Array, sizeMax: number, seed: number): Uint8Array[] {
  const random = new SeededRandom(seed);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = random.nextBetween(0, sizeMax);
    pieces.push(bytes.slice(at, at + size));
    at += size;
  }
  return pieces;
}
