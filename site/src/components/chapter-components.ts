/**
 * What a chapter may use without importing it. `tools/check-chapters.ts` holds the same names with their
 * attributes.
 */
import Aside from "./chapter/Aside.astro";
import ErrorCodes from "./chapter/ErrorCodes.astro";
import Exercise from "./chapter/Exercise.astro";
import FrameLayout from "./FrameLayout.astro";
import Invariants from "./chapter/Invariants.astro";
import Limits from "./chapter/Limits.astro";
import Predict from "./chapter/Predict.astro";
import Puzzle from "./chapter/Puzzle.astro";
import Question from "./chapter/Question.astro";
import Questions from "./chapter/Questions.astro";
import SourceCode from "./chapter/SourceCode.astro";
import Story from "./chapter/Story.astro";

export const chapterComponents = {
  Aside,
  ErrorCodes,
  Exercise,
  FrameLayout,
  Invariants,
  Limits,
  Predict,
  Puzzle,
  Question,
  Questions,
  SourceCode,
  Story,
};
