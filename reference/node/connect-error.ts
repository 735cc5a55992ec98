/** A connection that does not come about, in words; the system's are for those who know its calls by name. */

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "no host HOST is known here",
  EAI_AGAIN: "no answer about the name HOST",
  EHOSTUNREACH: "there is no way to HOST",
  ENETUNREACH: "there is no way to HOST",
};

/** The error to reject with: its `code` is the system's. */
export function describeConnectError(error: Error, host: string): Error {
  const code = "code" in error ? String(error.code) : "";
  const text = words[code];
  if (text === undefined) return error;
  return Object.assign(new Error(`${text.replace("HOST", host)} (${code})`, { cause: error }), { code });
}
