/** Answers requests from what a static export holds, as the server would. */

import type { Export } from "./embedded";
import { type Page, select } from "./select";

const WORDS: [path: RegExp, sentence: string][] = [
  [
    /^\/api\/targets\/\d+/,
    "This export does not hold this target in full. Open the study with subtrain explore to see it.",
  ],
  [
    /^\/api\/units\/\d+/,
    "This export does not hold this training example. Open the study with subtrain explore to see it.",
  ],
];
const OTHERWISE = "This export does not hold this answer. Open the study with subtrain explore to see it.";

export function answerFrom({ answers, fit }: Export): (request: Request) => Promise<Response> {
  return async (request) => {
    const url = new URL(request.url);
    if (url.searchParams.get("fit") === fit) url.searchParams.delete("fit");
    const key = keyOf(url);
    if (request.method === "GET" && key in answers) return reply(answers[key], 200);
    const rows = answers[url.pathname];
    if (request.method === "GET" && isPage(rows)) return reply(select(rows, url.searchParams), 200);
    const known = WORDS.find(([path]) => path.test(url.pathname));
    return reply({ detail: known ? known[1] : OTHERWISE }, 404);
  };
}

/** A request's path and sorted query. */
export function keyOf(url: URL): string {
  const query = [...url.searchParams].sort(([a], [b]) => (a < b ? -1 : 1));
  return url.pathname + (query.length ? `?${new URLSearchParams(query)}` : "");
}

function isPage(value: unknown): value is Page {
  return typeof value === "object" && value !== null && Array.isArray((value as Page).items);
}

function reply(body: unknown, status: number): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}
