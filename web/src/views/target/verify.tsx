import { useEffect, useState } from "preact/hooks";
import { api } from "../../api/client";
import type { Observed, TargetDetail, Verification } from "../../api/types";
import { useFit } from "../../fit";
import { count, fixed } from "../../format";
import { Failure, Note } from "../../ui/state";

const POLL = 400;
const MOST = 100;

interface Props {
  detail: TargetDetail;
  removed: ReadonlySet<number>;
}

/** Retrains models without the examples and shows what happened beside what was predicted. */
export function Verify({ detail, removed }: Props) {
  const { study, fit } = useFit();
  const [runs, setRuns] = useState(10);
  const [job, setJob] = useState<Verification | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => poll(job, setJob, setError), [job]);
  if (!study.features.verify.available) return <Note>This cannot be verified here. {study.features.verify.why}</Note>;
  const running = job !== null && (job.state === "queued" || job.state === "running");
  const start = () => {
    setError(null);
    api
      .verify(detail.shown.number, [...removed], runs, fit)
      .then(({ job }) => api.job(job))
      .then(setJob, (e: Error) => setError(e.message));
  };
  return (
    <form
      class="verify"
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      <div class="row">
        <button type="submit" class="primary" disabled={removed.size === 0 || running}>
          Verify
        </button>
        <label>
          with{" "}
          <input type="number" min={2} max={MOST} value={runs} onInput={(e) => setRuns(Number((e.target as HTMLInputElement).value))} />{" "}
          runs each
        </label>
        {running && (
          <button type="button" onClick={() => api.cancel(job.job).then(setJob, (e: Error) => setError(e.message))}>
            Stop
          </button>
        )}
      </div>
      {running && <Progress job={job} />}
      {job?.state === "done" && <Outcome job={job} />}
      {(error ?? job?.error) && <Failure>{error ?? job?.error}</Failure>}
    </form>
  );
}

function poll(job: Verification | null, setJob: (job: Verification) => void, setError: (error: string) => void) {
  if (!job || (job.state !== "queued" && job.state !== "running")) return;
  const timer = setTimeout(() => api.job(job.job).then(setJob, (e: Error) => setError(e.message)), POLL);
  return () => clearTimeout(timer);
}

function Progress({ job }: { job: Verification }) {
  return (
    <p class="row" role="status">
      <progress max={job.total} value={job.done} aria-label="Models trained" />
      <span>
        {job.done} of {count(job.total, "model")}
      </span>
    </p>
  );
}

function Outcome({ job }: { job: Verification }) {
  const { study } = useFit();
  const rows: [string, number, Observed | null][] = [
    ["trained on all", job.predicted.full, job.observed.full],
    [`without ${count(job.removed.length, "example")}`, job.predicted.removed, job.observed.removed],
  ];
  return (
    <table>
      <caption class="hidden">Predicted and observed {study.words.output}</caption>
      <thead>
        <tr>
          <th scope="col">{study.words.short}</th>
          <th scope="col" class="number">
            predicted
          </th>
          <th scope="col" class="number">
            observed
          </th>
          <th scope="col" class="number">
            95 % interval
          </th>
          <th scope="col" class="number">
            runs
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(
          ([name, value, observed]) =>
            observed && (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="number">{fixed(value)}</td>
                <td class="number">
                  <b>{fixed(observed.mean)}</b>
                </td>
                <td class="number">
                  {fixed(observed.low)} to {fixed(observed.high)}
                </td>
                <td class="number">{observed.runs}</td>
              </tr>
            ),
        )}
      </tbody>
    </table>
  );
}
