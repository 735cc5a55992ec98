/**
 * Whoever waits for an entry at a leader is told when the leader ends: that its outcome is not known here any more.
 * Else it waits for ever; a client with a clock of its own asks again, so liveness does not notice.
 */
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class ProposalsTold implements RaftChecker {
  readonly rule = "proposals-told";

  onStep({ name, state, waiting = 0 }: ServerView): void {
    if (state === undefined || state.role === "leader" || waiting === 0) return;
    broken(this.rule, `${name} is a ${state.role}, and ${waiting} clients still wait for their entries`);
  }
}
