/**
 * One pass over each byte of a Produce request.
 *
 * A request's checksum covers the whole frame, and the batch in it has a checksum of its own over nearly the
 * same bytes. The broker must verify both, since the one says that the line did no harm and the other stays
 * with the records for good. Computed one after the other they are the most expensive thing that happens to a
 * small record.
 *
 * So the frame's checksum is computed in two pieces, before the batch's body and the body, which are then combined; and
 * the body's checksum is kept for a moment, because the log is about to ask for exactly that. The results are the same
 * as without, to the bit.
 */
import { crc32OfConcatenation } from "#reference/base/crc32-combine.ts";
import type { Checksum } from "../ports.ts";
import { requestHeaderBytes } from "../protocol/frame.ts";
import { messages } from "../protocol/messages.ts";
import { batchLayout } from "../storage/record-batch.ts";

/** Two checksums that work together: for frames, and for the batches in them. */
export interface OnePassChecksum {
  readonly frame: Checksum;
  readonly batch: Checksum;
}

/** Bodies that are shorter are not worth the detour. */
const bodyBytesMin = 256;

/** Makes the pair out of one checksum: CRC-32, for no other can be combined. */
export function onePassChecksum(checksum: Checksum): OnePassChecksum {
  let knownBytes: Uint8Array | undefined;
  let knownStart = 0;
  let knownEnd = 0;
  let knownCrc = 0;

  return {
    frame(bytes, start = 0, end = bytes.length) {
      const bodyStart = bodyStartOf(bytes, start);
      const length = end - bodyStart;
      if (length < bodyBytesMin) {
        knownBytes = undefined;
        return checksum(bytes, start, end);
      }
      knownBytes = bytes;
      knownStart = bodyStart;
      knownEnd = end;
      knownCrc = checksum(bytes, bodyStart, end);
      return crc32OfConcatenation(checksum(bytes, start, bodyStart), knownCrc, length);
    },
    batch(bytes, start = 0, end = bytes.length) {
      const isKnown = bytes === knownBytes && start === knownStart && end === knownEnd;
      // Good once: the same buffer may hold other bytes when it comes again.
      knownBytes = undefined;
      return isKnown ? knownCrc : checksum(bytes, start, end);
    },
  };
}

/** Where the batch's body would start if this is a Produce request; beyond everything when it is none. */
function bodyStartOf(bytes: Uint8Array, start: number): number {
  if (bytes[start + 12] !== messages.Produce.type) return Number.POSITIVE_INFINITY;
  const at = start + requestHeaderBytes;
  // A topic's name is shorter than 250 bytes, so the upper bytes of its length are 0.
  if ((bytes[at] ?? 1) | (bytes[at + 1] ?? 1) | (bytes[at + 2] ?? 1)) return Number.POSITIVE_INFINITY;
  return at + 4 + (bytes[at + 3] ?? 0) + 4 + 4 + batchLayout.version;
}
