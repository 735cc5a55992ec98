/**
 * All cases of conformance of Raft: what a server must do, held against single servers on the bench. The
 * simulator asks what becomes of a cluster; these ask what one server does with a message that no cluster of
 * ours would send.
 */
import type { RaftCase } from "./case.ts";
import { clientCases } from "./client-cases.ts";
import { edgeCases } from "./edge-cases.ts";
import { electionCases } from "./election-cases.ts";
import { memberEdgeCases } from "./member-edge-cases.ts";
import { membershipCases } from "./membership-cases.ts";
import { persistenceCases } from "./persistence-cases.ts";
import { replicationCases } from "./replication-cases.ts";

export const raftCases: readonly RaftCase[] = [
  ...electionCases,
  ...replicationCases,
  ...persistenceCases,
  ...clientCases,
  ...membershipCases,
  ...edgeCases,
  ...memberEdgeCases,
];
