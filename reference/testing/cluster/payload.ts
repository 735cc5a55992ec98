/** What travels through the network of a simulated cluster of brokers. */
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";

export type ClusterPayload =
  /** Messages of Raft, from node to node. */
  | { readonly kind: "frame"; readonly frame: Uint8Array }
  /** A node asks another one. */
  | { readonly kind: "ask"; readonly id: number; readonly fetch: RequestOf<"PeerFetch"> | undefined }
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly fetched: ReplyOf<"PeerFetch"> | undefined;
      readonly state: ReplyOf<"PeerState"> | undefined;
    }
  /** A client's request frame, and what comes back. */
  | { readonly kind: "request"; readonly bytes: Uint8Array }
  | { readonly kind: "response"; readonly bytes: Uint8Array };
