import { api } from "../api/client";
import type { Cluster } from "../api/types";
import { useJob } from "../api/use";
import { useFit } from "../fit";
import { count, signed, whole } from "../format";
import { Example } from "../ui/example";
import { JobState } from "../ui/state";
import { helping } from "../words";

/** Groups of targets that hang on the same training examples, and which examples those are. */
export function ClustersView() {
  const { fit } = useFit();
  const answer = useJob(`clusters ${fit}`, () => api.clusters(fit));
  const found = answer.data?.state === "done" ? answer.data : null;
  return (
    <>
      <div class="head">
        <h1>Clusters</h1>
        {found && (
          <p class="quiet">{count(found.items.length, "group")} of targets that depend on the same training data</p>
        )}
      </div>
      <JobState answer={answer} what="the groups of targets" />
      {found && <p class="quiet small">The groups come from {found.method}. Each weight is the mean over its group.</p>}
      {found?.items.map((cluster) => (
        <One key={cluster.cluster} cluster={cluster} />
      ))}
    </>
  );
}

const CLASSES = 4;

function One({ cluster }: { cluster: Cluster }) {
  const { href, study } = useFit();
  const labels = Object.entries(cluster.label_counts).sort(([, a], [, b]) => b - a);
  const main = labels.slice(0, CLASSES).map(([label, n]) => `${label} (${whole(n)})`);
  return (
    <section class="cluster" aria-label={`Cluster ${cluster.cluster}`}>
      <div class="head">
        <h2>Cluster {cluster.cluster}</h2>
        <p class="quiet">
          {count(cluster.size, "target")}
          {main.length > 0 && `, labels ${main.join(", ")}${labels.length > CLASSES ? " and others" : ""}`}
        </p>
        <a href={href("map", "targets", { by: "cluster", group: `cluster ${cluster.cluster}` })}>See all on the map</a>
      </div>
      <div class="columns">
        <div class="section">
          <h3>Some of its targets</h3>
          <ul class="strip">
            {cluster.examples.map((target) => (
              <li key={target.number}>
                <a href={href("target", target.number)} aria-label={target.alt}>
                  <Example shown={target} side={52} />
                </a>
              </li>
            ))}
          </ul>
        </div>
        <div class="section">
          <h3>The {study.units_name} they share</h3>
          <ul class="strip">
            {cluster.units.map(({ unit, weight }) => (
              <li key={unit.number}>
                <a href={href("unit", unit.number)} aria-label={`${unit.alt}, mean weight ${signed(weight, 3)}`}>
                  <Example shown={unit} side={52} />
                  <span class={weight * helping(study.words) < 0 ? "harm" : "help"}>{signed(weight, 3)}</span>
                </a>
              </li>
            ))}
          </ul>
        </div>
      </div>
    </section>
  );
}
