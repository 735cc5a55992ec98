/** All wrong nodes, in the order of their numbers. */
import { agreeingMutants } from "./agreeing.ts";
import { countingMutants } from "./counting.ts";
import { loggingMutants } from "./logging.ts";
import { numberingMutants } from "./numbering.ts";
import type { Mutant } from "./parts.ts";
import { runtimeMutants } from "./runtime-mutants.ts";
import { spreadingMutants } from "./spreading.ts";
import { transactingMutants } from "./transacting.ts";

export type { FoundByRun, Mutant } from "./parts.ts";

export const mutants: readonly Mutant[] = [
  ...runtimeMutants,
  ...numberingMutants,
  ...spreadingMutants,
  ...countingMutants,
  ...loggingMutants,
  ...transactingMutants,
  ...agreeingMutants,
].toSorted((one, other) => (one.id < other.id ? -1 : 1));
