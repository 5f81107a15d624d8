/** How the points of a map fall into colored groups. */

export interface Grouped {
  number: readonly number[];
  x: readonly (number | null)[];
  label: readonly (string | null)[] | null;
  cluster: readonly number[] | null;
  error: readonly (number | null)[] | null;
}

export interface Group {
  name: string;
  /** Custom property that holds its color. */
  color: string;
  /** Places of its points in the map's columns. */
  at: number[];
}

export type Coloring = "class" | "cluster" | "error";

const CLASSES = 40;
const LEVELS = 5;

/** What a map can be colored by. */
export function colorings(map: Grouped): Coloring[] {
  const names: Coloring[] = [];
  if (map.label && new Set(map.label).size <= CLASSES) names.push("class");
  if (map.cluster) names.push("cluster");
  if (map.error) names.push("error");
  return names.length ? names : ["cluster"];
}

export function grouped(map: Grouped, by: Coloring): Group[] {
  if (by === "error" && map.error) return byLevel(map, map.error);
  const of =
    by === "class" && map.label ? map.label.map((label) => label ?? "none") : map.cluster?.map((c) => `cluster ${c}`);
  const groups = new Map<string, number[]>();
  placed(map).forEach((i) => {
    const name = of?.[i] ?? "all";
    const at = groups.get(name);
    if (at) at.push(i);
    else groups.set(name, [i]);
  });
  const names = [...groups.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return names.map((name, i) => ({ name, color: `ink-${i % 10}`, at: groups.get(name)! }));
}

/** Groups of equal width between no error and the largest one, from few to many. */
function byLevel(map: Grouped, error: readonly (number | null)[]): Group[] {
  const high = Math.max(...error.map((value) => value ?? 0), 1e-9);
  const at: number[][] = Array.from({ length: LEVELS }, () => []);
  for (const i of placed(map)) at[Math.min(LEVELS - 1, Math.floor(((error[i] ?? 0) / high) * LEVELS))]!.push(i);
  const edge = (level: number) => ((high * level) / LEVELS).toFixed(2);
  return at.map((places, level) => ({
    name: `error ${edge(level)}–${edge(level + 1)}`,
    color: `level-${level}`,
    at: places,
  }));
}

function placed(map: Grouped): number[] {
  return map.x.flatMap((x, i) => (x === null ? [] : [i]));
}
