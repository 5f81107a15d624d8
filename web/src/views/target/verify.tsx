import { useEffect, useState } from "preact/hooks";
import { api, type Base } from "../../api/client";
import type { TargetDetail, Verification } from "../../api/types";
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
  const [base, setBase] = useState<Base>("full");
  const [job, setJob] = useState<Verification | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => poll(job, setJob, setError), [job]);
  if (!study.features.verify.available)
    return <Note>Retraining cannot verify this here. {study.features.verify.why}</Note>;
  const running = job !== null && (job.state === "queued" || job.state === "running");
  const start = () => {
    setError(null);
    api
      .verify(detail.shown.number, [...removed], runs, base, fit)
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
          <input
            type="number"
            min={2}
            max={MOST}
            value={runs}
            onInput={(event) => setRuns(Number((event.target as HTMLInputElement).value))}
          />{" "}
          runs
        </label>
        <label>
          among{" "}
          <select value={base} onChange={(event) => setBase((event.target as HTMLSelectElement).value as Base)}>
            <option value="full">all the others</option>
            <option value="alpha">random subsets</option>
          </select>
        </label>
        {running && (
          <button type="button" onClick={() => api.cancel(job.job).then(setJob, (e: Error) => setError(e.message))}>
            Stop
          </button>
        )}
      </div>
      {running && <Progress job={job} />}
      {job?.state === "done" && isOf(job, removed) && <Outcome job={job} />}
      {(error ?? job?.error) && <Failure>{error ?? job?.error}</Failure>}
    </form>
  );
}

/** Whether a result is of what is left out now; it comes back when that is chosen again. */
function isOf(job: Verification, removed: ReadonlySet<number>): boolean {
  return job.removed.length === removed.size && job.removed.every((unit) => removed.has(unit));
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
  const { predicted, observed } = job;
  const those = count(job.removed.length, "example");
  const rows: [string, number, Interval | null][] = [
    [`with the ${those}`, predicted.full, observed.full],
    ["without", predicted.removed, observed.removed],
    ["difference", predicted.removed - predicted.full, observed.effect],
  ];
  return (
    <>
      <table>
        <caption>
          Trained {job.runs} times{" "}
          {job.base === "full" ? `on all other ${study.units_name}` : "on random subsets of the others"}
        </caption>
        <thead>
          <tr>
            <th scope="col">{study.words.short}</th>
            {["predicted", "observed", "95 % interval"].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, guess, seen]) => seen && <Row key={name} name={name} guess={guess} seen={seen} />)}
        </tbody>
      </table>
      {job.base === "full" && (
        <p class="quiet small">
          The datamodel was fitted on subsets of the {study.units_name}, so its predictions for training on all of them
          are extrapolations. It predicts the difference best.
        </p>
      )}
    </>
  );
}

type Interval = NonNullable<Verification["observed"]["effect"]>;

function Row({ name, guess, seen }: { name: string; guess: number; seen: Interval }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">{fixed(guess)}</td>
      <td class="number">
        <b>{fixed(seen.mean)}</b>
      </td>
      <td class="number">
        {fixed(seen.low)} to {fixed(seen.high)}
      </td>
    </tr>
  );
}
