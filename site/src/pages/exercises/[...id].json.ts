/** Each exercise as one JSON file, which the workspace fetches when it opens. */
import type { APIRoute } from "astro";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { exerciseBundles } from "../../lib/exercises.ts";

export function getStaticPaths() {
  return exerciseBundles.map((bundle) => ({ params: { id: bundle.exercise.id }, props: { bundle } }));
}

export const GET: APIRoute<{ bundle: ExerciseBundle }> = ({ props }) => Response.json(props.bundle);
