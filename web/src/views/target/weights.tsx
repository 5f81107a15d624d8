import { useState } from "preact/hooks";
import type { TargetDetail, UnitWeight } from "../../api/types";
import { useFit } from "../../fit";
import { decimals, fixed, signed } from "../../format";
import { Caption, Example } from "../../ui/example";
import { Note } from "../../ui/state";
import { heading, type Side } from "../../sides";

interface Props {
  side: Side;
  detail: TargetDetail;
  removed: ReadonlySet<number>;
  setRemoved: (units: ReadonlySet<number>) => void;
}

const FIRST = 8;

/** The examples that raise or lower the target's output most; each can be left out of the what-if. */
export function Weights({ side, detail, removed, setRemoved }: Props) {
  const { study } = useFit();
  const [all, setAll] = useState(false);
  const influences = detail[side];
  const shown = all ? influences : influences.slice(0, FIRST);
  const scale = reach(detail);
  const toggle = (unit: number) => {
    const next = new Set(removed);
    if (!next.delete(unit)) next.add(unit);
    setRemoved(next);
  };
  return (
    <section class="section" aria-label={heading(study.words, side)}>
      <h2 class={side === "helpful" ? "help" : "harm"}>{heading(study.words, side)}</h2>
      {influences.length === 0 && <Note>No {study.unit_name} has such a weight for this target.</Note>}
      <ol class="weights">
        {shown.map((influence) => (
          <Weight
            key={influence.unit.number}
            influence={influence}
            scale={scale}
            out={removed.has(influence.unit.number)}
            toggle={toggle}
          />
        ))}
      </ol>
      {influences.length > FIRST && (
        <button type="button" onClick={() => setAll(!all)} aria-expanded={all}>
          {all ? `Show the first ${FIRST}` : `Show all ${influences.length} listed`}
        </button>
      )}
    </section>
  );
}

/** The largest weight or end of an error bar: what fills the width of a bar. */
function reach(detail: TargetDetail): number {
  const ends = [...detail.helpful, ...detail.harmful].flatMap((i) => [i.weight, i.low ?? 0, i.high ?? 0]);
  return Math.max(...ends.map(Math.abs), 1e-12);
}

interface WeightProps {
  influence: UnitWeight;
  scale: number;
  out: boolean;
  toggle: (unit: number) => void;
}

function Weight({ influence, scale, out, toggle }: WeightProps) {
  const { href } = useFit();
  const { unit, weight, low, high, itself } = influence;
  const places = decimals(scale);
  const bounds = low !== null && high !== null ? ([low, high] as const) : null;
  return (
    <li class={out ? "out" : undefined}>
      <label class="in">
        <input type="checkbox" checked={!out} onChange={() => toggle(unit.number)} />
        <span class="hidden">{unit.name} is in the training set</span>
      </label>
      <a href={href("unit", unit.number)} class="thumb" aria-label={unit.alt}>
        <Example shown={unit} side={44} />
      </a>
      <div class="body">
        <span class="what">
          <a href={href("unit", unit.number)}>
            <Caption shown={unit} />
          </a>
          {itself && <em> the target itself</em>}
        </span>
        <span class="amount">
          <b>{signed(weight, places)}</b>
          {bounds && (
            <span class="quiet">
              {" "}
              [{fixed(bounds[0], places)}, {fixed(bounds[1], places)}]
            </span>
          )}
        </span>
        <Bar weight={weight} bounds={bounds} scale={scale} />
      </div>
    </li>
  );
}

function Bar({ weight, bounds, scale }: { weight: number; bounds: readonly [number, number] | null; scale: number }) {
  const part = (value: number) => `${(100 * Math.min(1, Math.max(0, value / scale))).toFixed(1)}%`;
  const sign = Math.sign(weight);
  const ends = bounds?.map((end) => end * sign).sort((a, b) => a - b);
  return (
    <span class={sign > 0 ? "bar up" : "bar down"} aria-hidden="true">
      <span style={{ width: part(Math.abs(weight)) }} />
      {ends && <i style={{ left: part(ends[0]!), right: `calc(100% - ${part(ends[1]!)})` }} />}
    </span>
  );
}
