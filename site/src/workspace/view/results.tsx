/** The results of a run: how far it got, then each test, with the first failure open. */
import type { Grade, TestGrade } from "#exercises/grader/grade.ts";
import { seedDefault } from "#exercises/lib/seed.ts";
import { useEffect } from "preact/hooks";
import { addressOf } from "../address.ts";
import type { Running, Session } from "../session.ts";
import { Inline } from "./inline.tsx";
import { FailureView } from "./failure.tsx";
import { runKey } from "../keys.ts";

interface ResultsProps {
  readonly session: Session;
  readonly onReveal: (path: string, line: number) => void;
}

export function Results({ session, onReveal }: ResultsProps) {
  const running = session.running.value;
  const grade = session.grade.value;
  if (running !== undefined) return <Progress running={running} session={session} />;
  if (grade === undefined) return <NotRun session={session} />;
  return (
    <div class={`results ${session.isStale.value ? "is-stale" : ""}`}>
      {session.isStale.value && <p class="stale-note">You have changed the code since this run.</p>}
      <Verdict grade={grade} session={session} />
      {grade.misconception !== undefined && (
        <aside class="misconception" aria-label="A likely misunderstanding">
          <p class="box-title">Your failures look like this misunderstanding</p>
          <p>
            <Inline text={grade.misconception.why} />
          </p>
          <p class="ask">
            <Inline text={grade.misconception.question} />
          </p>
        </aside>
      )}
      {grade.outcome === "graded" && (
        <>
          {grade.diagnostics.length > 0 && <h3 class="stray-title">Errors outside any test</h3>}
          <Diagnostics grade={grade} onReveal={onReveal} />
          <TestList grade={grade} session={session} onReveal={onReveal} />
        </>
      )}
      {grade.outcome !== "graded" && <Diagnostics grade={grade} onReveal={onReveal} />}
    </div>
  );
}

function NotRun({ session }: { readonly session: Session }) {
  const { exercise } = session.bundle;
  return (
    <div class="results">
      <p class="empty">
        {exercise.tests.length} tests wait for your code. Run them with {runKey}, as often as you like: a stub
        fails, and its first failure says where to begin.
      </p>
      <button type="button" class="button" onClick={() => void session.run()}>
        Run the tests
      </button>
    </div>
  );
}

function Progress({ running, session }: { readonly running: Running; readonly session: Session }) {
  const done = running.done.size;
  return (
    <div class="results is-running">
      <p>
        <progress max={running.total} value={done} aria-label="Tests done" /> {done} of {running.total}
      </p>
      <p class="current">{running.current ?? "Getting ready"}</p>
      <button type="button" class="button is-stop" onClick={session.stop}>
        Stop
      </button>
    </div>
  );
}

function Verdict({ grade, session }: { readonly grade: Grade; readonly session: Session }) {
  const { earned, possible } = grade.points;
  const passed = grade.tests.filter(({ status }) => status === "pass").length;
  if (grade.outcome !== "graded") {
    const heading =
      grade.outcome === "ungradable" ? "Your code could not be run." : "The grader failed, not you.";
    return (
      <header class="verdict-line is-fail">
        <h2>{heading}</h2>
        <p>{grade.reason}</p>
      </header>
    );
  }
  const isSolved = earned === possible;
  return (
    <header class={`verdict-line ${isSolved ? "is-solved" : "is-fail"}`}>
      <h2>
        {isSolved ? "Solved. Every test passes." : `${passed} of ${grade.tests.length} tests pass.`}{" "}
        <span class="points">
          {earned} of {possible} points
        </span>
      </h2>
      {isSolved ? (
        <p class="next-step">
          This file can now replace its module in the broker: <code>npx oz serve --mine</code>.{" "}
          <button type="button" class="link-button is-quiet" onClick={session.openSolution}>
            Compare with ours
          </button>
        </p>
      ) : (
        grade.reason !== undefined && <p>{grade.reason}</p>
      )}
      <FirstFailure grade={grade} />
      <p class="run-note">
        {grade.run.durationMs} ms, seed {grade.seed}{" "}
        <button
          type="button"
          class="link-button is-quiet"
          title="Runs the tests again with other random cases"
          onClick={() => {
            session.seed.value = crypto.getRandomValues(new Uint32Array(1))[0]!;
            void session.run();
          }}
        >
          another seed
        </button>
        {grade.seed !== seedDefault && (
          <button
            type="button"
            class="link-button is-quiet"
            onClick={() => (session.seed.value = seedDefault)}
          >
            {session.seed.value === seedDefault ? "next run: the usual seed" : "back to the usual one"}
          </button>
        )}
      </p>
    </header>
  );
}

/** How many tests may stand above the first failure before a way down to it is offered. */
const testsAboveMax = 2;

/** Leads to the first failure when passed tests hide it: the order of the tests is the order in which to solve them. */
function FirstFailure({ grade }: { readonly grade: Grade }) {
  const index = grade.tests.findIndex(({ status }) => status !== "pass");
  const test = grade.tests[index];
  if (test === undefined || index <= testsAboveMax) return null;
  return (
    <p class="first-failure">
      <button type="button" class="link-button" onClick={() => showTest(test.id)}>
        First failure
      </button>
      : {test.name}
    </p>
  );
}

/** Scrolls to a test of the list and puts the focus on it. */
function showTest(id: string): void {
  const item = document.getElementById(`test-${id}`);
  item?.scrollIntoView({ block: "start" });
  (item?.querySelector<HTMLElement>("summary") ?? item)?.focus({ preventScroll: true });
}

const marks: Readonly<Record<TestGrade["status"], { readonly sign: string; readonly word: string }>> = {
  pass: { sign: "✓", word: "passed" },
  fail: { sign: "✗", word: "failed" },
  timeout: { sign: "⧖", word: "timed out" },
  unknown: { sign: "?", word: "not decided" },
};

interface TestListProps extends ResultsProps {
  readonly grade: Grade;
}

function TestList({ grade, session, onReveal }: TestListProps) {
  const target = session.target.value;
  const first = grade.tests.find(({ status }) => status !== "pass")?.id;
  const open = grade.tests.some(({ id, failure }) => id === target && failure !== undefined) ? target : first;
  // Whoever follows a link to a test wants to see that one.
  useEffect(() => {
    if (target !== undefined) showTest(target);
  }, [grade]);
  return (
    <ol class="tests">
      {grade.tests.map((test) => (
        <li
          key={`${test.id}-${grade.run.startedAt}`}
          class={`test is-${test.status} ${test.id === target ? "is-target" : ""}`}
          id={`test-${test.id}`}
          tabIndex={-1}
        >
          {test.failure === undefined ? (
            <p class="test-line">
              <TestLine test={test} />
            </p>
          ) : (
            <details open={test.id === open}>
              <summary
                class="test-line"
                onClick={(event) => {
                  const isOpen = (event.currentTarget.parentElement as HTMLDetailsElement).open;
                  session.target.value = isOpen ? undefined : test.id;
                }}
              >
                <TestLine test={test} />
              </summary>
              <FailureView failure={test.failure} onReveal={onReveal} link={linkTo(session, grade, test)} />
            </details>
          )}
        </li>
      ))}
    </ol>
  );
}

function linkTo(session: Session, grade: Grade, test: TestGrade): string {
  const place = { pane: "results", test: test.id, seed: grade.seed } as const;
  return addressOf(location.href, session.bundle.exercise.id, place).href;
}

function TestLine({ test }: { readonly test: TestGrade }) {
  const { sign, word } = marks[test.status];
  return (
    <>
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      <span class="visually-hidden">{word}: </span>
      <span class="test-name">{test.name}</span>
      <span class="test-points">
        {test.points.earned}/{test.points.possible}
      </span>
    </>
  );
}

function Diagnostics({
  grade,
  onReveal,
}: {
  readonly grade: Grade;
  readonly onReveal: ResultsProps["onReveal"];
}) {
  return (
    <ul class="diagnostics">
      {grade.diagnostics.map(({ file, line, message }) => (
        <li key={`${file}:${line}:${message}`}>
          <button type="button" class="link-button place" onClick={() => onReveal(file, line)}>
            {file.split("/").at(-1)}:{line}
          </button>{" "}
          {message}
        </li>
      ))}
    </ul>
  );
}
