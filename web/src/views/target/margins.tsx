import { useCallback } from "preact/hooks";
import type { TargetDetail } from "../../api/types";
import { Histogram } from "../../charts/histogram";
import { color } from "../../charts/theme";
import { useFit } from "../../fit";
import { capital, count, fixed, percent } from "../../format";
import { hasZero } from "../../words";
import { type Weight, without } from "../../whatif";

interface Props {
  detail: TargetDetail;
  weights: readonly Weight[];
  removed: ReadonlySet<number>;
}

/** How the output spreads over models, with the what-if's prediction drawn into it. */
export function Margins({ detail, weights, removed }: Props) {
  const { study } = useFit();
  const { edges, counts } = detail.margins;
  const models = detail.models;
  const after = removed.size > 0 ? without(detail, weights, removed) : null;
  const marks = useCallback(
    () => [
      ...(hasZero(study.words) ? [{ at: 0, color: color("text") }] : []),
      { at: detail.full, color: color("help"), dash: [5, 3], label: "trained on all" },
      ...(after === null ? [] : [{ at: after, color: color("harm"), label: "without the removed examples" }]),
    ],
    [detail, after, study],
  );
  const right = detail.accuracy === null ? "" : ` ${percent(detail.accuracy, 1)} of the models are right.`;
  const label = `Histogram of the ${study.words.output} of ${count(models, "model")} on this target: mean ${fixed(detail.margin)}.${right} Predicted for training on all: ${fixed(detail.full)}.`;
  return (
    <section class="section" aria-label={`Distribution of the ${study.words.short}`}>
      <h2>
        {capital(study.words.output)} of {count(models, "model")}
      </h2>
      <p class="quiet small">
        Each model was trained on {detail.alpha === 1 ? "all" : percent(detail.alpha)} of the {study.units_name}. The
        dashed line shows the prediction for a model that is trained on all of them: {detail.level_said}.
      </p>
      <Histogram edges={edges} counts={counts} x={study.words.output} y="models" label={label} marks={marks} />
    </section>
  );
}
