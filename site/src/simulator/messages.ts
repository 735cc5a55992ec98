/** What the page and its worker say to each other. */
import type { ScenarioChoice } from "#reference/simulator/raft/scenario.ts";
import type { RowsAsked, RowsFound, RunReport } from "./run.ts";

/** To the worker. The first is `run`; rows and file are those of that run. */
export type Asked =
  | { readonly kind: "run"; readonly choice: ScenarioChoice }
  | { readonly kind: "rows"; readonly asked: RowsAsked }
  | { readonly kind: "file" };

/** From the worker, in the order in which it was asked. */
export type Answered =
  | { readonly kind: "report"; readonly report: RunReport }
  | { readonly kind: "rows"; readonly found: RowsFound }
  | { readonly kind: "file"; readonly file: Blob }
  /** The simulator itself failed, which is no verdict on the cluster. */
  | { readonly kind: "failed"; readonly problem: string };
