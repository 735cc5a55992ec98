/** The first challenge: say back what was said. */
import { valueField } from "./fields.ts";
import type { Program } from "./node.ts";

// #region echo
/** `echo {echo}` is answered with `echo_ok {echo}`. */
export function makeEcho(): Program {
  return {
    echo: (body) => ({ type: "echo_ok", echo: valueField(body, "echo") }),
  };
}
// #endregion echo
