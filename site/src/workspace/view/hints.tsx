/** Hints, one at a time: a question, a pointer to the rule, a worked neighbour case. Never the code. */
import type { Hole } from "#exercises/lib/exercise.ts";
import { Inline } from "./inline.tsx";
import type { Session } from "../session.ts";

const steps = ["A question", "Where the rule is", "A neighbouring case"] as const;

export function Hints({ session }: { readonly session: Session }) {
  return (
    <div class="hints">
      {session.bundle.exercise.holes.map((hole) => (
        <HintsOf key={hole.region} hole={hole} session={session} />
      ))}
    </div>
  );
}

function HintsOf({ hole, session }: { readonly hole: Hole; readonly session: Session }) {
  const shown = session.record.value.hints[hole.region] ?? 0;
  return (
    <section class="hint-group" aria-label={`Hints for ${hole.region}`}>
      <h2>
        <code>{hole.region}</code>
      </h2>
      <ol>
        {hole.hints.slice(0, shown).map((hint, index) => (
          <li key={steps[index]}>
            <strong>{steps[index]}.</strong> <Inline text={hint} />
          </li>
        ))}
      </ol>
      {shown < hole.hints.length ? (
        <button type="button" class="button" onClick={() => session.showHint(hole.region)}>
          {shown === 0 ? "Show the first hint" : `Show hint ${shown + 1} of ${hole.hints.length}`}
        </button>
      ) : (
        <p class="empty">That was the last hint.</p>
      )}
    </section>
  );
}
