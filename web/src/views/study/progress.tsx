import type { Status } from "../../api/types";
import { useStudy } from "../../fit";
import { count, duration, whole } from "../../format";
import { Failure, Note, Waiting } from "../../ui/state";

/** How collection stands, live. */
export function Progress() {
  const { status, error } = useStudy().live;
  return (
    <section class="section" aria-label="Collection">
      <h2>Collection{status?.state === "running" && <span class="live">live</span>}</h2>
      {error && <Failure>{error}</Failure>}
      {!status && !error && <Waiting what="the state of the collection" />}
      {status && <Standing status={status} />}
    </section>
  );
}

function Standing({ status }: { status: Status }) {
  return (
    <>
      <Share name="For fitting" done={status.fit_committed} of={status.fit_models} />
      <Share name="Held out" done={status.evaluation_committed} of={status.evaluation_models} />
      <p class="quiet">
        {status.state === "done" && "All models are trained."}
        {status.state === "stopped" && "No process is collecting now. Run subtrain collect to train the rest."}
        {status.state === "running" &&
          `${status.rate.toFixed(1)} models a second${status.eta_s === null ? "" : `, ${duration(status.eta_s)} to go`}.`}
      </p>
      {status.failed > 0 && (
        <Note>
          {count(status.failed, "model")} failed, for example model {status.failures[0]?.model}:{" "}
          {status.failures[0]?.why}
        </Note>
      )}
    </>
  );
}

function Share({ name, done, of }: { name: string; done: number; of: number }) {
  return (
    <label class="share">
      <span>{name}</span>
      <progress max={of || 1} value={done} />
      <span class="number">
        {whole(done)} of {whole(of)}
      </span>
    </label>
  );
}
