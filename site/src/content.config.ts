/** The lessons: MDX files that lie outside the site, so that prose does not depend on how it is shown. */
import { defineCollection } from "astro:content";
import { glob } from "astro/loaders";
import { z } from "astro/zod";

const lessons = defineCollection({
  loader: glob({ base: "../chapters", pattern: "*/[0-9]*.mdx" }),
  schema: z.strictObject({
    title: z.string().min(1),
    /** The chapter's id, which is the name of the folder. */
    chapter: z.string(),
    /** Position within the chapter. */
    order: z.number().int(),
    summary: z.string().min(1),
    /** Exercises in the order in which the lesson comes to them. */
    exercises: z.array(z.string()),
    /** Each finishes the sentence "After this lesson you can …". */
    outcomes: z.array(z.string()),
  }),
});

export const collections = { lessons };
