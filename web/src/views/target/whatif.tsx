import { useMemo, useState } from "preact/hooks";
import type { TargetDetail } from "../../api/types";
import { Lines } from "../../charts/lines";
import { useFit } from "../../fit";
import { count, fixed, signed } from "../../format";
import { hasZero } from "../../words";
import { removalPath, toCrossZero, type Weight, type Whole, without } from "../../whatif";
import { firstSide, heading, order, type Side } from "../../sides";
import { Verify } from "./verify";

interface Props {
  detail: TargetDetail;
  weights: readonly Weight[];
  removed: ReadonlySet<number>;
  setRemoved: (units: ReadonlySet<number>) => void;
}

/** How many the slider reaches: enough to see where it leads, few enough for a URL. */
const MOST = 200;

/** What the models would do without some training examples: a slider, a sum, and a test of it. */
export function WhatIf({ detail, weights, removed, setRemoved }: Props) {
  const { study } = useFit();
  const [side, setSide] = useState<Side>(firstSide(detail.full, study.words));
  const ranked = order(weights, side, study.words).slice(0, MOST);
  const k = leading(
    ranked.map(({ unit }) => unit),
    removed,
  );
  const top = (to: number) => setRemoved(new Set(ranked.slice(0, to).map(({ unit }) => unit)));
  return (
    <section class="section whatif" aria-label="What if">
      <h2>What if some examples were not in the training set?</h2>
      <div class="columns">
        <div class="section">
          <Outcome whole={detail} weights={weights} removed={removed} />
          <Slider side={side} setSide={setSide} k={k} most={ranked.length} custom={removed.size !== k} onTop={top} />
          <div class="row">
            <button type="button" disabled={removed.size === 0} onClick={() => setRemoved(new Set())}>
              Put all back
            </button>
            <Crossing at={toCrossZero(detail, ranked)} listed={ranked.length} onTop={top} />
          </div>
          <Verify detail={detail} removed={removed} />
        </div>
        <Path whole={detail} ranked={ranked} side={side} k={k} />
      </div>
      <p class="quiet small">
        The prediction is a sum of weights: exact for the datamodel, an estimate for real training ({detail.level_said}
        ). Clear the boxes below to remove single examples.
        {study.features.verify.available && " Verify retrains models and shows their outputs."}
      </p>
    </section>
  );
}

interface OutcomeProps {
  whole: Whole;
  weights: readonly Weight[];
  removed: ReadonlySet<number>;
}

function Outcome({ whole, weights, removed }: OutcomeProps) {
  const { study } = useFit();
  const { full } = whole;
  const after = without(whole, weights, removed);
  const crosses = hasZero(study.words) && Math.sign(after) !== Math.sign(full);
  return (
    <p class="outcome" role="status">
      <span class="quiet">
        Predicted {study.words.short}, trained on all{removed.size > 0 && ` but ${count(removed.size, "example")}`}
      </span>
      <b class={after < 0 && hasZero(study.words) ? "harm" : ""}>{fixed(after)}</b>
      <span>
        {removed.size > 0 && `${signed(after - full)} from ${fixed(full)}`}
        {crosses && <strong> · crosses zero: the model would be {after < 0 ? "wrong" : "right"}</strong>}
      </span>
    </p>
  );
}

interface SliderProps {
  side: Side;
  setSide: (side: Side) => void;
  k: number;
  most: number;
  /** Whether other examples than the first k are left out. */
  custom: boolean;
  onTop: (k: number) => void;
}

function Slider({ side, setSide, k, most, custom, onTop }: SliderProps) {
  const { study } = useFit();
  const pick = (event: Event) => setSide((event.target as HTMLSelectElement).value as Side);
  return (
    <div class="slider">
      <label>
        Remove the top{" "}
        <select value={side} onChange={pick}>
          <option value="helpful">{study.words.helpful.toLowerCase()}</option>
          <option value="harmful">{study.words.harmful.toLowerCase()}</option>
        </select>
      </label>
      <label>
        <span class="hidden">How many to remove</span>
        <input
          type="range"
          min={0}
          max={most}
          value={k}
          onInput={(event) => onTop(Number((event.target as HTMLInputElement).value))}
        />
      </label>
      <output>{custom ? `${k} and single examples` : k}</output>
    </div>
  );
}

function Crossing({ at, listed, onTop }: { at: number | null; listed: number; onTop: (k: number) => void }) {
  const { study } = useFit();
  if (!hasZero(study.words)) return null;
  if (at === null) return <span class="quiet">The prediction keeps its sign without the top {listed} examples.</span>;
  return (
    <button type="button" onClick={() => onTop(at)}>
      Cross zero (remove {at})
    </button>
  );
}

interface PathProps {
  whole: Whole;
  ranked: readonly Weight[];
  side: Side;
  k: number;
}

function Path({ whole, ranked, side, k }: PathProps) {
  const { study } = useFit();
  const path = useMemo(() => removalPath(whole, ranked), [whole, ranked.length, side]);
  const at = useMemo(() => path.map((_, i) => i), [path]);
  const lines = useMemo(() => [{ y: path, color: "help" }], [path]);
  const name = heading(study.words, side).toLowerCase();
  const label = `Predicted ${study.words.output} as the ${name} examples leave, one after another: from ${fixed(path[0])} to ${fixed(path.at(-1))} without ${path.length - 1}.`;
  return (
    <Lines
      at={at}
      lines={lines}
      x={`${name} examples removed`}
      y={`predicted ${study.words.short}`}
      label={label}
      mark={k}
      zero={hasZero(study.words)}
      height={240}
    />
  );
}

/** How many of the ranked units are removed from the top without a gap. */
function leading(ranked: readonly number[], removed: ReadonlySet<number>): number {
  const kept = ranked.findIndex((unit) => !removed.has(unit));
  return kept < 0 ? ranked.length : kept;
}
