/**
 * The search itself, without a page: an index over short documents, made in the browser from one file of texts.
 *
 * MiniSearch looks for words, for beginnings of words as they are typed, and for words with a slip in them. The texts
 * are sent and not an index: they are smaller, and they are needed for the excerpts anyway.
 */
import MiniSearch from "minisearch";

/** One thing that can be found. */
export interface SearchDocument {
  /** Its address within the site. */
  readonly id: string;
  readonly kind: "lesson" | "exercise" | "error" | "limit" | "page";
  /** The lesson, the exercise, the error. */
  readonly title: string;
  /** The heading within it; empty at its beginning. */
  readonly heading: string;
  readonly text: string;
}

export interface Found {
  readonly document: SearchDocument;
  /** A piece of the text around the first match, in parts that are matches or are not. */
  readonly excerpt: readonly { readonly text: string; readonly isMatch: boolean }[];
}

const foundMax = 20;
const excerptBefore = 50;
const excerptLength = 180;

/** Makes a function that finds. */
export function makeFinder(documents: readonly SearchDocument[]): (query: string) => Found[] {
  const byId = new Map(documents.map((document) => [document.id, document]));
  const index = new MiniSearch<SearchDocument>({
    fields: ["title", "heading", "text"],
    searchOptions: {
      boost: { title: 4, heading: 3 },
      prefix: (term) => term.length > 1,
      fuzzy: (term) => (term.length > 4 ? 0.2 : false),
      combineWith: "AND",
    },
  });
  index.addAll(documents);
  return (query) =>
    index
      .search(query)
      .slice(0, foundMax)
      .flatMap(({ id, terms }) => {
        const document = byId.get(String(id));
        return document === undefined ? [] : { document, excerpt: excerptOf(document.text, terms) };
      });
}

/** The words around the first match; the beginning when the match is in the title alone. */
export function excerptOf(text: string, terms: readonly string[]): Found["excerpt"] {
  const words = terms.map((term) => term.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(${words.join("|")})`, "giu");
  const first = words.length === 0 ? -1 : text.search(pattern);
  const begin = first <= excerptBefore ? 0 : text.indexOf(" ", first - excerptBefore) + 1;
  let piece = text.slice(begin, begin + excerptLength);
  if (begin + excerptLength < text.length) piece = `${piece.slice(0, piece.lastIndexOf(" "))} …`;
  if (begin > 0) piece = `… ${piece}`;
  if (words.length === 0) return [{ text: piece, isMatch: false }];
  return piece
    .split(pattern)
    .map((part, at) => ({ text: part, isMatch: at % 2 === 1 }))
    .filter((part) => part.text !== "");
}
