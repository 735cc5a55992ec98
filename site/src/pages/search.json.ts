/** All that can be searched, as one file that a page fetches when its reader begins to search. */
import { render } from "astro:content";
import type { APIRoute } from "astro";
import { errorPages, limitPages } from "../lib/reference-pages.ts";
import { exerciseBundles } from "../lib/exercises.ts";
import { allLessons, type Lesson } from "../lib/lessons.ts";
import { plainText, sectionsOf } from "../lib/plain-text.ts";
import type { SearchDocument } from "../search/find.ts";

export const GET: APIRoute = async () => {
  const lessons = await allLessons();
  const sections = (await Promise.all(lessons.map(lessonDocuments))).flat();
  const lessonOf = (id: string): Lesson | undefined =>
    lessons.find(({ data }) => data.exercises.includes(id));
  const exercises = exerciseBundles.map(({ exercise }): SearchDocument => {
    const { id, title, number, summary, rules, objectives } = exercise;
    const texts = [summary, ...rules.map(({ must }) => must), ...Object.values(objectives)];
    return {
      id: `${lessonOf(id)?.id ?? ""}/?exercise=${id}`,
      kind: "exercise",
      title,
      heading: number,
      text: plainText(texts.join("\n")),
    };
  });
  const errors = errorPages.map(({ path, name, code, help }): SearchDocument => {
    return { id: path, kind: "error", title: name, heading: `code ${code}`, text: help };
  });
  const limits = limitPages.map(({ path, name, value, meaning }): SearchDocument => {
    return {
      id: path,
      kind: "limit",
      title: name,
      heading: value.toLocaleString("en"),
      text: plainText(meaning),
    };
  });
  return Response.json([...sections, ...exercises, ...errors, ...limits]);
};

/** One document for each section, so that a reader lands where the words stand. */
async function lessonDocuments(lesson: Lesson): Promise<SearchDocument[]> {
  const { headings } = await render(lesson);
  const anchors = headings.filter(({ depth }) => depth === 2 || depth === 3);
  return sectionsOf(lesson.body ?? "").map(({ heading, text }, index) => {
    const anchor = anchors[index - 1];
    const isBeginning = heading === undefined || anchor === undefined;
    return {
      id: isBeginning ? `${lesson.id}/` : `${lesson.id}/#${anchor.slug}`,
      kind: "lesson",
      title: lesson.data.title,
      heading: heading ?? "",
      text: isBeginning ? `${lesson.data.summary} ${text}` : text,
    };
  });
}
