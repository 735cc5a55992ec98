/** A request on its way through the broker, and the shape of what handles it. */
import type { MessageName, RequestOf } from "../protocol/messages.ts";
import type { Broker } from "./broker.ts";
import type { BrokerConnection } from "./connection.ts";
import type { Outcome } from "./outcome.ts";

/** Who asks, and under which id. */
export interface Call {
  readonly connection: BrokerConnection;
  readonly requestIdHigh: number;
  readonly requestIdLow: number;
}

/** Handles one request type. What it expects to go wrong is an outcome; what it throws is a bug. */
export type Handler<Name extends MessageName> = (
  broker: Broker,
  request: RequestOf<Name>,
  call: Call,
) => Outcome<Name> | Promise<Outcome<Name>>;

/** The id of a request as one number, as Unsubscribe and Credit name a subscription. */
export function requestIdOf(call: Call): bigint {
  return (BigInt(call.requestIdHigh) << 32n) | BigInt(call.requestIdLow);
}
