/** A datamodel is a sum, so leaving examples out is subtraction (paper, section 3.1). */

export interface Weight {
  unit: number;
  weight: number;
}

/** Predicted output of a model trained on every unit but the removed ones. */
export function without(full: number, weights: readonly Weight[], removed: ReadonlySet<number>): number {
  return weights.reduce((sum, { unit, weight }) => (removed.has(unit) ? sum - weight : sum), full);
}

/** Predicted outputs after removing the first 0, 1, … of `order`: the path that a slider walks. */
export function removalPath(full: number, order: readonly Weight[]): number[] {
  const path = [full];
  for (const { weight } of order) path.push(path[path.length - 1]! - weight);
  return path;
}

/** How many must go before the predicted output changes sign; null if all of `order` do not suffice. */
export function toCrossZero(full: number, order: readonly Weight[]): number | null {
  const at = removalPath(full, order).findIndex((value) => full !== 0 && Math.sign(value) !== Math.sign(full));
  return at < 0 ? null : at;
}

/** "3,5,8" as a set of unit numbers; anything else in it is left out. */
export function parseUnits(text: string | undefined): Set<number> {
  return new Set(
    (text ?? "")
      .split(",")
      .filter((part) => /^\d+$/.test(part))
      .map(Number),
  );
}

export function formatUnits(units: ReadonlySet<number>): string {
  return [...units].sort((a, b) => a - b).join(",");
}
