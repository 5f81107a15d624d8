import { api } from "../../api/client";
import type { TargetDetail } from "../../api/types";
import { useAnswer } from "../../api/use";
import type { Weight } from "../../whatif";

/** The target's weights, largest absolute value first: all of them once they are read, those listed until then. */
export function useWeights(detail: TargetDetail | null, fit: string | null): Weight[] {
  const target = detail?.shown.number ?? null;
  const { data } = useAnswer(target === null ? null : `weights ${fit} ${target}`, () => api.weights(target!, fit));
  if (data && data.target === target) return data.weights;
  return detail
    ? [...detail.helpful, ...detail.harmful].map(({ unit, weight }) => ({ unit: unit.number, weight }))
    : [];
}
