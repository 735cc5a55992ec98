/** The cards of the review, all of them: the page of progress chooses those that the reader's own work asks for. */
import type { APIRoute } from "astro";
import { exerciseBundles } from "../lib/exercises.ts";
import { allLessons } from "../lib/lessons.ts";
import { cardsOf } from "../review/cards.ts";

export const GET: APIRoute = async () => {
  const lessons = await allLessons();
  const cards = exerciseBundles.map(({ exercise }) => {
    const lesson = lessons.find(({ data }) => data.exercises.includes(exercise.id));
    return cardsOf(exercise, `${lesson?.id ?? exercise.id.split("/")[0]}/`);
  });
  return Response.json(cards);
};
