/** What is asked: the rules, and what a learner can do in the end, with the points that each part has earned. */
import type { Session } from "../session.ts";
import { Inline } from "./inline.tsx";

export function Task({ session }: { readonly session: Session }) {
  const { exercise } = session.bundle;
  return (
    <div class="task">
      <p>
        <Inline text={exercise.summary} />
      </p>
      <h2>The rules</h2>
      <dl class="rules">
        {exercise.rules.map(({ id, must }) => (
          <div key={id}>
            <dt>{id}</dt>
            <dd>
              <Inline text={must} />
            </dd>
          </div>
        ))}
      </dl>
      <h2>When you are done you can</h2>
      <ul class="objectives">
        {Object.entries(exercise.objectives).map(([tag, text]) => (
          <Objective key={tag} tag={tag} text={text} session={session} />
        ))}
      </ul>
    </div>
  );
}

interface ObjectiveProps {
  readonly tag: string;
  readonly text: string;
  readonly session: Session;
}

/** One objective with its points in the last run; before the first run, with those that it can bring. */
function Objective({ tag, text, session }: ObjectiveProps) {
  const plans = session.bundle.exercise.tests.filter(({ objective }) => objective === tag);
  const possible = plans.reduce((sum, { points }) => sum + points, 0);
  const graded = session.grade.value?.tests.filter(({ objective }) => objective === tag);
  const earned = graded?.reduce((sum, { points }) => sum + points.earned, 0);
  const isReached = earned === possible;
  return (
    <li class={isReached ? "is-reached" : ""}>
      <Inline text={text} />{" "}
      <span class="points">
        {earned === undefined ? `${possible} points` : `${earned} of ${possible} points`}
        {isReached && ", reached"}
      </span>
    </li>
  );
}
