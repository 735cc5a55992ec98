import { describe, expect, test } from "vitest";
import { referenceRules } from "#reference/raft/rules.ts";
import { SessionTable, type SessionReply } from "#reference/raft/clients.ts";
import type { Raft, RaftRules } from "#reference/raft/state.ts";
import { checkDeterminism } from "../determinism.ts";
import { faultKinds } from "../faults.ts";
import { shrink } from "../shrink.ts";
import { runScenario, type RunResult } from "./cluster.ts";
import { unsyncedFates } from "./disk.ts";
import { replayCommand, replayLink } from "./replay.ts";
import { drawScenario, scenarioFeatures } from "./scenario.ts";

/** Rules with one module changed. */
function changed<Name extends keyof RaftRules>(name: Name, change: Partial<RaftRules[Name]>): RaftRules {
  return { ...referenceRules, [name]: { ...referenceRules[name], ...change } };
}

/** The first of some seeds that breaks a rule. */
function firstViolation(rules: RaftRules, seeds = 60): RunResult["violation"] {
  for (let seed = 1; seed <= seeds; seed++) {
    const choice = { seed, nodeCount: seed % 2 === 0 ? 5 : 3, seconds: 8 };
    const { violation } = runScenario(drawScenario(choice), { rules });
    if (violation !== undefined) return violation;
  }
  return undefined;
}

describe("a simulated cluster", () => {
  test.each([3, 5])("of %i servers keeps every rule under faults, and recovers", (nodeCount) => {
    let answered = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const choice = { seed, nodeCount, seconds: 8 };
      const result = runScenario(drawScenario(choice));
      expect(result.violation, replayCommand(choice)).toBeUndefined();
      answered += result.answered;
    }
    expect(answered).toBeGreaterThan(1500);
  });

  test("elects once in calm weather", () => {
    const { terms, answered } = runScenario(drawScenario({ seed: 9, nodeCount: 5, seconds: 20, faults: [] }));
    expect(terms).toBe(1);
    expect(answered).toBeGreaterThan(100);
  });

  test("does the same again for the same seed", async () => {
    const scenario = drawScenario({ seed: 17, nodeCount: 5, seconds: 5 });
    const found = await checkDeterminism((trace) => void runScenario(scenario, { trace }));
    expect(found).toMatchObject({ kind: "equal" });
    expect(found.kind === "equal" && found.lines).toBeGreaterThan(1000);
  });

  test("draws every kind of fault and every option within a few seeds", () => {
    const scenarios = Array.from({ length: 60 }, (_, seed) =>
      drawScenario({ seed, nodeCount: 5, seconds: 8 }),
    );
    const kinds = new Set(scenarios.flatMap(({ faults }) => faults.map(({ fault }) => fault.kind)));
    expect([...kinds].sort()).toEqual(faultKinds.toSorted());
    const operations = new Set(
      scenarios.flatMap((scenario) => scenario.operations.map(({ operation }) => operation.kind)),
    );
    expect([...operations].sort()).toEqual(["change-members", "transfer"]);
    for (const option of ["hasLeaseReads", "hasCheckQuorum", "hasPreVote"] as const) {
      expect(new Set(scenarios.map(({ options }) => options[option]))).toEqual(new Set([true, false]));
    }
    expect(new Set(scenarios.map(({ disk }) => disk.unsynced))).toEqual(new Set(unsyncedFates));
  });
});

describe("a wrong rule is found", () => {
  test("a retry that is executed again", () => {
    class Forgetful extends SessionTable {
      override apply(index: number, data: Uint8Array): SessionReply {
        // Without its sessions' numbers every command is a new one.
        const fresh = data.slice();
        if (fresh.length > 0) new DataView(fresh.buffer).setUint32(6, index);
        return super.apply(index, fresh);
      }
    }
    expect(firstViolation(changed("clients", { SessionTable: Forgetful }))?.rule).toBe("acknowledged");
  });

  test("messages that do not wait for the disk", () => {
    const violation = firstViolation(changed("persistence", { writeBefore: () => 0 }));
    expect(violation).toMatchObject({ rule: "persist-before-send" });
    expect(violation?.message).toMatch(/^n\d sends a vote-request of term \d+, and on its disk is term \d+$/);
  });

  test("a leader that commits without asking anybody", () => {
    const advanceCommit = (raft: Raft): void => {
      const { lastIndex } = raft.log;
      if (lastIndex > raft.commitIndex) referenceRules.commit.commitTo(raft, lastIndex);
    };
    const violation = firstViolation(changed("commit", { advanceCommit }));
    expect(violation?.rule).toMatch(/quorum-durability|leader-completeness/);
  });

  test("nobody ever stands for election", () => {
    const violation = firstViolation(changed("membership", { mayStand: () => false }));
    expect(violation?.rule).toBe("liveness");
  });

  test("a rule that throws is a violation too, with its message", () => {
    const commit = {
      followCommit: (): void => {
        throw new Error("no idea");
      },
    };
    expect(firstViolation(changed("commit", commit))).toMatchObject({
      rule: "assertion",
      message: "no idea",
    });
  });

  test("and its schedule shrinks to one that still breaks the rule, and fits into a command", async () => {
    // A deposed leader answers reads by itself: it takes a partition, and clients on both sides of it.
    const clients = {
      read: (raft, id): void => {
        if (raft.role === "leader") raft.effects.push({ kind: "read", id, index: raft.commitIndex });
        else referenceRules.clients.read(raft, id);
      },
    } satisfies Partial<RaftRules["clients"]>;
    const rules = changed("clients", clients);
    const choice = {
      nodeCount: 3,
      seconds: 15,
      faults: ["partition", "isolate"],
      hasOperator: false,
    } as const;
    let seed = 1;
    while (runScenario(drawScenario({ ...choice, seed }), { rules }).violation?.rule !== "reads-current") {
      if (++seed > 100) expect.unreachable();
    }
    const whole = drawScenario({ ...choice, seed });
    const { cut } = await shrink({
      faultCount: whole.faults.length,
      features: scenarioFeatures,
      runsMax: 120,
      fails: (cut) =>
        runScenario(drawScenario({ ...choice, seed, cut }), { rules }).violation?.rule === "reads-current",
    });
    expect(cut.keep!.length).toBeLessThan(whole.faults.length);
    const small = { ...choice, seed, cut };
    const { violation } = runScenario(drawScenario(small), { rules });
    expect(violation?.message).toMatch(/answers a read as of \d+ in term \d+, and \d+ was committed/);
    expect(replayCommand(small)).toMatch(
      /^npx oz simulate --seed \d+ --nodes 3 --seconds 15 --faults partition,isolate --keep /,
    );
    // What a learner's module did wrong, only the learner's module does again.
    expect(replayCommand(small, "--mine=commit")).toBe(`${replayCommand(small)} --mine=commit`);
    expect(replayLink(small)).toMatch(
      /^simulator\/#seed=\d+&nodes=3&seconds=15&faults=partition%2Cisolate&keep=/,
    );
  });
});
