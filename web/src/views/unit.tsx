import { useState } from "preact/hooks";
import { api } from "../api/client";
import type { TargetWeight, UnitDetail } from "../api/types";
import { useAnswer } from "../api/use";
import { useFit } from "../fit";
import { count, percent, signed, whole } from "../format";
import { Example } from "../ui/example";
import { Facts } from "../ui/facts";
import { Failure, Note, Waiting } from "../ui/state";
import { Tiles } from "../ui/tiles";
import { helping } from "../words";

/** One training example: which targets it helps and hurts, and how often models saw it. */
export function UnitView({ unit }: { unit: number }) {
  const { study, fit, href } = useFit();
  const { data, error } = useAnswer(`unit ${fit} ${unit}`, () => api.unit(unit, fit));
  const [good, bad] = helping(study.words) > 0 ? ["Raises", "Lowers"] : ["Lowers", "Raises"];
  if (error) return <Failure>{error}</Failure>;
  if (!data) return <Waiting what={`${study.unit_name} ${unit}`} />;
  return (
    <article class="section spaced">
      <div class="head">
        <h1>{data.shown.name}</h1>
        {data.shown.label !== null && <p class="quiet">label {data.shown.label}</p>}
        <nav class="step" aria-label={`Neighboring ${study.units_name}`}>
          {data.previous !== null && (
            <a class="button" rel="prev" href={href("unit", data.previous)}>
              ← Previous
            </a>
          )}
          {data.next !== null && (
            <a class="button" rel="next" href={href("unit", data.next)}>
              Next →
            </a>
          )}
        </nav>
      </div>
      <UnitFacts detail={data} />
      <div class="columns">
        <Effects title={`${good} the ${study.words.short} of`} kind="help" effects={data.helps} of={data.helped} />
        <Effects title={`${bad} the ${study.words.short} of`} kind="harm" effects={data.hurts} of={data.hurt} />
      </div>
    </article>
  );
}

function UnitFacts({ detail }: { detail: UnitDetail }) {
  const { study } = useFit();
  const [up, down] = helping(study.words) > 0 ? [detail.helped, detail.hurt] : [detail.hurt, detail.helped];
  return (
    <section class="summary" aria-label="The example">
      <Example shown={detail.shown} side={168} lazy={false} />
      <Facts
        facts={[
          ["Label", detail.shown.label ?? "–"],
          ["Sum of its weights", signed(detail.effect)],
          ["Sum of its absolute weights", signed(detail.strength).replace("+", "")],
          [
            "Self-influence",
            detail.self_influence === null ? "– (the targets are no training examples)" : signed(detail.self_influence),
          ],
          [
            "Share of subsets with it",
            `${percent(detail.share_of_subsets, 1)} (${whole(detail.in_subsets)} of the ${whole(detail.subsets)} checked)`,
          ],
          ["Targets whose output it moves", `${whole(up)} up, ${whole(down)} down, of ${whole(study.targets)}`],
          detail.shown.note ? ["Note", detail.shown.note] : null,
        ]}
      />
    </section>
  );
}

interface EffectsProps {
  title: string;
  kind: "help" | "harm";
  effects: readonly TargetWeight[];
  of: number;
}

const FIRST = 20;

function Effects({ title, kind, effects, of }: EffectsProps) {
  const [all, setAll] = useState(false);
  const shown = all ? effects : effects.slice(0, FIRST);
  return (
    <section class="section" aria-label={title}>
      <h2 class={kind}>
        {title} {count(of, "target")}
      </h2>
      {effects.length === 0 && <Note>No target.</Note>}
      <Tiles
        items={shown.map((effect) => effect.target)}
        to="target"
        below={(_, i) => <b>{signed(effects[i]!.weight, 3)}</b>}
      />
      {effects.length > FIRST && (
        <button type="button" onClick={() => setAll(!all)} aria-expanded={all}>
          {all ? `Show the first ${FIRST}` : `Show the first ${effects.length}`}
        </button>
      )}
    </section>
  );
}
