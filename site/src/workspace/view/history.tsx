/** Earlier versions of the learner's code: each run with its points, and whatever something else took the place of. */
import type { Version } from "../../scripts/storage.ts";
import type { Session } from "../session.ts";

const reasons: Readonly<Record<string, string>> = {
  run: "run",
  reset: "before a reset",
  depth: "before another stub",
  solution: "before looking at the solution",
  version: "before comparing with an earlier version",
  format: "before formatting",
  import: "before an import",
  restore: "before going back",
  undo: "before an undo",
  "other tab": "before another tab changed it",
};

export function History({ session }: { readonly session: Session }) {
  const versions = session.record.value.history.toReversed();
  if (versions.length === 0)
    return <p class="empty">Earlier versions of your code appear here: each run, each reset.</p>;
  const possible = session.bundle.exercise.tests.reduce((sum, { points }) => sum + points, 0);
  return (
    <>
      <p class="empty">
        {session.record.value.attempts} runs so far. The newest versions are kept, as many as there is room
        for.
      </p>
      <ol class="history">
        {versions.map((version) => (
          <li key={`${version.at}${version.why}`}>
            <Entry version={version} session={session} possible={possible} />
          </li>
        ))}
      </ol>
    </>
  );
}

interface EntryProps {
  readonly version: Version;
  readonly session: Session;
  readonly possible: number;
}

function Entry({ version, session, possible }: EntryProps) {
  const time = new Date(version.at);
  const shown = time.toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
  const isShown = version.text === session.text.value;
  return (
    <>
      <time dateTime={time.toISOString()}>{shown}</time>
      <span>
        {reasons[version.why] ?? version.why}
        {version.earned !== undefined && `: ${version.earned} of ${possible} points`}
      </span>
      {isShown ? (
        <span class="history-actions is-shown">shown now</span>
      ) : (
        <span class="history-actions">
          <button
            type="button"
            class="link-button"
            aria-label={`Open the version of ${shown} beside your code`}
            onClick={() => session.openVersion(version)}
          >
            Open
          </button>
          <button
            type="button"
            class="link-button"
            aria-label={`Bring back the version of ${shown}`}
            onClick={() => session.restore(version)}
          >
            Bring back
          </button>
        </span>
      )}
    </>
  );
}
