/**
 * The CRC-32 of a part, from the CRC-32 of the whole, without looking at the part again.
 *
 * A CRC is linear: the checksum of A followed by B is that of A, carried over as many zero bytes as B is long, xor that
 * of B. So whoever knows the checksum of A B and that of A knows that of B. A server that has checked a frame of a
 * megabyte need not run over the batch inside it a second time.
 *
 * Carrying a checksum over n zero bytes is a multiplication by x^(8n) in the field of polynomials modulo the CRC's
 * own. The powers x^1, x^2, x^4, … are made once by squaring, and a product of those that n asks for is the factor.
 * zlib's `crc32_combine` does the same.
 */

/** The CRC's polynomial, the bits in reverse order, as the rest of the arithmetic has them. */
const polynomial = 0xedb88320;
/** x^0: the highest bit stands for the lowest power. */
const one = 0x80000000;

/** `powers[k]` is x^(2^k). x^(2^32) is x again, which is why 32 are enough for any length. */
const powers = makePowers();

/** Factors of the lengths used last: traffic has few different lengths, and a factor costs ten times a product. */
const cacheSlots = 256;
const cachedLengths = new Float64Array(cacheSlots).fill(-1);
const cachedFactors = new Int32Array(cacheSlots);

/** The CRC-32 of B, given that of A followed by B, that of A, and the length of B in bytes. */
export function crc32OfSuffix(wholeCrc: number, prefixCrc: number, suffixBytes: number): number {
  return (wholeCrc ^ multiply(factorOf(suffixBytes), prefixCrc | 0)) >>> 0;
}

/** The CRC-32 of A followed by B, given those of A and B, and the length of B in bytes. */
export function crc32OfConcatenation(prefixCrc: number, suffixCrc: number, suffixBytes: number): number {
  return (suffixCrc ^ multiply(factorOf(suffixBytes), prefixCrc | 0)) >>> 0;
}

/** x^(8 × bytes). */
function factorOf(bytes: number): number {
  const slot = bytes % cacheSlots;
  if (cachedLengths[slot] === bytes) return cachedFactors[slot]!;
  let factor = one | 0;
  // Bit k of the number of bytes asks for x^(8 × 2^k) = x^(2^(k + 3)).
  for (let rest = bytes, k = 3; rest > 0; rest = Math.floor(rest / 2), k++) {
    if (rest % 2 === 1) factor = multiply(powers[k & 31]!, factor);
  }
  cachedLengths[slot] = bytes;
  cachedFactors[slot] = factor;
  return factor;
}

/** The product of two polynomials modulo the CRC's. */
function multiply(left: number, right: number): number {
  let product = 0;
  let shifted = right;
  for (let rest = left; rest !== 0; rest <<= 1) {
    // Add `right` times the power that this bit stands for.
    if (rest < 0) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1;
  }
  return product;
}

function makePowers(): Int32Array {
  const made = new Int32Array(32);
  made[0] = one >>> 1;
  for (let k = 1; k < made.length; k++) made[k] = multiply(made[k - 1]!, made[k - 1]!);
  return made;
}
