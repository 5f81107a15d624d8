/** Searches, filters, sorts and pages rows as the server does, for exports that hold them all. */

interface Row {
  number: number;
  name: string;
  label: string | null;
  text: string | null;
  row: Record<string, string> | null;
}

export interface Page {
  items: Row[];
}

const RANGE = /^(min|max)_(\w+)$/;

export function select<P extends Page>(page: P, query: URLSearchParams): P & { total: number; offset: number } {
  const found = page.items.filter((item) => [...query].every(([name, wanted]) => matches(item, name, wanted)));
  const sorted = sort(found, query.get("sort"));
  const offset = Number(query.get("offset") ?? 0);
  const limit = Number(query.get("limit") ?? sorted.length);
  return { ...page, items: sorted.slice(offset, offset + limit), total: sorted.length, offset };
}

function matches(item: Row, name: string, wanted: string): boolean {
  if (wanted === "") return true;
  const range = RANGE.exec(name);
  if (range) {
    const value = number(item, range[2]!);
    return value !== null && (range[1] === "min" ? value >= Number(wanted) : value <= Number(wanted));
  }
  switch (name) {
    case "q":
      return contains(item, wanted);
    case "label":
      return item.label === wanted;
    case "correct": {
      const share = number(item, "correct");
      return share !== null && share > 0.5 === (wanted === "true");
    }
    case "only":
      return wanted.split(",").includes(String(item.number));
    default:
      return true;
  }
}

function contains(item: Row, wanted: string): boolean {
  const texts = [item.name, item.number, item.label, item.text, ...Object.values(item.row ?? {})];
  const words = texts.join(" ").toLowerCase();
  return wanted
    .toLowerCase()
    .split(/\s+/)
    .every((word) => words.includes(word));
}

function sort(items: Row[], order: string | null): Row[] {
  if (!order) return items;
  const name = order.replace("-", "");
  const sign = order.startsWith("-") ? -1 : 1;
  if (name === "label")
    return items.toSorted((a, b) => sign * String(a.label).localeCompare(String(b.label), "en", { numeric: true }));
  const key = name === "target" || name === "unit" ? "number" : name;
  return items.toSorted((a, b) => compare(number(a, key), number(b, key), sign));
}

/** What does not exist comes last, whichever way the rest is sorted. */
function compare(a: number | null, b: number | null, sign: number): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return sign * (a - b);
}

function number(item: Row, name: string): number | null {
  const value = (item as unknown as Record<string, unknown>)[name];
  return typeof value === "number" ? value : null;
}
