import { useEffect, useMemo } from "preact/hooks";
import { api } from "../../api/client";
import type { TargetDetail } from "../../api/types";
import { prefetch, useAnswer } from "../../api/use";
import { useFit } from "../../fit";
import { go } from "../../router";
import { Failure, Note, Waiting } from "../../ui/state";
import { formatUnits, parseUnits } from "../../whatif";
import { useWeights } from "./known";
import { Heldout } from "./heldout";
import { Margins } from "./margins";
import { Summary } from "./summary";
import { Weights } from "./weights";
import { WhatIf } from "./whatif";

/** One target: how the models do on it, which examples made them, and what they would do without some. */
export function TargetView({ target, query }: { target: number; query: Record<string, string> }) {
  const { study, fit, href } = useFit();
  const load = (number: number) => [`target ${fit} ${number}`, () => api.target(number, fit)] as const;
  const { data, error, waiting } = useAnswer(...load(target));
  useEffect(() => {
    for (const near of [data?.next, data?.previous]) if (near !== null && near !== undefined) prefetch(...load(near));
  }, [data]);
  const weights = useWeights(data, fit);
  const removed = useMemo(() => parseUnits(query.out), [query.out]);
  const setRemoved = (units: ReadonlySet<number>) => go(href("target", target, { out: formatUnits(units) }), true);
  if (error) return <Failure>{error}</Failure>;
  if (!data) return <Waiting what={`target ${target}`} />;
  const current = data.shown.number === target;
  return (
    <article class="section spaced" aria-busy={waiting || !current}>
      <Heading detail={data} />
      {study.weak && <Note>{study.weak}</Note>}
      <div class="columns">
        <Summary detail={data} />
        <Margins detail={data} weights={weights} removed={removed} />
      </div>
      <WhatIf key={data.shown.number} detail={data} weights={weights} removed={removed} setRemoved={setRemoved} />
      <div class="columns">
        <Weights side="helpful" detail={data} removed={removed} setRemoved={setRemoved} />
        <Weights side="harmful" detail={data} removed={removed} setRemoved={setRemoved} />
      </div>
      <Heldout detail={data} />
    </article>
  );
}

function Heading({ detail }: { detail: TargetDetail }) {
  const { href } = useFit();
  const step = (to: number | null, text: string, rel: string) =>
    to === null ? null : (
      <a class="button" rel={rel} href={href("target", to)}>
        {text}
      </a>
    );
  return (
    <div class="head">
      <h1>{detail.shown.name}</h1>
      {detail.shown.label !== null && <p class="quiet">label {detail.shown.label}</p>}
      <nav class="step" aria-label="Neighboring targets">
        {step(detail.previous, "← Previous", "prev")}
        {step(detail.next, "Next →", "next")}
      </nav>
    </div>
  );
}
