/** The lessons in the order of the course. */
import { getCollection, type CollectionEntry } from "astro:content";
import { chapters } from "./course.ts";
import { href } from "./links.ts";

export type Lesson = CollectionEntry<"lessons">;

export async function allLessons(): Promise<Lesson[]> {
  const rank = (lesson: Lesson): number => chapters.findIndex(({ id }) => id === lesson.data.chapter);
  const lessons = await getCollection("lessons");
  return lessons.toSorted((a, b) => rank(a) - rank(b) || a.data.order - b.data.order);
}

export async function lessonsOf(chapter: string): Promise<Lesson[]> {
  return (await allLessons()).filter((lesson) => lesson.data.chapter === chapter);
}

export function lessonHref(lesson: Lesson): string {
  return href(`${lesson.id}/`);
}

/** Minutes at 220 words a minute, code counted at half that speed; never less than one. */
export function readingMinutes(lesson: Lesson): number {
  const text = lesson.body ?? "";
  const words = text.split(/\s+/).length;
  const listings = [...text.matchAll(/<SourceCode/g)].length;
  return Math.max(1, Math.round(words / 220 + listings * 0.75));
}
