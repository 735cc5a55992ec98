/**
 * The door to the workspace: fetches an exercise, opens its session and draws it. Loaded when a learner
 * asks for it.
 */
import { render } from "preact";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { href } from "../lib/links.ts";
import { showPane } from "./pane.ts";
import { embeddedBackend } from "./run.ts";
import { chosenBackend } from "./settings.ts";
import { openSession, type Session } from "./session.ts";
import { Workspace } from "./view/workspace.tsx";
import "../styles/workspace.css";

export interface WorkspaceHooks {
  readonly announce: (text: string) => void;
  readonly onProgress: () => void;
  readonly onClose: () => void;
}

let open: { readonly id: string; readonly session: Session } | undefined;

/** Shows the exercise in `host`, in place of the one that was open there. */
export async function openWorkspace(host: HTMLElement, id: string, hooks: WorkspaceHooks): Promise<void> {
  showPane("code");
  if (open?.id === id) return;
  const bundle = await fetchBundle(id);
  open?.session.close();
  render(null, host);
  host.replaceChildren();
  const session = openSession({
    bundle,
    backend: chosenBackend,
    announce: hooks.announce,
    onProgress: hooks.onProgress,
    seed: seedInAddress(),
  });
  open = { id, session };
  embeddedBackend().prewarm(bundle);
  const close = (): void => {
    session.close();
    open = undefined;
    render(null, host);
    hooks.onClose();
  };
  render(<Workspace session={session} onClose={close} />, host);
}

async function fetchBundle(id: string): Promise<ExerciseBundle> {
  const response = await fetch(href(`exercises/${id}.json`));
  if (!response.ok) throw new Error(`the exercise ${id} is not there: ${response.status}`);
  return (await response.json()) as ExerciseBundle;
}

/** A replay link carries the seed of the failing run: `?exercise=…&seed=7`. */
function seedInAddress(): number | undefined {
  const text = new URLSearchParams(location.search).get("seed");
  const seed = Number(text);
  return text !== null && Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32 ? seed : undefined;
}
