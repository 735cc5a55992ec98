/**
 * What a chapter may use without importing it. `tools/check-chapters.ts` holds the same names with their
 * attributes.
 */
import Aside from "./chapter/Aside.astro";
import CrashExplorer from "./chapter/CrashExplorer.astro";
import ErrorCodes from "./chapter/ErrorCodes.astro";
import Exercise from "./chapter/Exercise.astro";
import FrameInspector from "./chapter/FrameInspector.astro";
import FrameLayout from "./FrameLayout.astro";
import Invariants from "./chapter/Invariants.astro";
import Limits from "./chapter/Limits.astro";
import Predict from "./chapter/Predict.astro";
import Puzzle from "./chapter/Puzzle.astro";
import Question from "./chapter/Question.astro";
import Questions from "./chapter/Questions.astro";
import SegmentViewer from "./chapter/SegmentViewer.astro";
import SourceCode from "./chapter/SourceCode.astro";
import Story from "./chapter/Story.astro";
import StreamSplitter from "./chapter/StreamSplitter.astro";

export const chapterComponents = {
  Aside,
  CrashExplorer,
  ErrorCodes,
  Exercise,
  FrameInspector,
  FrameLayout,
  Invariants,
  Limits,
  Predict,
  Puzzle,
  Question,
  Questions,
  SegmentViewer,
  SourceCode,
  Story,
  StreamSplitter,
};
