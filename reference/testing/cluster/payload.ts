/** What travels through the network of a simulated cluster of brokers. */
import type { ErrorOutcome } from "../../broker/outcome.ts";
import type { ReplyOf, RequestOf } from "../../protocol/messages.ts";

export type ClusterPayload =
  /** Messages of Raft, from node to node; `folder` is the sender's. */
  | { readonly kind: "frame"; readonly folder: string; readonly frame: Uint8Array }
  /** A node asks another one: what it is called, how far it is (nothing named), or for records. */
  | {
      readonly kind: "ask";
      readonly id: number;
      readonly folder: string;
      readonly hello: RequestOf<"PeerHello"> | undefined;
      readonly fetch: RequestOf<"PeerFetch"> | undefined;
    }
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly welcomed?: ReplyOf<"PeerHello"> | ErrorOutcome;
      readonly fetched?: ReplyOf<"PeerFetch">;
      readonly state?: ReplyOf<"PeerState">;
      readonly members?: ReplyOf<"ClusterState">["members"];
    }
  /** To whoever has not introduced itself since this node started: a connection that is no more. */
  | { readonly kind: "stranger" }
  /** A client's request frame, and what comes back. */
  | { readonly kind: "request"; readonly bytes: Uint8Array }
  | { readonly kind: "response"; readonly bytes: Uint8Array };
