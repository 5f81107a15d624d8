import { useEffect, useState } from "preact/hooks";
import { api } from "../api/client";
import { embedded } from "../api/embedded";
import type { Pair, Shown } from "../api/types";
import { forget, useJob } from "../api/use";
import { useFit } from "../fit";
import { capital, count, fixed, signed, whole } from "../format";
import { go } from "../router";
import { Caption, Example } from "../ui/example";
import { Failure, JobState, Note } from "../ui/state";
import { useKeys } from "../ui/keys";

type Decision = "yes" | "no" | "skip";

/** Targets and training examples that may be the same, one pair at a time, with a decision for each. */
export function LeakageView({ query }: { query: Record<string, string> }) {
  const { fit } = useFit();
  const answer = useJob(`leakage ${fit}`, () => api.leakage(fit));
  useEffect(() => () => forget("leakage "), []);
  const pairs = answer.data?.state === "done" ? answer.data.items : null;
  return (
    <>
      <div class="head">
        <h1>Leakage review</h1>
        {pairs && <p class="quiet">Is the target in the training set?</p>}
      </div>
      <JobState answer={answer} what="the suspect pairs" />
      {pairs?.length === 0 && <Note>No pair is suspect.</Note>}
      {pairs && pairs.length > 0 && <Review key={fit} pairs={pairs} total={answer.data!.total} at={query.pair} />}
    </>
  );
}

function Review({ pairs, total, at }: { pairs: readonly Pair[]; total: number; at: string | undefined }) {
  const { fit, href } = useFit();
  const [made, setMade] = useState(() => new Map(pairs.map((pair) => [pair.pair, pair.decision])));
  const [error, setError] = useState<string | null>(null);
  const place = Math.max(
    0,
    at ? pairs.findIndex(({ pair }) => pair === at) : pairs.findIndex((pair) => !pair.decision),
  );
  const current = pairs[place]!;
  const show = (to: number) => pairs[to] && go(href("leakage", null, { pair: pairs[to].pair }), true);
  const decide = async (decision: Decision) => {
    try {
      await api.decide(current.pair, decision, fit);
      setMade(new Map(made).set(current.pair, decision));
      setError(null);
      show(place + 1);
    } catch (reason) {
      setError((reason as Error).message);
    }
  };
  useKeys({
    y: () => decide("yes"),
    n: () => decide("no"),
    s: () => decide("skip"),
    ArrowLeft: () => show(place - 1),
    ArrowRight: () => show(place + 1),
  });
  const decided = pairs.filter(({ pair }) => made.get(pair)).length;
  return (
    <>
      <p role="status">
        Pair {place + 1} of {whole(pairs.length)}
        {total > pairs.length ? ` (the most suspect of ${whole(total)})` : ""}, {decided} decided
      </p>
      <Side pair={current} decision={made.get(current.pair) ?? null} />
      {embedded ? (
        <Note>This page is an export. Open the study with subtrain explore to record decisions.</Note>
      ) : (
        <Decide decide={decide} />
      )}
      {error && <Failure>{error}</Failure>}
      <div class="row">
        <button type="button" onClick={() => show(place - 1)} disabled={place === 0}>
          ← Previous
        </button>
        <button type="button" onClick={() => show(place + 1)} disabled={place === pairs.length - 1}>
          Next →
        </button>
        {!embedded && (
          <a class="button" href={api.exportUrl(fit)} download="leakage.csv">
            Download decisions (CSV)
          </a>
        )}
      </div>
      <List pairs={pairs} made={made} current={current} />
    </>
  );
}

function Side({ pair, decision }: { pair: Pair; decision: string | null }) {
  return (
    <section class="section" aria-label="The pair">
      <div class="pair">
        <One shown={pair.target} kind="target" />
        <One shown={pair.unit} kind="unit" />
      </div>
      <p>
        {capital(pair.reason)}. Score {fixed(pair.score)}, weight {signed(pair.weight, 3)}.
        {decision && <Decided decision={decision} />}
      </p>
    </section>
  );
}

function One({ shown, kind }: { shown: Shown; kind: "target" | "unit" }) {
  const { href } = useFit();
  return (
    <figure>
      <Example shown={shown} side={300} lazy={false} />
      <figcaption>
        <a href={href(kind, shown.number)}>
          <Caption shown={shown} />
        </a>
      </figcaption>
    </figure>
  );
}

function Decide({ decide }: { decide: (decision: Decision) => void }) {
  return (
    <div class="row">
      <button type="button" class="primary" onClick={() => decide("yes")}>
        Yes, the same <kbd>y</kbd>
      </button>
      <button type="button" onClick={() => decide("no")}>
        No <kbd>n</kbd>
      </button>
      <button type="button" onClick={() => decide("skip")}>
        Skip <kbd>s</kbd>
      </button>
    </div>
  );
}

const WORDS: Record<string, string> = { yes: "the same", no: "not the same", skip: "skipped" };

function Decided({ decision }: { decision: string }) {
  return <span class={`decision-${decision}`}> Decided: {WORDS[decision]}.</span>;
}

interface ListProps {
  pairs: readonly Pair[];
  made: ReadonlyMap<string, string | null>;
  current: Pair;
}

function List({ pairs, made, current }: ListProps) {
  const { href } = useFit();
  return (
    <details>
      <summary>All {count(pairs.length, "pair")}</summary>
      <div class="scrolls" tabIndex={0} role="region" aria-label="All pairs">
        <table>
          <thead>
            <tr>
              <th scope="col">Target</th>
              <th scope="col">Training example</th>
              <th scope="col" class="number">
                Score
              </th>
              <th scope="col">Decision</th>
            </tr>
          </thead>
          <tbody>
            {pairs.map((pair) => (
              <tr key={pair.pair} aria-current={pair === current ? "true" : undefined}>
                <td>
                  <a href={href("leakage", null, { pair: pair.pair })}>{pair.target.name}</a>
                </td>
                <td>{pair.unit.name}</td>
                <td class="number">{fixed(pair.score)}</td>
                <td>{WORDS[made.get(pair.pair) ?? ""] ?? "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
