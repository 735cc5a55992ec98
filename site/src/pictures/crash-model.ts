/**
 * The crash explorer without its face: one script of appends, run by the broker's log on a simulated disk under each
 * fsync policy, in virtual time; then a crash at any moment, and what recovery finds.
 *
 * The disk is as slow as a disk with moving parts, so that a picture can show what is on its way. Everything else is
 * the code that the broker runs.
 */
import { RecordCursor } from "#reference/storage/record-cursor.ts";
import { encodeRecordBatch } from "#reference/storage/record-batch-builder.ts";
import { describeFinding } from "#reference/storage/findings.ts";
import type { FsyncPolicy } from "#reference/storage/group-commit.ts";
import { Log } from "#reference/storage/log.ts";
import { SimulatedDisk, type DiskCall, type Survival } from "#reference/simulator/disk.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const policies = ["always", "everysec", "never"] as const satisfies readonly FsyncPolicy[];

/** How long the script runs. */
export const timelineMs = 3_000;
/** Where the crash stands at first. */
export const crashFirstMs = 1_700;
/** A record is sent at each of these times; two come close together, so that one sync serves both. */
export const sendTimesMs = [
  120, 380, 420, 760, 1_010, 1_290, 1_560, 1_600, 1_900, 2_180, 2_450, 2_800,
] as const;
const durationsMs: Readonly<Record<string, number>> = { write: 20, sync: 90, syncDirectory: 90 };
const directory = "log";

/** One call to the disk, as long as it took. */
export interface CallSpan {
  readonly operation: string;
  readonly detail: string;
  readonly startMs: number;
  /** Undefined while the script ended before the call did. */
  readonly endMs: number | undefined;
}

interface Snapshot {
  readonly atMs: number;
  readonly disk: SimulatedDisk;
}

/** One policy's run. */
export interface PolicyRun {
  readonly policy: FsyncPolicy;
  readonly calls: readonly CallSpan[];
  /** When each record was acknowledged; undefined for those that the end came too early for. */
  readonly acknowledgedMs: readonly (number | undefined)[];
  readonly snapshots: readonly Snapshot[];
}

/** What becomes of a record when the crash comes. */
export type Fate =
  /** Not sent yet. */
  | "unsent"
  /** Acknowledged, and there after the crash. */
  | "kept"
  /** Acknowledged, and gone: the broken promise. */
  | "lost"
  /** Not acknowledged, and there all the same: a client that sends it again makes a second one. */
  | "surprising"
  /** Not acknowledged, and gone: nobody was told otherwise. */
  | "unpromised";

export interface CrashOutcome {
  readonly policy: FsyncPolicy;
  readonly fates: readonly Fate[];
  /** What recovery told the operator. */
  readonly findings: readonly string[];
  /** The call that the crash cut short. */
  readonly during: CallSpan | undefined;
}

/** What kind of crash: the names that a reader chooses from. */
export const crashes = {
  process: "The process is killed",
  power: "Power loss, nothing unsynced survives",
  luck: "Power loss, some sectors survive",
} as const;
export type Crash = keyof typeof crashes;

/** Runs the script under one policy. */
export async function runPolicy(policy: FsyncPolicy): Promise<PolicyRun> {
  const clock = new VirtualClock();
  const calls: CallSpan[] = [];
  const snapshots: Snapshot[] = [];
  const acknowledgedMs: (number | undefined)[] = sendTimesMs.map(() => undefined);
  let isTimed = false;
  const gate = (call: DiskCall): Promise<void> | undefined => {
    const durationMs = durationsMs[call.operation];
    if (!isTimed || durationMs === undefined) return undefined;
    const startMs = clock.nowMs;
    const at = calls.push({ operation: call.operation, detail: call.detail, startMs, endMs: undefined }) - 1;
    return clock.sleep(durationMs).then(() => void (calls[at] = { ...calls[at]!, endMs: clock.nowMs }));
  };
  const disk = new SimulatedDisk({ gate });
  const log = await Log.open({ disk, directory, clock, fsync: policy });
  isTimed = true;
  sendTimesMs.forEach((atMs, number) => {
    clock.after(atMs, () => {
      log.append(encodeRecordBatch([{ value: Uint8Array.of(number), timestampMs: atMs }]));
      void log.committed().then(({ kind }) => kind === "committed" && (acknowledgedMs[number] = clock.nowMs));
    });
  });
  // A copy after each event: a crash at any time is the copy before it.
  await clock.run(timelineMs, () => void snapshots.push({ atMs: clock.nowMs, disk: disk.clone() }));
  return { policy, calls, acknowledgedMs, snapshots };
}

/** The machine stops at `atMs`; the log is opened again on what is left. */
export async function crashAt(run: PolicyRun, atMs: number, survival: Survival): Promise<CrashOutcome> {
  const snapshot = run.snapshots.findLast((one) => one.atMs <= atMs) ?? run.snapshots[0]!;
  const disk = snapshot.disk.clone().restart(survival);
  const log = await Log.open({ disk, directory, clock: new VirtualClock(), fsync: "never" });
  const found = await survivors(log);
  const findings = log.findings.map(describeFinding);
  await log.close();
  const fates = sendTimesMs.map((sentMs, number): Fate => {
    if (sentMs > atMs) return "unsent";
    const isThere = found.has(number);
    const isPromised = (run.acknowledgedMs[number] ?? Infinity) <= atMs;
    if (isPromised) return isThere ? "kept" : "lost";
    return isThere ? "surprising" : "unpromised";
  });
  const during = run.calls.find(({ startMs, endMs }) => startMs <= atMs && atMs < (endMs ?? Infinity));
  return { policy: run.policy, fates, findings, during };
}

/** Numbers of the records that can be read. */
async function survivors(log: Log): Promise<Set<number>> {
  const found = new Set<number>();
  const result = await log.read(log.startOffset, 1_000_000);
  if (result.kind !== "records") return found;
  const cursor = new RecordCursor(result.bytes);
  while (cursor.next()) found.add(result.bytes[cursor.valueStart] ?? -1);
  return found;
}

/** The survival that a crash means; `seed` throws the dice. */
export function survivalOf(crash: Crash, seed: number): Survival {
  switch (crash) {
    case "process":
      return { kind: "everything" };
    case "power":
      return { kind: "nothing" };
    case "luck":
      return { kind: "random", seed };
  }
}

/** One policy's outcome in a sentence. */
export function describeOutcome({ policy, fates }: CrashOutcome): string {
  const count = (fate: Fate): number => fates.filter((one) => one === fate).length;
  const promised = count("kept") + count("lost");
  const parts = [`${promised} acknowledged, ${count("lost")} of them lost`];
  if (count("surprising") > 0) parts.push(`${count("surprising")} there without having been acknowledged`);
  if (count("unpromised") > 0) parts.push(`${count("unpromised")} gone that nobody was promised`);
  return `${policy}: ${parts.join("; ")}.`;
}

/** All that the picture shows, as text. */
export function describeCrash(atMs: number, crash: Crash, outcomes: readonly CrashOutcome[]): string {
  const lines = outcomes.flatMap((outcome) => [
    describeOutcome(outcome),
    ...(outcome.during === undefined ? [] : [`  The crash came during a ${outcome.during.operation}.`]),
    ...outcome.findings.map((finding) => `  Recovery: ${finding}`),
  ]);
  return [`${crashes[crash]}, ${atMs} ms after the start.`, "", ...lines].join("\n");
}
