import { useCallback } from "preact/hooks";
import type { Evaluation as Figures, IntervalOf } from "../../api/types";
import { Histogram } from "../../charts/histogram";
import { color } from "../../charts/theme";
import { count, fixed, percent, whole } from "../../format";
import { Facts } from "../../ui/facts";
import { Note } from "../../ui/state";

/** What the datamodels are worth on subsets they never saw, beside what seed noise allows. */
export function Evaluation({ evaluation }: { evaluation: Figures }) {
  const { lds, lds_ceiling, lds_one, lds_one_ceiling, replicates, histogram } = evaluation;
  const few = evaluation.targets_judged > 0 && evaluation.targets_judged < evaluation.targets;
  const judged = `${few ? `${whole(evaluation.targets_judged)} of ` : ""}${whole(evaluation.targets)}`;
  const runs = replicates === 1 ? "one run" : `mean of ${replicates} runs`;
  const marks = useCallback(
    () => [
      { at: lds.value ?? NaN, color: color("help"), label: "mean" },
      ...(lds_ceiling === null ? [] : [{ at: lds_ceiling, color: color("harm"), dash: [4, 3], label: "upper bound" }]),
    ],
    [evaluation],
  );
  return (
    <section class="section" aria-label="Evaluation">
      <h2>Evaluation</h2>
      <p class="quiet">
        The evaluation compares predicted and actual outputs on {count(evaluation.subsets, "held-out subset")} ({runs}{" "}
        each). The LDS of a target is the Spearman correlation over these subsets; scores are means over {judged}{" "}
        targets. A ceiling is an upper bound on the score of a perfect predictor, because outputs differ between
        training seeds.
      </p>
      {evaluation.notes.map((note) => (
        <Note key={note}>Note: {note}.</Note>
      ))}
      {evaluation.fit_notes.map((note) => (
        <Note key={note}>Warning of the fit: {note}.</Note>
      ))}
      <div class="columns">
        <div class="section">
          <div class="scrolls" tabIndex={0} role="region" aria-label="Linear datamodeling score">
            <table>
              <caption class="hidden">Linear datamodeling score</caption>
              <thead>
                <tr>
                  <th scope="col">LDS against</th>
                  <th scope="col" class="number">
                    score
                  </th>
                  <th scope="col" class="number">
                    95 % interval
                  </th>
                  <th scope="col" class="number">
                    ceiling (upper bound)
                  </th>
                </tr>
              </thead>
              <tbody>
                <Score name={runs} score={lds} ceiling={lds_ceiling} />
                {replicates > 1 && <Score name="one run" score={lds_one} ceiling={lds_one_ceiling} />}
                {evaluation.baselines.map(({ name, lds: score }) => (
                  <Score
                    key={name}
                    name={`${runs}; baseline: ${name}`}
                    score={{ value: score, low: null, high: null }}
                    ceiling={lds_ceiling}
                  />
                ))}
              </tbody>
            </table>
          </div>
          <Facts
            facts={[
              ["Pearson, per target", fixed(evaluation.pearson, 3)],
              ["R²", fixed(evaluation.r2, 3)],
              ["Mean squared error", `${fixed(evaluation.mse, 3)} (noise floor ${fixed(evaluation.mse_floor, 3)})`],
              ["Variance that is seed noise", percent(evaluation.noise_share)],
              [
                "Pooled over targets",
                `Spearman ${fixed(evaluation.pooled_spearman, 3)}, Pearson ${fixed(evaluation.pooled_pearson, 3)}; these mostly show how targets differ from each other`,
              ],
              ["Models fitted on", whole(evaluation.models_fitted)],
            ]}
          />
        </div>
        <Histogram
          edges={histogram.edges}
          counts={histogram.counts}
          x="LDS of a target"
          y="targets"
          marks={marks}
          label={`Histogram of the LDS of ${count(evaluation.targets, "target")}: mean ${fixed(lds.value, 3)}, upper bound ${fixed(lds_ceiling, 3)}.`}
        />
      </div>
    </section>
  );
}

function Score({ name, score, ceiling }: { name: string; score: IntervalOf; ceiling: number | null }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">
        <b>{fixed(score.value, 3)}</b>
      </td>
      <td class="number">{score.low === null ? "–" : `${fixed(score.low, 3)} to ${fixed(score.high, 3)}`}</td>
      <td class="number">{fixed(ceiling, 3)}</td>
    </tr>
  );
}
