/**
 * Crash exploration: stop the machine at every call that a program makes to the disk, and look at what is left.
 *
 * Bugs of crash safety hide between two calls, where nobody would think of putting a breakpoint. A short script has few
 * such places, so all of them can be tried, each with several outcomes of the power loss. For a long script a seeded
 * sample is taken. Either way a failure names the call, the outcome and the calls before it, and happens again.
 */
import { assert } from "#reference/base/assert.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { SimulatedDisk, type Survival } from "./disk.ts";

/** What is explored. `Notes` is where a run writes down what it was promised, for the check to hold it against. */
export interface CrashScript<Notes> {
  /** The disk at the beginning; it is copied. An empty one when missing. */
  readonly start?: SimulatedDisk;
  /** Fresh notes, for each run. */
  readonly makeNotes: () => Notes;
  /** The program. It is run once for each crash point and must make the same calls each time. */
  readonly run: (disk: SimulatedDisk, notes: Notes) => Promise<void>;
  /** Throws when what the disk holds after the crash breaks a promise in the notes. */
  readonly check: (disk: SimulatedDisk, notes: Notes, point: CrashPoint) => Promise<void>;
}

/** Where the machine stopped and what was left. */
export interface CrashPoint {
  readonly call: number;
  readonly when: "before" | "after";
  readonly survival: Survival;
}

/** How thorough to be. */
export interface ExploreOptions {
  /** Random outcomes for each crash point, beside "nothing" and "everything" that was not synced. */
  readonly outcomes?: number;
  /** Up to so many calls, every crash point is tried. */
  readonly exhaustiveCallsMax?: number;
  /** For longer scripts: how many crash points are drawn. */
  readonly sample?: number;
  readonly seed?: number;
}

/** What was explored. */
export interface Exploration {
  readonly calls: number;
  readonly crashes: number;
  readonly checks: number;
}

/** Calls of a script that is still explored in full. */
export const exhaustiveCallsMaxDefault = 60;

/** A check that failed, with all that is needed to see it again. */
export class CrashCheckError extends Error {
  override readonly name = "CrashCheckError";
  readonly point: CrashPoint;
  /** The calls up to the crash, with the notes between them. */
  readonly trace: readonly string[];

  constructor(point: CrashPoint, trace: readonly string[], cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const calls = trace.slice(-12).join("\n  ");
    super(`after a crash ${describeCrashPoint(point)}: ${reason}\nlast calls:\n  ${calls}`, { cause });
    this.point = point;
    this.trace = trace;
  }
}

/** One line: where, and what was left. */
export function describeCrashPoint({ call, when, survival }: CrashPoint): string {
  const left =
    survival.kind === "random"
      ? `random outcome, seed ${survival.seed}`
      : `${survival.kind} unsynced is left`;
  return `${when} call ${call} (${left})`;
}

// #region explore
/** Runs the script, and then again for each crash point. Rejects with the first `CrashCheckError`. */
export async function exploreCrashPoints<Notes>(
  script: CrashScript<Notes>,
  options: ExploreOptions = {},
): Promise<Exploration> {
  const { outcomes = 4, exhaustiveCallsMax = exhaustiveCallsMaxDefault, sample = 200, seed = 1 } = options;
  const random = new SeededRandom(seed);
  const start = script.start ?? new SimulatedDisk();
  const whole = start.clone();
  await script.run(whole, script.makeNotes());
  const { calls } = whole;

  const points: { call: number; when: "before" | "after" }[] = [];
  for (let call = 0; call < calls; call++) points.push({ call, when: "before" }, { call, when: "after" });
  const chosen =
    calls <= exhaustiveCallsMax ? points : Array.from({ length: sample }, () => random.pick(points));

  let checks = 0;
  for (const { call, when } of chosen) {
    const disk = start.clone({ faults: [{ call, kind: "crash", when }] });
    const notes = script.makeNotes();
    const finished = script.run(disk, notes).then(() => "finished" as const);
    const end = await Promise.race([disk.crashed, finished]);
    assert(
      end !== "finished",
      `the script made ${disk.calls} calls, and ${calls} before: it is not deterministic`,
    );
    const survivals: Survival[] = [{ kind: "nothing" }, { kind: "everything" }];
    for (let outcome = 0; outcome < outcomes; outcome++)
      survivals.push({ kind: "random", seed: random.nextUint32() });
    for (const survival of survivals) {
      const point: CrashPoint = { call, when, survival };
      try {
        await script.check(disk.clone().restart(survival), notes, point);
        checks++;
      } catch (error) {
        throw new CrashCheckError(point, disk.trace, error);
      }
    }
  }
  return { calls, crashes: chosen.length, checks };
}
// #endregion explore
