import { api } from "../../api/client";
import type { TargetDetail, Words } from "../../api/types";
import { useAnswer } from "../../api/use";
import type { Weight } from "../../whatif";

export type Side = "helpful" | "harmful";

/** The target's weights, largest absolute value first: all of them once they are read, those listed until then. */
export function useWeights(detail: TargetDetail | null, fit: string | null): Weight[] {
  const target = detail?.shown.number ?? null;
  const { data } = useAnswer(target === null ? null : `weights ${fit} ${target}`, () => api.weights(target!, fit));
  if (data && data.target === target) return data.weights;
  return detail
    ? [...detail.helpful, ...detail.harmful].map(({ unit, weight }) => ({ unit: unit.number, weight }))
    : [];
}

/** The weights of one side, strongest first. */
export function order(weights: readonly Weight[], side: Side): Weight[] {
  const sign = side === "helpful" ? 1 : -1;
  return weights.filter(({ weight }) => sign * weight > 0);
}

/** What the units of a side are called, which depends on whether a high output is good. */
export function heading(words: Words, side: Side): string {
  return side === "helpful" ? words.raising : words.lowering;
}
