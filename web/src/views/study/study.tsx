import { useStudy } from "../../fit";
import { count, percent, whole } from "../../format";
import { Facts } from "../../ui/facts";
import { Note } from "../../ui/state";
import { Curve } from "./curve";
import { Evaluation } from "./evaluation";
import { Progress } from "./progress";

/** What was run, how it stands, what it is worth, and where it comes from. */
export function StudyView() {
  const { study } = useStudy();
  return (
    <article class="section spaced">
      <div class="head">
        <h1>{study.name}</h1>
        {study.task && <p class="quiet">{study.task}</p>}
      </div>
      <div class="columns">
        <section class="section" aria-label="What was run">
          <h2>What was run</h2>
          <Facts
            facts={[
              ["Models", whole(study.models)],
              ["Units", count(study.n, study.unit_name)],
              ["α", study.alpha.join(", ")],
              study.seed === null ? null : ["Seed", String(study.seed)],
              [
                "Outputs",
                Object.entries(study.outputs)
                  .map(([name, shape]) => `${name} [${shape.join(", ")}]`)
                  .join("; "),
              ],
              study.accuracy === null
                ? null
                : ["Right answers", `${percent(study.accuracy, 1)}, mean over models and targets`],
              ["Fits", study.fits.map(({ ref }) => ref).join(", ") || "none yet"],
            ]}
          />
          {study.why_not && <Note>{study.why_not}</Note>}
        </section>
        <Progress />
      </div>
      {study.weak && <Note>{study.weak}</Note>}
      {study.evaluation ? (
        <Evaluation evaluation={study.evaluation} />
      ) : (
        study.no_evaluation && <Note>{study.no_evaluation}</Note>
      )}
      {study.fit && <Curve />}
      {study.provenance && <Provenance />}
    </article>
  );
}

function Provenance() {
  const provenance = useStudy().study.provenance!;
  return (
    <section class="section" aria-label="Provenance">
      <h2>Provenance</h2>
      <div class="columns">
        {provenance.facts.map(({ title, rows }) => (
          <section class="section" key={title} aria-label={title}>
            <h3>{title}</h3>
            <Facts facts={rows.map(([name, value]) => [name!, value!])} />
          </section>
        ))}
      </div>
      {provenance.commands.length > 0 && (
        <>
          <h3>To make it again</h3>
          <pre class="commands" tabIndex={0}>
            {provenance.commands.join("\n")}
          </pre>
        </>
      )}
      {provenance.remarks.map((remark) => (
        <Note key={remark}>{remark}</Note>
      ))}
    </section>
  );
}
