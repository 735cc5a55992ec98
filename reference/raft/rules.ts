/**
 * The reference's own rules, together. A grader exchanges one of them for a learner's: `{...referenceRules,
 * election: theirs}`.
 */
import * as clients from "./clients.ts";
import * as commit from "./commit.ts";
import * as election from "./election.ts";
import * as membership from "./membership.ts";
import * as persistence from "./persistence.ts";
import * as replication from "./replication.ts";
import * as snapshot from "./snapshot.ts";
import type { RaftRules } from "./state.ts";

export const referenceRules: RaftRules = {
  election,
  replication,
  commit,
  persistence,
  snapshot,
  clients,
  membership,
};
