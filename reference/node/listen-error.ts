/** A port that cannot be had, as one line that says what to do. */

/** What is wrong with `address`; `option` is the flag that chooses another. */
export function describeListenError(error: unknown, address: string, option: string): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `address ${address} is in use; choose another ${option}, or 0 for a free one`;
    case "EACCES":
      return `address ${address}: no permission to listen there; ports below 1024 need privileges`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `address ${address} is not an address of this machine`;
    default:
      return `address ${address}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
