/**
 * Sends spans to an OpenTelemetry collector: OTLP over HTTP, in JSON.
 *
 * OpenTelemetry's own exporter brings a tracer, a context and a dozen packages, of which we would use the JSON and the
 * POST. What the protocol asks of a sender is short: which answers mean "later", and which mean "never".
 */
import type { OtlpSpan, SendOutcome } from "../observability/spans.ts";
import { otlpBody } from "../observability/spans.ts";

/** A collector that takes longer is as good as gone. */
const timeoutMs = 5000;

/** The answers after which the protocol has the sender try again. */
const retriable: readonly number[] = [429, 502, 503, 504];

/** Where traces go at an endpoint that is given without a path, as OpenTelemetry's specification has it. */
export function tracesUrl(endpoint: string): URL {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith("/v1/traces")) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  return url;
}

/** A function that sends one batch, and never rejects. */
export function otlpSender(
  endpoint: string,
  resource: Readonly<Record<string, string>>,
  version: string,
): (spans: readonly OtlpSpan[]) => Promise<SendOutcome> {
  const url = tracesUrl(endpoint);
  return async (spans) => {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: otlpBody(spans, resource, version),
        signal: AbortSignal.timeout(timeoutMs),
      });
      // Unread, the answer would hold the connection.
      await response.body?.cancel();
      if (response.ok) return "sent";
      return retriable.includes(response.status) ? "retry" : "rejected";
    } catch {
      // Nobody there, a broken connection, the time is up.
      return "retry";
    }
  };
}
