import { useEffect, useState } from "preact/hooks";
import { api } from "../../api/client";
import { embedded } from "../../api/embedded";
import type { Status } from "../../api/types";
import { count, duration, whole } from "../../format";
import { Failure, Note, Waiting } from "../../ui/state";

const RUNNING = 1000;
const IDLE = 5000;

/** How collection stands, asked again and again while the page is open. */
export function Progress() {
  const [status, setStatus] = useState<Status | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => follow(setStatus, setError), []);
  return (
    <section class="section" aria-label="Collection">
      <h2>Collection{status?.state === "running" && <span class="live">live</span>}</h2>
      {error && <Failure>{error}</Failure>}
      {!status && !error && <Waiting what="how it stands" />}
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
        {status.state === "done" && "All models are there."}
        {status.state === "stopped" && "Nobody is collecting now; subtrain collect goes on where it stopped."}
        {status.state === "running" &&
          `${status.rate.toFixed(1)} models a second${status.eta_s === null ? "" : `, ${duration(status.eta_s)} to go`}.`}
      </p>
      {status.failed > 0 && (
        <Note>
          {count(status.failed, "model")} failed, for example model {status.failures[0]?.model}: {status.failures[0]?.why}
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

/** Asks until told to stop; an export has one answer, which never changes. */
function follow(setStatus: (status: Status) => void, setError: (error: string | null) => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  let stopped = false;
  const ask = async () => {
    let wait = IDLE;
    try {
      const status = await api.status();
      if (stopped) return;
      setStatus(status);
      setError(null);
      wait = status.state === "running" ? RUNNING : IDLE;
    } catch (error) {
      if (stopped) return;
      setError((error as Error).message);
    }
    if (!embedded) timer = setTimeout(ask, wait);
  };
  void ask();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
