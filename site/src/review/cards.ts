/** What the cards of the review say: from the exercises, as one file that the page of progress fetches. */
import type { Exercise } from "#exercises/lib/exercise.ts";

export interface TestCard {
  readonly test: string;
  /** The test's title. */
  readonly name: string;
  /** A question that leads to the rule. */
  readonly ask: string;
  readonly rule: string;
  /** The mistake that this test catches most often, as a sentence. */
  readonly mistake: string | undefined;
}

export interface ExerciseCards {
  readonly id: string;
  readonly title: string;
  readonly number: string;
  /** The lesson's address within the site. */
  readonly lesson: string;
  readonly tests: readonly TestCard[];
  readonly prediction: {
    /** The name under which the choice is kept. */
    readonly id: string;
    readonly prompt: string;
    readonly choices: readonly string[];
    readonly answer: number;
    readonly explanation: string;
  };
}

/** The name under which a prediction is kept: of its exercise, or of its own text. */
export function predictionId(subject: string): string {
  return `predict-${subject.toLowerCase().replaceAll(/\W+/g, "-").slice(0, 60)}`;
}

/** The cards of one exercise. */
export function cardsOf(exercise: Exercise, lesson: string): ExerciseCards {
  const { id, title, number, prediction, rules, mutants } = exercise;
  const tests = exercise.tests.map(({ id: test, name, rule }) => {
    const mutant = mutants.find(({ killedBy }) => killedBy.includes(test));
    return {
      test,
      name,
      ask: mutant?.question ?? "Which rule does it prove, and why is it one?",
      rule: rules.find((one) => one.id === rule)?.must ?? "",
      mistake: mutant?.why,
    };
  });
  const { prompt, choices, answer, explanation } = prediction;
  return {
    id,
    title,
    number,
    lesson,
    tests,
    prediction: { id: predictionId(id), prompt, choices, answer, explanation },
  };
}
