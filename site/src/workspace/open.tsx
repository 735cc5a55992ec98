/**
 * The door to the workspace: fetches an exercise, opens its session and draws it. Loaded when a learner
 * asks for it.
 */
import { render } from "preact";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { followPlace, goToPlace, readPlace } from "./address.ts";
import { showPane } from "./pane.ts";
import { embeddedBackend } from "./run.ts";
import { chosenBackend } from "./settings.ts";
import { openSession } from "./session.ts";
import { Workspace } from "./view/workspace.tsx";
import { addStyles } from "../scripts/styles.ts";
import styles from "../styles/workspace.css?url";

export interface WorkspaceHooks {
  readonly announce: (text: string) => void;
  readonly onProgress: () => void;
  readonly onClose: () => void;
  /** The exercise, which was asked for together with this script. */
  readonly bundle: Promise<Response>;
}

let open: { readonly id: string; readonly close: () => void } | undefined;

/** Shows the exercise in `host`, in place of the one that was open there. */
export async function openWorkspace(host: HTMLElement, id: string, hooks: WorkspaceHooks): Promise<void> {
  if (open?.id === id) return showPane("code");
  const [bundle] = await Promise.all([readBundle(id, hooks.bundle), addStyles(styles)]);
  open?.close();
  render(null, host);
  host.replaceChildren();
  showPane("code");
  const place = readPlace(location.search);
  const session = openSession({
    bundle,
    backend: chosenBackend,
    announce: hooks.announce,
    onProgress: hooks.onProgress,
    seed: place.seed,
  });
  embeddedBackend().prewarm(bundle);
  goToPlace(session, place);
  const unfollow = followPlace(session);
  open = {
    id,
    close() {
      unfollow();
      session.close();
    },
  };
  const close = (): void => {
    open?.close();
    open = undefined;
    render(null, host);
    hooks.onClose();
  };
  render(<Workspace session={session} onClose={close} />, host);
}

async function readBundle(id: string, asked: Promise<Response>): Promise<ExerciseBundle> {
  const response = await asked;
  if (!response.ok) throw new Error(`the exercise ${id} is not there: ${response.status}`);
  return (await response.json()) as ExerciseBundle;
}
