/**
 * The page's side of the service worker: starts it once the page itself has loaded, says in the footer what works
 * without a network, and offers a new version when there is one. Nothing is reloaded before the reader says so.
 */
import { editorKindFor } from "../workspace/editor/editor.ts";
import { href } from "../lib/links.ts";
import type { FromWorker, ToWorker } from "../../worker/messages.ts";

const notes = {
  working: "Being kept on this device, so that it opens without a network …",
  ready: "Works offline: lessons, exercises and tests are kept on this device.",
  complete: "Works offline: lessons, exercises, tests and the editor are kept on this device.",
  failed: "Works only with a network: this browser could not keep the course.",
};

const root = document.documentElement;
let isAskedFor = false;

function note(state: keyof typeof notes): void {
  const place = document.querySelector<HTMLElement>("[data-offline]");
  if (place === null) return;
  place.textContent = notes[state];
  place.dataset["offline"] = state;
  place.hidden = false;
}

/** Starts the worker. In development there is none: it would keep the pages of yesterday. */
export function wireOffline(): void {
  const showNetwork = (): void => void root.classList.toggle("is-offline", !navigator.onLine);
  addEventListener("online", showNetwork);
  addEventListener("offline", showNetwork);
  showNetwork();
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const begin = (): void => void start().catch(() => note("failed"));
  if (document.readyState === "complete") begin();
  else addEventListener("load", begin);
}

async function start(): Promise<void> {
  const { serviceWorker } = navigator;
  const hadWorker = serviceWorker.controller !== null;
  if (!hadWorker) note("working");
  serviceWorker.addEventListener("controllerchange", () => {
    if (isAskedFor) location.reload();
    else if (hadWorker) offer("The course was updated in another window.", () => location.reload());
  });
  serviceWorker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
    if (data.kind === "editor-kept") note("complete");
  });
  const registration = await serviceWorker.register(href("sw.js"));
  watch(registration);
  registration.addEventListener("updatefound", () => watch(registration));
  const { active } = await serviceWorker.ready;
  note("ready");
  const isThrifty = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true;
  if (!isThrifty && editorKindFor("auto") === "monaco") send(active, { kind: "keep-editor" });
}

/** A worker that is installed while another one is in charge is a new version. */
function watch(registration: ServiceWorkerRegistration): void {
  const { installing, waiting, active } = registration;
  const isFirst = active === null;
  const show = (worker: ServiceWorker): void =>
    offer("There is a new version of the course.", () => {
      isAskedFor = true;
      send(worker, { kind: "take-over" });
    });
  if (waiting !== null && !isFirst) return show(waiting);
  installing?.addEventListener("statechange", () => {
    if (installing.state === "installed" && !isFirst) show(installing);
    if (installing.state === "redundant" && isFirst) note("failed");
  });
}

function send(worker: ServiceWorker | null, message: ToWorker): void {
  worker?.postMessage(message);
}

/** A bar at the bottom of the window, which covers nothing that has the focus and waits as long as it must. */
function offer(text: string, accept: () => void): void {
  document.querySelector(".update-bar")?.remove();
  const bar = Object.assign(document.createElement("div"), { className: "update-bar" });
  bar.setAttribute("role", "status");
  const button = (label: string, act: () => void): HTMLButtonElement => {
    const element = Object.assign(document.createElement("button"), {
      type: "button" as const,
      className: "button",
      textContent: label,
    });
    element.addEventListener("click", act);
    return element;
  };
  bar.append(
    Object.assign(document.createElement("span"), { textContent: text }),
    button("Reload", accept),
    button("Later", () => bar.remove()),
  );
  document.body.append(bar);
}
