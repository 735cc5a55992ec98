/**
 * How safe a batch is when its Produce request is answered: a bit in the flags of the request.
 *
 * `quorum` waits until a majority of the cluster's nodes has the batch, so that it survives any one of them. `leader`
 * waits for one disk only: faster, and gone if that node fails before the others have it. Without the bit it is
 * `quorum`, so that nobody risks records without having said so. A server that is alone is its own majority: there the
 * bit changes nothing.
 */
import { requestHeaderBytes } from "./frame.ts";

/** Who has to have a batch before its sender hears that it is stored. */
export type Acks = "quorum" | "leader";

/** The bit of a request's flags that says: answer as soon as the leader itself has the batch. */
export const leaderAcksFlag = 2;

/** What the request frame at `bytes[start..]` asks for. */
export function acksOf(bytes: Uint8Array, start: number): Acks {
  return (bytes[start + requestHeaderBytes - 1]! & leaderAcksFlag) === 0 ? "quorum" : "leader";
}
