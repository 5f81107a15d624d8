import type { TargetDetail } from "../../api/types";
import { useFit } from "../../fit";
import { count, fixed, percent, whole } from "../../format";
import { Example } from "../../ui/example";
import { Facts } from "../../ui/facts";

/** The example itself, and what the models and the datamodel make of it. */
export function Summary({ detail }: { detail: TargetDetail }) {
  const { study } = useFit();
  return (
    <section class="summary" aria-label="The target">
      <Example shown={detail.shown} side={168} lazy={false} />
      <Facts
        facts={[
          ["Label", detail.shown.label ?? "–"],
          [`Mean ${study.words.short}`, fixed(detail.margin)],
          detail.accuracy === null ? null : ["Models that are right", percent(detail.accuracy, 1)],
          ["LDS", `${fixed(detail.lds)} (ceiling, upper bound: ${fixed(detail.lds_ceiling)})`],
          detail.support === null ? null : ["Support", support(detail.support, study.unit_name)],
          ["Weights not zero", `${whole(detail.nonzero)} of ${whole(study.n)}`],
          ["λ", detail.lam === null ? "–" : detail.lam.toPrecision(2)],
          detail.shown.note ? ["Note", detail.shown.note] : null,
        ]}
      />
    </section>
  );
}

/** The data support of the paper (section 4): how few of the most helpful examples hold the prediction up. */
function support(units: number, noun: string): string {
  return units === 0
    ? "0: the datamodel predicts a wrong answer already"
    : `the datamodel predicts a wrong answer without the top ${count(units, noun)}`;
}
