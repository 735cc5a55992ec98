/**
 * Live pictures: each is fetched when the reader comes near it and not before. Until then, and without script, its
 * place shows the same as text.
 */
import styles from "../styles/pictures.css?url";
import { addStyles } from "./styles.ts";

const pictures: Readonly<Record<string, () => Promise<{ readonly mount: (stage: HTMLElement) => void }>>> = {
  "frame-inspector": () => import("../pictures/frame-inspector.tsx"),
  "stream-splitter": () => import("../pictures/stream-splitter.tsx"),
  "segment-viewer": () => import("../pictures/segment-viewer.tsx"),
  "crash-explorer": () => import("../pictures/crash-explorer.tsx"),
};

/** How far below the window a picture may be when it is fetched. */
const nearness = "600px";

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      void show(target as HTMLElement);
    }
  },
  { rootMargin: nearness },
);
for (const picture of document.querySelectorAll("[data-picture]")) observer.observe(picture);

async function show(picture: HTMLElement): Promise<void> {
  const stage = picture.querySelector<HTMLElement>("[data-stage]");
  const load = pictures[picture.dataset["picture"] ?? ""];
  if (stage === null || load === undefined) return;
  try {
    const [{ mount }] = await Promise.all([load(), addStyles(styles)]);
    stage.replaceChildren();
    mount(stage);
    picture.dataset["state"] = "live";
  } catch {
    // The text stays: all that the picture would have shown at first.
    picture.dataset["state"] = "text";
  }
}
