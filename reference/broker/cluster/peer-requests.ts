/** What nodes ask each other beside Raft: for records, and how far they are. */
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";
import { baseOffsetAt } from "../../storage/record-batch.ts";
import { readLog } from "../fetch.ts";
import type { ErrorOutcome } from "../outcome.ts";
import { refuse } from "../outcome.ts";
import type { Partition } from "../partition.ts";
import type { Peers } from "./cluster-options.ts";
import type { Groups } from "./groups.ts";
import type { PartitionSize } from "./replication.ts";

/** Records for a node that is far behind; none, and how things are here, for one that asks for no bytes. */
export async function recordsForPeer(
  groups: Groups,
  fetchBytesMax: number,
  request: RequestOf<"PeerFetch">,
): Promise<ReplyOf<"PeerFetch"> | ErrorOutcome> {
  const { topic, incarnation, partition: number } = request;
  const replica = groups.get({ incarnation, partition: number });
  if (replica === undefined) return refuse("topic-not-found", `${topic} is not here`);
  const { partition, safeEnd } = replica;
  const { tombstones } = partition.log;
  for (;;) {
    await tombstones.settled();
    const { goneTo: tombstonesGoneTo, rounds: tombstoneRounds } = tombstones;
    const read = await recordsOf(partition, request, fetchBytesMax);
    if ("kind" in read) return read;
    // What was read while tombstones went is of neither time.
    if (tombstones.rounds === tombstoneRounds) return { ...read, safeEnd, tombstonesGoneTo, tombstoneRounds };
  }
}

/** Records of a partition. Where they are gone, who asks is told what is kept. */
async function recordsOf(
  partition: Partition,
  { offset, bytesMax }: RequestOf<"PeerFetch">,
  fetchBytesMax: number,
): Promise<Pick<ReplyOf<"PeerFetch">, "startOffset" | "batches"> | ErrorOutcome> {
  const { startOffset } = partition.log;
  if (bytesMax === 0) return { startOffset, batches: new Uint8Array(0) };
  const isGone = offset < startOffset;
  // A trim may leave the start in the middle of a batch, and batches come whole.
  const read = await readLog(
    partition,
    isGone ? startOffset : offset,
    isGone ? 1 : Math.min(bytesMax, fetchBytesMax),
  );
  if (read.kind === "error") return read;
  if (!isGone) return { startOffset, batches: read.bytes };
  const first = read.bytes.length === 0 ? startOffset : baseOffsetAt(read.bytes, 0);
  // The batch that was asked for may be the one that the start is in.
  return { startOffset: first, batches: first <= offset ? read.bytes : new Uint8Array(0) };
}

/** What the leaders of partitions that other nodes lead say of them, as far as they can be asked. */
export async function sizesElsewhere(
  groups: Groups,
  node: string,
  peers: Peers,
  partitions: readonly Partition[],
): Promise<ReadonlyMap<Partition, PartitionSize>> {
  const replicas = partitions.flatMap((partition) => groups.of(partition) ?? []);
  const elsewhere = replicas.filter(({ group }) => !group.isReady);
  const leaders = new Set(elsewhere.flatMap(({ leader }) => leader ?? []));
  leaders.delete(node);
  const states = await Promise.all(
    [...leaders].map((leader) =>
      peers
        .source(leader)
        .state()
        .catch(() => ({ partitions: [] })),
    ),
  );
  const sizes = new Map<Partition, PartitionSize>();
  for (const { incarnation, partition, ...size } of states.flatMap((state) => state.partitions)) {
    const replica = groups.get({ incarnation, partition });
    if (replica?.group.isReady === false) sizes.set(replica.partition, size);
  }
  return sizes;
}
