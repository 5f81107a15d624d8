/** The static export carries its answers in the page: by API path and query, pictures as data URLs. */

export interface Export {
  fit: string;
  made: string;
  /** What is in the export, in a sentence. */
  note: string;
  answers: Record<string, unknown>;
}

const element = document.getElementById("subtrain-data");

export const embedded: Export | null = element ? JSON.parse(element.textContent || "null") : null;

/** Where the server lies, without the last slash: a proxy may serve it below any path, and need not end that with one. */
export const home = location.origin + location.pathname.replace(/\/+$/, "");

/** Where an image lies: its path on the server, or the data URL that the export holds for it. */
export function imageSource(path: string): string | null {
  if (!embedded) return home + path;
  const data = embedded.answers[path];
  return typeof data === "string" && data.startsWith("data:image/") ? data : null;
}
