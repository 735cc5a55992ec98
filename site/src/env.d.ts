/** What the build adds to the environment of the pages. */
interface ImportMetaEnv {
  /** Version of the files in `public/editor`. */
  readonly EDITOR_VERSION: string;
  /** Version of the files in `public/runner`. */
  readonly RUNNER_VERSION: string;
}

declare module "virtual:exercises" {
  /** Every exercise of the course, in its order. */
  export const bundles: readonly import("#exercises/lib/exercise.ts").ExerciseBundle[];
}

declare module "virtual:limits" {
  /** Every limit of the reference. */
  export const limits: readonly import("../tools/limits.ts").LimitEntry[];
}
