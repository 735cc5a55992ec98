/** The panel below the editor: task, results, hints, console, earlier versions. */
import type { Session, Panel } from "../session.ts";
import { History } from "./history.tsx";
import { Hints } from "./hints.tsx";
import { Results } from "./results.tsx";
import { Tabs } from "./tabs.tsx";
import { Task } from "./task.tsx";

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

function ConsoleView({ session }: { readonly session: Session }) {
  const lines = session.grade.value?.console ?? [];
  if (lines.length === 0)
    return <p class="empty">Nothing was printed. console.log in your code shows up here.</p>;
  return <pre class="console-lines">{lines.join("\n")}</pre>;
}
