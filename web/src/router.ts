/** Every view has a URL in the fragment, so that links work from a server and from a file alike. */

export const VIEWS = ["targets", "target", "unit", "map", "clusters", "leakage", "compare", "study"] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  view: View;
  /** Number of the target or unit, or what a map is of. */
  arg: string | null;
  query: Record<string, string>;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [name, arg] = path.split("/").map(decode);
  const view = VIEWS.find((known) => known === name) ?? "targets";
  return { view, arg: arg || null, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** The fragment of a view; null, undefined, false and empty values leave the query. */
export function href(view: View, arg?: string | number | null, query: Query = {}): string {
  const kept = Object.entries(query).filter(([, v]) => v !== null && v !== undefined && v !== "" && v !== false);
  const search = new URLSearchParams(kept.map(([k, v]) => [k, String(v)])).toString();
  const path = arg === null || arg === undefined ? view : `${view}/${encodeURIComponent(arg)}`;
  return `#/${path}${search && `?${search}`}`;
}

export function go(to: string, replace = false): void {
  if (replace) location.replace(to);
  else location.hash = to;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
