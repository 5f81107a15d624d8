import type { TargetDetail } from "../../api/types";
import { useFit } from "../../fit";
import { fixed, percent, whole } from "../../format";
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
          ["LDS", `${fixed(detail.lds)} (ceiling ${fixed(detail.lds_ceiling)})`],
          ["Support", `${whole(detail.support)} of ${whole(study.n)} ${study.units_name}`],
          ["λ", detail.lam === null ? "–" : detail.lam.toPrecision(2)],
          detail.shown.note ? ["Note", detail.shown.note] : null,
        ]}
      />
    </section>
  );
}
