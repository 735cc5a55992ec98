/** Requests about the connection itself: greeting, signs of life, health, producer ids. */
import { negotiate, versionsSpoken } from "../protocol/handshake.ts";
import { clusterField } from "../protocol/messages-cluster.ts";
import type { Handler } from "./call.ts";
import { refuse, reply } from "./outcome.ts";

/** Names longer than this are cut. */
const clientNameLengthMax = 128;

export const hello: Handler<"Hello"> = (broker, request, { connection }) => {
  const version = negotiate({ min: request.versionMin, max: request.versionMax }, versionsSpoken);
  if (version === undefined) {
    const ours = `${versionsSpoken.min} to ${versionsSpoken.max}`;
    const theirs = `${request.versionMin} to ${request.versionMax}`;
    return refuse("unsupported-version", `the server speaks versions ${ours}, the client ${theirs}`);
  }
  connection.state.clientName = request.clientName.slice(0, clientNameLengthMax);
  const { limits, replication } = broker;
  return reply({
    version,
    serverName: broker.serverName,
    frameSizeMax: limits.frameSizeMax,
    recordSizeMax: limits.recordSizeMax,
    inFlightMax: limits.inFlightMax,
    idleTimeoutMs: limits.idleTimeoutMs,
    authentication: broker.authentication.methods,
    nonce: broker.authentication.nonceOf(connection),
    tagged: replication === undefined ? [] : [clusterField(replication.addresses)],
  });
};

export const authenticate: Handler<"Authenticate"> = (broker, { method, name, proof }, { connection }) => {
  if (!broker.authentication.accepts(connection, method, name, proof)) {
    return refuse("unauthenticated", "the proof does not fit the name, or the method is not offered");
  }
  connection.state.principal = name;
  return reply({});
};

export const ping: Handler<"Ping"> = (_broker, { token }) => reply({ token });

export const healthCheck: Handler<"HealthCheck"> = (broker) => reply(broker.health());

export const initProducer: Handler<"InitProducer"> = (broker) => {
  // Drawn, not counted: 2^52 ids need no file, and two producers that draw the same one are not to be expected.
  const high = broker.random.nextUint32() % 2 ** 20;
  return reply({ producerId: BigInt(high) * 2n ** 32n + BigInt(broker.random.nextUint32()) + 1n });
};
