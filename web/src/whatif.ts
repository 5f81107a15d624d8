/** A datamodel is a sum, so leaving examples out is subtraction (paper, section 3.1). */

import type { TargetDetail } from "./api/types";

export interface Weight {
  unit: number;
  weight: number;
}

/** The predicted output of a model trained on every unit, and what fewer units do to it, whichever they are. */
export type Whole = Pick<TargetDetail, "full" | "level">;

/** Predicted output of a model trained on every unit but the removed ones. */
export function without(whole: Whole, weights: readonly Weight[], removed: ReadonlySet<number>): number {
  const sum = (left: number, { unit, weight }: Weight) => (removed.has(unit) ? left - weight : left);
  return weights.reduce(sum, whole.full) + lost(whole.level, removed.size);
}

/** Predicted outputs after removing the first 0, 1, … of `order`: the path that a slider walks. */
export function removalPath(whole: Whole, order: readonly Weight[]): number[] {
  let left = whole.full;
  const after = ({ weight }: Weight, at: number) => (left -= weight) + lost(whole.level, at + 1);
  return [whole.full, ...order.map(after)];
}

function lost(level: Whole["level"], removed: number): number {
  const { slope, bend, usual, units } = level;
  const place = (units - removed - usual) / (units - usual);
  return slope * (place - 1) + bend * (Math.max(place, 0) ** 2 - 1);
}

/** How many must go before the predicted output changes sign; null if all of `order` do not suffice. */
export function toCrossZero(whole: Whole, order: readonly Weight[]): number | null {
  const { full } = whole;
  const at = removalPath(whole, order).findIndex((value) => full !== 0 && Math.sign(value) !== Math.sign(full));
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
