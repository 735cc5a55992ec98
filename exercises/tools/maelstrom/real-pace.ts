/**
 * The pace of the real clock: the same simulated network, whose events happen when their time has come here too. So
 * a program in another process sees the latencies and partitions that a node in virtual time sees.
 */
import type { MaelstromWorld } from "#reference/simulator/maelstrom/world.ts";
import type { Pace } from "#reference/simulator/maelstrom/test-run.ts";

export interface RealPace {
  readonly pace: Pace;
  /** Brings the world's time up to now; to be called before anything that comes from outside is told to it. */
  readonly catchUp: () => void;
}

export function makeRealPace(signal: AbortSignal): RealPace {
  let world: MaelstromWorld | undefined;
  let startMs: number | undefined;
  const nowUs = (): number => Math.floor((performance.now() - startMs!) * 1000);
  const catchUp = (): void => {
    if (world !== undefined) world.simulation.scheduler.runUntil(Math.max(world.nowUs, nowUs()));
  };
  const pace: Pace = async (ofWorld, untilUs) => {
    world = ofWorld;
    startMs ??= performance.now();
    const { scheduler } = world.simulation;
    while (world.nowUs < untilUs && !signal.aborted && !scheduler.isStopped) {
      const nextUs = Math.min(scheduler.nextAtUs ?? untilUs, untilUs);
      const waitMs = (nextUs - nowUs()) / 1000;
      if (waitMs > 0.5) await new Promise<void>((resolve) => void setTimeout(resolve, Math.min(waitMs, 5)));
      else await new Promise<void>((resolve) => void setImmediate(resolve));
      scheduler.runUntil(Math.min(untilUs, Math.max(world.nowUs, nowUs())));
    }
  };
  return { pace, catchUp };
}
