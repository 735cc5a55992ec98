/**
 * Reads fields of a request. What is missing or of the wrong type is the sender's mistake, and is told so:
 * error 12.
 */
import { RequestError } from "./errors.ts";
import type { Body, Json } from "./message.ts";

export function textField(body: Body, name: string): string {
  const value = body[name];
  // A key may come as a number: 7 and "7" are then the same key.
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  throw wrong(body, name, "text");
}

export function integerField(body: Body, name: string): number {
  const value = body[name];
  if (Number.isSafeInteger(value)) return value as number;
  throw wrong(body, name, "a whole number");
}

export function valueField(body: Body, name: string): Json {
  const value = body[name];
  if (value !== undefined) return value;
  throw wrong(body, name, "there");
}

export function listField(body: Body, name: string): readonly Json[] {
  const value = body[name];
  if (Array.isArray(value)) return value as readonly Json[];
  throw wrong(body, name, "a list");
}

export function objectField(body: Body, name: string): Readonly<Record<string, Json>> {
  const value = body[name];
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (isObject) return value as Readonly<Record<string, Json>>;
  throw wrong(body, name, "an object");
}

function wrong(body: Body, name: string, what: string): RequestError {
  return new RequestError("malformed-request", `${body.type}: ${name} is not ${what}`);
}
