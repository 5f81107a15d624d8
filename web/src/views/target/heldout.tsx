import { useMemo } from "preact/hooks";
import type { TargetDetail } from "../../api/types";
import { Scatter } from "../../charts/scatter";
import { useFit } from "../../fit";
import { count, fixed } from "../../format";
import { Note } from "../../ui/state";

/** Predicted against actual outputs on subsets never used in fitting, beside what noise allows. */
export function Heldout({ detail }: { detail: TargetDetail }) {
  const { study } = useFit();
  const held = detail.heldout;
  const clouds = useMemo(() => {
    const pairs = (held?.predicted ?? []).flatMap((x, i) =>
      x === null || held!.actual[i] == null ? [] : [[x, held!.actual[i]!] as const],
    );
    return [{ color: "ink-0", x: pairs.map(([x]) => x), y: pairs.map(([, y]) => y), id: pairs.map((_, i) => i) }];
  }, [held]);
  if (!held) return <Note>The study has no evaluation of this target on held-out subsets.</Note>;
  const runs = held.runs === 1 ? "one run" : `mean of ${held.runs} runs`;
  const score = `LDS ${fixed(detail.lds)}, ceiling (upper bound) ${fixed(detail.lds_ceiling)}`;
  return (
    <section class="section" aria-label="Predicted against actual">
      <h2>Predicted against actual</h2>
      <p class="quiet">
        {count(held.predicted.length, "held-out subset")}, {runs} each. {score}. A perfect predictor could reach the
        ceiling at most, because outputs differ between training seeds.
      </p>
      <div class="square">
        <Scatter
          clouds={clouds}
          x={`predicted ${study.words.output}`}
          y={`actual (${runs})`}
          diagonal
          label={`Scatter plot of predicted against actual ${study.words.output} on ${count(held.predicted.length, "held-out subset")}, ${runs} each. ${score}.`}
        />
      </div>
    </section>
  );
}
