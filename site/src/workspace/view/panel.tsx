/** The panel below the editor: task, results, hints, console, earlier versions. */
import type { Session, Panel } from "../session.ts";
import { Inline } from "./inline.tsx";
import { Hints } from "./hints.tsx";
import { Results } from "./results.tsx";
import { Tabs } from "./tabs.tsx";

interface PanelProps {
  readonly session: Session;
  readonly onReveal: (path: string, line: number) => void;
}

export function PanelView({ session, onReveal }: PanelProps) {
  const grade = session.grade.value;
  const printed = grade?.console.length ?? 0;
  const tabs: { name: Panel; text: string; note?: string }[] = [
    { name: "task", text: "Task" },
    {
      name: "results",
      text: "Results",
      ...(grade !== undefined && { note: `${grade.points.earned}/${grade.points.possible}` }),
    },
    { name: "hints", text: "Hints" },
    { name: "console", text: "Console", ...(printed > 0 && { note: String(printed) }) },
    { name: "history", text: "History" },
  ];
  return (
    <div class="panel" data-pane="results">
      <Tabs
        label="About the exercise"
        tabs={tabs}
        active={session.panel.value}
        onSelect={(name) => (session.panel.value = name)}
        controls="oz-panel"
      />
      <div class="panel-body" id="oz-panel" role="tabpanel" tabIndex={0} aria-label={session.panel.value}>
        <PanelBody session={session} onReveal={onReveal} />
      </div>
    </div>
  );
}

function PanelBody({ session, onReveal }: PanelProps) {
  switch (session.panel.value) {
    case "task":
      return <Task session={session} />;
    case "results":
      return <Results session={session} onReveal={onReveal} />;
    case "hints":
      return <Hints session={session} />;
    case "console":
      return <ConsoleView session={session} />;
    case "history":
      break;
  }
  return <History session={session} />;
}

function Task({ session }: { readonly session: Session }) {
  const { exercise } = session.bundle;
  const passed = new Set(
    session.grade.value?.tests.filter(({ status }) => status === "pass").map(({ objective }) => objective),
  );
  const failed = new Set(
    session.grade.value?.tests.filter(({ status }) => status !== "pass").map(({ objective }) => objective),
  );
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
        {Object.entries(exercise.objectives).map(([tag, text]) => {
          const isReached = passed.has(tag) && !failed.has(tag);
          return (
            <li key={tag} class={isReached ? "is-reached" : ""}>
              <Inline text={text} />
              {isReached && <span class="visually-hidden"> (reached)</span>}
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function ConsoleView({ session }: { readonly session: Session }) {
  const lines = session.grade.value?.console ?? [];
  if (lines.length === 0)
    return <p class="empty">Nothing was printed. console.log in your code shows up here.</p>;
  return <pre class="console-lines">{lines.join("\n")}</pre>;
}

const reasons: Readonly<Record<string, string>> = {
  run: "run",
  reset: "before a reset",
  depth: "before another stub",
  solution: "before looking at the solution",
  import: "before an import",
  restore: "before going back",
  "other tab": "before another tab changed it",
};

function History({ session }: { readonly session: Session }) {
  const versions = session.record.value.history.toReversed();
  if (versions.length === 0)
    return <p class="empty">Earlier versions of your code appear here: each run, each reset.</p>;
  const possible = session.record.value.best?.possible;
  return (
    <ol class="history">
      {versions.map((version) => (
        <li key={`${version.at}${version.why}`}>
          <time dateTime={new Date(version.at).toISOString()}>
            {new Date(version.at).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" })}
          </time>
          <span>
            {reasons[version.why] ?? version.why}
            {version.earned !== undefined &&
              `: ${version.earned}${possible === undefined ? "" : ` of ${possible}`} points`}
          </span>
          <button
            type="button"
            class="link-button"
            disabled={version.text === session.text.value}
            onClick={() => session.restore(version)}
          >
            {version.text === session.text.value ? "Shown now" : "Bring back"}
          </button>
        </li>
      ))}
    </ol>
  );
}
