/**
 * The fields of a frame with their places, for the figure in the prose. Places come from the constants of the frame
 * module; the sum is checked against them, so a change of the format that forgets the figure stops the build.
 */
import {
  checksumBytes,
  errorResponseHeaderBytes,
  type FrameKind,
  lengthFieldBytes,
  requestHeaderBytes,
} from "#reference/protocol/frame.ts";

export interface FrameField {
  readonly name: string;
  /** Undefined for the payload, which is as long as it is. */
  readonly bytes: number | undefined;
  /** Where it starts, as text: a number, or `16+N`. */
  readonly at: string;
  readonly about: string;
}

type Part = readonly [name: string, bytes: number, about: string];

const length: Part = ["length", lengthFieldBytes, "Bytes after this field."];
const requestId: Part = ["requestId", 8, "Chosen by the client; the response carries it back."];

const headers: Readonly<Record<FrameKind, readonly Part[]>> = {
  request: [
    length,
    requestId,
    ["type", 1, "What is asked for."],
    ["version", 1, "Version of this type's payload."],
    ["flags", 2, "Sixteen bits, none defined by the frame."],
  ],
  response: [
    length,
    requestId,
    ["status", 1, "0 done, 1 nothing done, 2 done in part."],
    ["errorCode", 2, "Only when the status is not 0."],
  ],
};

const headerBytes: Readonly<Record<FrameKind, number>> = {
  request: requestHeaderBytes,
  response: errorResponseHeaderBytes,
};

export function frameFields(kind: FrameKind): FrameField[] {
  let position = 0;
  const fields: FrameField[] = headers[kind].map(([name, bytes, about]) => {
    const at = position;
    position += bytes;
    return { name, bytes, at: String(at), about };
  });
  if (position !== headerBytes[kind]) {
    throw new Error(
      `the figure of a ${kind} has a header of ${position} bytes, the code has ${headerBytes[kind]}`,
    );
  }
  return [
    ...fields,
    { name: "payload", bytes: undefined, at: String(position), about: "As long as the length says." },
    { name: "crc32", bytes: checksumBytes, at: `${position}+N`, about: "Checksum of every byte before it." },
  ];
}
