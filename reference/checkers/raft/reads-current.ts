/**
 * A read is answered from a state that holds everything that was committed when it was asked (§8, thesis 6.4).
 *
 * A client notices an old answer only when somebody has changed the very key that it reads, and was told so, in the few
 * milliseconds in which a deposed leader does not know yet. So clients find a wrong rule late. From outside all leaders
 * are seen at once: what any of them has committed when a read comes, every answer to it must contain.
 */
import type { NodeId } from "#reference/raft/entry.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class ReadsCurrent implements RaftChecker {
  readonly rule = "reads-current";
  /** The highest entry that any leader ever committed. */
  #committed = 0;
  /** By server and read: what was committed when it came. */
  readonly #asked = new Map<NodeId, Map<number, number>>();

  onStart({ name }: ServerView): void {
    this.#asked.set(name, new Map());
  }

  onStep({ state }: ServerView): void {
    if (state?.role === "leader" && state.commitIndex > this.#committed) this.#committed = state.commitIndex;
  }

  onReadAsked({ name }: ServerView, id: number): void {
    this.#asked.get(name)?.set(id, this.#committed);
  }

  onReadAnswered({ name, state }: ServerView, id: number, index: number, appliedIndex: number): void {
    const asked = this.#asked.get(name);
    const least = asked?.get(id) ?? 0;
    asked?.delete(id);
    if (index < least) {
      broken(
        this.rule,
        `${name} answers a read as of ${index} in term ${state?.term}, and ${least} was committed when it came`,
      );
    }
    if (appliedIndex < index) {
      broken(this.rule, `${name} answers a read as of ${index}, and its state machine is at ${appliedIndex}`);
    }
  }
}
