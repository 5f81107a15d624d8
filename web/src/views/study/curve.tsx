import { useMemo } from "preact/hooks";
import { api } from "../../api/client";
import type { Curve as Points } from "../../api/types";
import { useJob } from "../../api/use";
import { Lines } from "../../charts/lines";
import { useStudy } from "../../fit";
import { count, fixed, whole } from "../../format";
import { JobState, Note } from "../../ui/state";

/** How the score grows with the number of models; the server computes it when it is first asked for. */
export function Curve() {
  const { fit } = useStudy();
  const answer = useJob(`curve ${fit}`, () => api.curve(fit));
  return (
    <section class="section" aria-label="Learning curve">
      <h2>Learning curve</h2>
      <JobState answer={answer} what="the learning curve from fits on fewer models" />
      {answer.data?.state === "done" && <Drawn curve={answer.data} />}
    </section>
  );
}

function Drawn({ curve }: { curve: Points }) {
  const points = curve.points;
  const at = useMemo(() => points.map((point) => point.models), [points]);
  const lines = useMemo(
    () => [
      { y: points.map((point) => point.lds), color: "help", dots: true },
      { y: points.map((point) => point.ceiling), color: "harm", dash: [5, 4] },
    ],
    [points],
  );
  const band = useMemo(() => ({ low: points.map((p) => p.low), high: points.map((p) => p.high) }), [points]);
  if (points.length === 0) return <Note>There are too few models for a curve.</Note>;
  const last = points[points.length - 1]!;
  return (
    <>
      <p class="quiet">
        The curve shows the mean LDS of {whole(curve.targets)} targets on {count(curve.subsets ?? 0, "held-out subset")}
        (mean of {count(curve.replicates ?? 1, "run")} each). The band is its 95 % interval.
      </p>
      <ul class="legend">
        <li>
          <span class="swatch line" style={{ borderColor: "var(--help)" }} /> LDS
        </li>
        <li>
          <span class="swatch line dashed" style={{ borderColor: "var(--harm)" }} /> ceiling (upper bound)
        </li>
      </ul>
      <Lines
        at={at}
        lines={lines}
        band={band}
        x="models"
        y="LDS"
        log
        label={`LDS against the number of models: ${points.map((p) => `${fixed(p.lds, 3)} at ${whole(p.models)}`).join(", ")}; ceiling (upper bound) ${fixed(last.ceiling, 3)}.`}
      />
    </>
  );
}
