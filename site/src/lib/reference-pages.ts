/** The pages that are rendered from modules of the reference: one for each error code and each limit. */
import { limits } from "virtual:limits";
import { protocolErrors, type ErrorDefinition, type ErrorName } from "#reference/protocol/errors.ts";
import { encodeResponse } from "#reference/protocol/frame.ts";
import { annotate, describeResponseFrame, sampleRequestId } from "#reference/protocol/messages-hex.ts";
import { encodeErrorReply } from "#reference/protocol/messages-codec.ts";
import { errorReply } from "#reference/protocol/messages.ts";
import type { LimitEntry } from "../../tools/limits.ts";

export interface ErrorPage extends ErrorDefinition {
  readonly name: ErrorName;
  /** Within the site. */
  readonly path: string;
  /** Whether the code never travels: the client makes it for what happens on its own side. */
  readonly isLocal: boolean;
}

export interface LimitPage extends LimitEntry {
  readonly path: string;
}

/** From this code on, an error is the client's own. */
const localCodes = 1000;

export const errorPages: readonly ErrorPage[] = (Object.keys(protocolErrors) as ErrorName[]).map((name) => {
  const definition: ErrorDefinition = protocolErrors[name];
  return { ...definition, name, path: `errors/${name}/`, isLocal: definition.code >= localCodes };
});

export const limitPages: readonly LimitPage[] = limits.map((limit) => ({
  ...limit,
  path: `limits/${limit.name.replaceAll(/([a-z\d])([A-Z])/g, "$1-$2").toLowerCase()}/`,
}));

/** The reply that carries an error, byte by byte. */
export function errorOnTheWire({ code, help }: ErrorPage): string {
  const payload = encodeErrorReply(help.split(/[.:] /)[0] ?? help);
  const frame = encodeResponse({ requestId: sampleRequestId, status: 1, errorCode: code, payload });
  if (!(frame instanceof Uint8Array)) throw new Error(`the reply with error ${code} does not fit a frame`);
  return annotate(frame, describeResponseFrame(frame, errorReply)).join("\n");
}

/** A value as people read it: 16,777,216 is 16 MiB, 60,000 ms is 1 minute. Empty where the number says it all. */
export function inWords({ name, value }: Pick<LimitEntry, "name" | "value">): string {
  if (/Ms(Max|Min|Default)?(Default)?$/.test(name) && value >= 1000 && value < 2 ** 40)
    return duration(value);
  if (/(Bytes|Size)/.test(name) && value >= 1024) return size(value);
  const exponent = Math.log2(value + 1);
  if (value > 1_000_000 && Number.isInteger(exponent)) return `2^${exponent} − 1`;
  return "";
}

function duration(ms: number): string {
  const units: readonly (readonly [ms: number, name: string])[] = [
    [24 * 3_600_000, "day"],
    [3_600_000, "hour"],
    [60_000, "minute"],
    [1_000, "second"],
  ];
  const [unitMs, name] = units.find(([one]) => ms >= one && ms % one === 0) ?? [1_000, "second"];
  const count = ms / unitMs;
  return `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"}`;
}

function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? "" : `${value.toLocaleString("en")} ${units[unit]}`;
}
