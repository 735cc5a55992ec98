/**
 * A process that can crash, stand still and come back, and the clocks it looks at.
 *
 * A *crash* takes everything in memory: timers are gone, messages on their way find nobody. A *pause* takes
 * nothing: the process does not notice that it stood still (a collection of garbage, a virtual machine that
 * was moved) and acts on what it believed before. Each of its clocks is wrong in its own way: the monotonic
 * one runs too fast or too slow, the wall clock also jumps.
 */
import { assert } from "#reference/base/assert.ts";
import type { Clock } from "../ports.ts";
import { usPerMs, type ScheduledEvent, type Scheduler } from "./scheduler.ts";
import type { TraceSink } from "./trace.ts";

/** How a process's clocks differ from true time. */
export interface ClockOptions {
  /** Local seconds per true second: 1.01 is a clock that gains a second every hundred. */
  readonly rate?: number;
  /** What the wall clock shows at the start. */
  readonly wallTimeMs?: number;
}

/** What the wall clocks show at the start, unless told otherwise. */
export const wallTimeMsDefault = Date.UTC(2026, 0, 1);

/** What happened to a program that stood still. */
interface Held {
  readonly run: () => void;
  readonly lost: (() => void) | undefined;
}

/** One process of a simulation. */
export class SimulatedProcess {
  readonly name: string;
  readonly clock: SimulatedClock;
  /** What runs; it grows with each start. */
  incarnation = 0;
  /**
   * Called when the program has ended, by a crash or by itself: for what lies outside it, such as its disk.
   */
  onCrash: (() => void) | undefined;
  #state: "down" | "up" | "paused" = "down";
  #held: Held[] = [];
  readonly #boot: () => void;
  readonly #scheduler: Scheduler;
  readonly #trace: TraceSink | undefined;

  /** `boot` makes the program anew, from what is on its disk. It is called at each start. */
  constructor(
    scheduler: Scheduler,
    name: string,
    boot: () => void,
    clock: ClockOptions = {},
    trace?: TraceSink,
  ) {
    this.name = name;
    this.#boot = boot;
    this.#scheduler = scheduler;
    this.#trace = trace;
    this.clock = new SimulatedClock(scheduler, this, clock, trace);
  }

  get isUp(): boolean {
    return this.#state === "up";
  }

  get isPaused(): boolean {
    return this.#state === "paused";
  }

  get isDown(): boolean {
    return this.#state === "down";
  }

  /** Starts the program, for the first time or again. */
  start(): void {
    assert(this.#state === "down", `${this.name} is running already`);
    this.#state = "up";
    this.incarnation++;
    this.#record(this.incarnation === 1 ? "start" : "restart");
    if (this.incarnation === 1) this.clock.show();
    this.#boot();
  }

  /** Ends the program where it stands. `halt` is the same by its own wish, as after a disk error. */
  crash(event: "crash" | "halt" = "crash"): void {
    if (this.#state === "down") return;
    this.#state = "down";
    const held = this.#held;
    this.#held = [];
    this.#record(event);
    for (const { lost } of held) lost?.();
    this.onCrash?.();
  }

  pause(): void {
    if (this.#state !== "up") return;
    this.#state = "paused";
    this.#record("pause");
  }

  /** Lets the program go on: all that came meanwhile, in the order in which it came. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "up";
    this.#record("resume");
    const held = this.#held;
    this.#held = [];
    for (const happening of held) {
      // What it does may pause or end it again.
      if (this.#state === "up") happening.run();
      else if (this.isPaused) this.#held.push(happening);
      else happening.lost?.();
    }
  }

  /**
   * Something happens to the program: now, after the pause, or never. Returns whether it may; `lost` is called when it
   * then does not, because the program ended while it stood still.
   */
  receive(run: () => void, lost?: () => void): boolean {
    if (this.#state === "up") run();
    else if (this.#state === "paused") this.#held.push({ run, lost });
    else return false;
    return true;
  }

  #record(event: "start" | "crash" | "restart" | "pause" | "resume" | "halt"): void {
    this.#trace?.record({ kind: "process", at: this.#scheduler.nowUs, node: this.name, event });
  }
}

/** A process's view of time: the Clock port. */
export class SimulatedClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #process: SimulatedProcess;
  #rate: number;
  /** Where the rate last changed: true time and local time, both in microseconds. */
  #changedAtUs = 0;
  #localAtChangeUs = 0;
  #wallOffsetMs: number;
  readonly #trace: TraceSink | undefined;

  constructor(scheduler: Scheduler, process: SimulatedProcess, options: ClockOptions, trace?: TraceSink) {
    this.#trace = trace;
    this.#scheduler = scheduler;
    this.#process = process;
    this.#rate = options.rate ?? 1;
    assert(this.#rate > 0, `a clock of rate ${this.#rate} stands still`);
    this.#wallOffsetMs = options.wallTimeMs ?? wallTimeMsDefault;
  }

  wallTimeMs(): number {
    return Math.floor(this.monotonicTimeMs() + this.#wallOffsetMs);
  }

  monotonicTimeMs(): number {
    return this.#localUs() / usPerMs;
  }

  /** The timer runs by this clock and dies with its process. */
  after(delayMs: number, callback: () => void): () => void {
    const { incarnation } = this.#process;
    const event: ScheduledEvent = this.#scheduler.after(this.trueUsFor(delayMs), () => {
      if (this.#process.incarnation !== incarnation) return;
      // Whoever cancels while it is held back means it.
      this.#process.receive(() => {
        if (!isCancelled && this.#process.incarnation === incarnation) callback();
      });
    });
    let isCancelled = false;
    return () => {
      isCancelled = true;
      this.#scheduler.cancel(event);
    };
  }

  /**
   * True microseconds until this clock has moved on by so much: rounded up, so that nobody wakes too early.
   */
  trueUsFor(delayMs: number): number {
    return Math.ceil((Math.max(0, delayMs) * usPerMs) / this.#rate);
  }

  /** Lets the clock run faster or slower from now on. */
  setRate(rate: number): void {
    assert(rate > 0, `a clock of rate ${rate} stands still`);
    this.#localAtChangeUs = this.#localUs();
    this.#changedAtUs = this.#scheduler.nowUs;
    this.#rate = rate;
    this.show();
  }

  /** Sets the wall clock forwards or back, as a time server would. The monotonic clock does not notice. */
  stepWallTime(byMs: number): void {
    this.#wallOffsetMs += byMs;
    this.show();
  }

  /** Writes down what the clocks show. */
  show(): void {
    this.#trace?.record({
      kind: "clock",
      at: this.#scheduler.nowUs,
      node: this.#process.name,
      rate: this.#rate,
      monotonicMs: this.monotonicTimeMs(),
      wallMs: this.wallTimeMs(),
    });
  }

  #localUs(): number {
    return this.#localAtChangeUs + (this.#scheduler.nowUs - this.#changedAtUs) * this.#rate;
  }
}
