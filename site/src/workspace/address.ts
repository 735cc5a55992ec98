/**
 * Where the learner is, as part of the address: `?exercise=…&pane=results&test=known-answers&seed=7`. A link to it
 * opens the lesson with that exercise, that pane and that seed; one that names a test runs the tests and shows it.
 */
import { effect } from "@preact/signals";
import { seedDefault } from "#exercises/lib/seed.ts";
import { pane, showPane } from "./pane.ts";
import { panels, type Panel, type Session } from "./session.ts";

/** The parts of an address that the workspace understands. `text` and `code` are panes of narrow windows. */
export interface Place {
  readonly pane: Panel | "text" | "code" | undefined;
  /** The id of a test. */
  readonly test: string | undefined;
  readonly seed: number | undefined;
}

export function readPlace(search: string): Place {
  const parameters = new URLSearchParams(search);
  const name = parameters.get("pane");
  const seed = Number(parameters.get("seed") ?? Number.NaN);
  const isSeed = parameters.get("seed") !== "" && Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32;
  return {
    pane: ([...panels, "text", "code"] as const).find((candidate) => candidate === name),
    test: parameters.get("test") ?? undefined,
    seed: isSeed ? seed : undefined,
  };
}

/** The address of a place; what is as usual is left out. */
export function addressOf(here: string, id: string, place: Place): URL {
  const address = new URL(here);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  };
  set("exercise", id);
  set("pane", place.pane === "task" ? undefined : place.pane);
  set("test", place.test);
  set("seed", place.seed === undefined || place.seed === seedDefault ? undefined : String(place.seed));
  return address;
}

/** Goes to the place that the address names. */
export function goToPlace(session: Session, place: Place): void {
  const { exercise } = session.bundle;
  if (place.pane === "text") showPane("prose");
  else if (place.pane !== undefined && place.pane !== "code") {
    session.panel.value = place.pane;
    showPane("results");
  }
  if (place.test === undefined) return;
  if (!exercise.tests.some(({ id }) => id === place.test)) {
    const text = `The link names a test that this exercise does not have: ${place.test}.`;
    session.toast.value = { text };
    session.announce(text);
    return;
  }
  session.target.value = place.test;
  showPane("results");
  void session.run();
}

/** Keeps the address at where the learner is, without adding to the browser's history. */
export function followPlace(session: Session): () => void {
  return effect(() => {
    const isText = pane.value === "prose" && matchMedia("(width < 62rem)").matches;
    const place = {
      pane: isText ? ("text" as const) : session.panel.value,
      test: session.target.value,
      seed: session.seed.value,
    };
    const address = addressOf(location.href, session.bundle.exercise.id, place);
    if (address.href !== location.href) history.replaceState(null, "", address);
  });
}
