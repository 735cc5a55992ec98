/**
 * The services that Maelstrom offers to nodes: three key-value stores that promise less and less, and a clock that
 * everybody shares. They are never cut off and never fail; what they are allowed to do wrong, they do.
 */
import type { SeededRandom } from "#reference/base/prng.ts";
import { codeOf, type ErrorName } from "#reference/maelstrom/errors.ts";
import type { Body, Json, Message } from "#reference/maelstrom/message.ts";
import type { MaelstromWorld } from "./world.ts";

/** Requests answered, by service and kind: what a design costs in coordination. */
export type ServiceCounts = Record<string, Record<string, number>>;

/** Puts the four services on the network. */
export function attachServices(world: MaelstromWorld): ServiceCounts {
  const counts: ServiceCounts = {};
  const random = world.simulation.fork("services");
  const services: Readonly<Record<string, Service>> = {
    "lin-kv": new LinearizableStore(),
    "seq-kv": new SequentialStore(random.fork()),
    "lww-kv": new LastWriteWinsStore(random.fork()),
    "lin-tso": new TimestampOracle(),
  };
  for (const [name, service] of Object.entries(services)) {
    world.attach(name, ({ src, body }: Message) => {
      const own = (counts[name] ??= {});
      own[body.type] = (own[body.type] ?? 0) + 1;
      const answer = service.answer(body, src);
      const reply = { ...answer, ...(body.msg_id === undefined ? {} : { in_reply_to: body.msg_id }) };
      world.send({ src: name, dest: src, body: reply });
    });
  }
  return counts;
}

interface Service {
  answer(body: Body, from: string): Body;
}

type State = ReadonlyMap<string, Json>;

/** One request on one state: the answer, and the state after it. */
function apply(state: State, body: Body): { readonly answer: Body; readonly state: State } {
  const key = JSON.stringify(body["key"] ?? null);
  const value = state.get(key);
  const set = (to: Json): State => new Map(state).set(key, to);
  switch (body.type) {
    case "read":
      if (value === undefined) return { answer: error("key-does-not-exist", `no key ${key}`), state };
      return { answer: { type: "read_ok", value }, state };
    case "write":
      if (body["value"] === undefined)
        return { answer: error("malformed-request", "write without a value"), state };
      return { answer: { type: "write_ok" }, state: set(body["value"]) };
    case "cas": {
      const { from, to, create_if_not_exists: isCreating } = body;
      if (from === undefined || to === undefined) {
        return { answer: error("malformed-request", "cas without from or to"), state };
      }
      if (value === undefined && isCreating !== true) {
        return { answer: error("key-does-not-exist", `no key ${key}`), state };
      }
      if (value !== undefined && JSON.stringify(value) !== JSON.stringify(from)) {
        const text = `${JSON.stringify(value)} is there, not ${JSON.stringify(from)}`;
        return { answer: error("precondition-failed", text), state };
      }
      return { answer: { type: "cas_ok" }, state: set(to) };
    }
    default:
      return { answer: error("not-supported", `no request of type ${body.type}`), state };
  }
}

function error(name: ErrorName, text: string): Body {
  return { type: "error", code: codeOf(name), text };
}

/** Every request sees all that were answered before it. */
class LinearizableStore implements Service {
  #state: State = new Map();

  answer(body: Body): Body {
    const { answer, state } = apply(this.#state, body);
    this.#state = state;
    return answer;
  }
}

/** How many old states `seq-kv` remembers. */
const statesMax = 32;

/**
 * Each client sees states in one order, and never goes back; but it may be behind. What changes nothing may be answered
 * from any state since the last one that the client saw; a real change is made on the newest, and brings the client
 * there. So whoever must read the newest value writes something first.
 */
class SequentialStore implements Service {
  readonly #random: SeededRandom;
  readonly #states: State[] = [new Map()];
  /** The number of the first state that is remembered. */
  #first = 0;
  readonly #seen = new Map<string, number>();

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  answer(body: Body, from: string): Body {
    const newest = this.#first + this.#states.length - 1;
    // A client that is further behind than is remembered goes on from the oldest that is: never back.
    const oldest = Math.max(this.#first, this.#seen.get(from) ?? 0);
    const index = this.#random.nextBetween(oldest, newest);
    const tried = apply(this.#states[index - this.#first]!, body);
    if (tried.state === this.#states[index - this.#first]) {
      this.#seen.set(from, index);
      return tried.answer;
    }
    const { answer, state } = apply(this.#states.at(-1)!, body);
    if (state !== this.#states.at(-1)) this.#states.push(state);
    if (this.#states.length > statesMax) {
      this.#states.shift();
      this.#first++;
    }
    this.#seen.set(from, this.#first + this.#states.length - 1);
    return answer;
  }
}

/** Copies that are merged now and then; of two writes the one with the later time survives, whoever made it. */
class LastWriteWinsStore implements Service {
  readonly #random: SeededRandom;
  readonly #replicas = Array.from({ length: 2 }, () => ({
    time: 0,
    entries: new Map<string, { readonly value: Json; readonly time: number }>(),
  }));

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  answer(body: Body): Body {
    const source = this.#random.pick(this.#replicas);
    const target = this.#random.pick(this.#replicas);
    target.time = Math.max(target.time, source.time);
    for (const [key, entry] of source.entries) {
      if (entry.time > (target.entries.get(key)?.time ?? -1)) target.entries.set(key, entry);
    }
    const replica = this.#random.pick(this.#replicas);
    const before = new Map([...replica.entries].map(([key, { value }]) => [key, value]));
    const { create_if_not_exists: _ignored, ...known } = body;
    const { answer, state } = apply(before, known);
    for (const [key, value] of state) {
      if (state !== before && before.get(key) !== value)
        replica.entries.set(key, { value, time: ++replica.time });
    }
    return answer;
  }
}

/** Whole numbers that rise by one with each request. */
class TimestampOracle implements Service {
  #next = 0;

  answer(body: Body): Body {
    if (body.type !== "ts") return error("not-supported", `no request of type ${body.type}`);
    return { type: "ts_ok", ts: this.#next++ };
  }
}
