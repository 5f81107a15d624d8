import { useCallback, useMemo, useState } from "preact/hooks";
import { api, type How } from "../api/client";
import { embedded } from "../api/embedded";
import type { MapOf } from "../api/types";
import { useAnswer, useJob } from "../api/use";
import { type Cloud, Scatter } from "../charts/scatter";
import { useFit } from "../fit";
import { capital, count, whole } from "../format";
import { go } from "../router";
import { colorings, type Group, grouped } from "../grouping";
import { Failure, JobState, Note, Waiting } from "../ui/state";
import { Tiles } from "../ui/tiles";

type Of = "targets" | "units";

const HOWS: How[] = ["tsne", "pca", "spectral"];

/** Targets or training examples in the plane, by their weights; a box, or a group, shows its members. */
export function MapView({ of, query }: { of: Of; query: Record<string, string> }) {
  const { study, fit, href } = useFit();
  const how = HOWS.find((name) => name === query.how) ?? null;
  const answer = useJob(`map ${of} ${how} ${fit}`, () => api.map(of, how, fit));
  const other: Of = of === "targets" ? "units" : "targets";
  const names = { targets: "Targets", units: capital(study.units_name) };
  return (
    <>
      <div class="head">
        <h1>Map</h1>
        <nav class="row" aria-label="What the map is of">
          <span aria-current="page">{names[of]}</span>
          <a href={href("map", other)}>{names[other]}</a>
        </nav>
      </div>
      <JobState answer={answer} what="the positions of all points" />
      {answer.data?.state === "done" && <Drawn key={`${of} ${how}`} of={of} map={answer.data} query={query} />}
    </>
  );
}

function Drawn({ of, map, query }: { of: Of; map: MapOf; query: Record<string, string> }) {
  const { href, study } = useFit();
  const choices = colorings(map);
  const by = choices.find((name) => name === query.by) ?? choices[0]!;
  const groups = useMemo(() => grouped(map, by), [map, by]);
  const clouds = useMemo(() => groups.map((group) => cloud(map, group)), [map, groups]);
  const [box, setBox] = useState<number[] | null>(null);
  const [near, setNear] = useState<number | null>(null);
  const onPick = useCallback((id: number) => go(href(of === "targets" ? "target" : "unit", id)), [of, href]);
  const group = groups.find((one) => one.name === query.group);
  const chosen = box ?? group?.at.map((i) => map.number[i]!) ?? null;
  const set = (more: Record<string, string | null>) => {
    setBox(null);
    go(href("map", of, { ...query, ...more }), true);
  };
  const noun = of === "targets" ? "target" : study.unit_name;
  return (
    <>
      <p class="quiet">
        {count(map.number.length, noun)}
        {map.number.length < map.total ? ` of ${whole(map.total)}` : ""}, placed by {map.method}. Points near each other
        depend on the same {of === "targets" ? "training data" : "targets"}. The axes have no unit. Click a point to
        open it. Drag a box to list the points in it.
      </p>
      <div class="row">
        <Choice title="Color by" value={by} options={choices} onChange={(value) => set({ by: value, group: null })} />
        <Choice
          title="List"
          value={group?.name ?? ""}
          options={["", ...groups.map(({ name }) => name)]}
          none="nothing"
          onChange={(value) => set({ group: value })}
        />
        {!embedded && (
          <Choice
            title="Place by"
            value={query.how ?? ""}
            options={["", ...HOWS]}
            none="default"
            onChange={(value) => set({ how: value })}
          />
        )}
      </div>
      <Scatter
        clouds={clouds}
        x=""
        y=""
        numbers={false}
        height={460}
        radius={map.number.length > 3000 ? 1.6 : 3}
        onPick={onPick}
        onHover={setNear}
        onSelect={setBox}
        label={`Map of ${count(map.number.length, noun)} colored by ${by}: ${groups.map((g) => `${g.name} ${g.at.length}`).join(", ")}. The list below the map shows the members of each group.`}
      />
      <p class="quiet small near">{near === null ? "\u00a0" : described(map, near, noun)}</p>
      <ul class="legend" aria-label="Colors">
        {groups.map((one) => (
          <li key={one.name}>
            <span class="swatch" style={{ background: `var(--${one.color})` }} />
            {one.name} <span class="quiet">{whole(one.at.length)}</span>
          </li>
        ))}
      </ul>
      {chosen && <Members of={of} numbers={chosen} />}
    </>
  );
}

const LISTED = 60;

function Members({ of, numbers }: { of: Of; numbers: readonly number[] }) {
  const { fit } = useFit();
  const listed = [...numbers].sort((a, b) => a - b).slice(0, LISTED);
  const key = `${of} only ${fit} ${listed.join(",")}`;
  const { data, error } = useAnswer(listed.length ? key : null, () => api.only(of, listed, fit));
  return (
    <section class="section" aria-label="Members" aria-live="polite">
      <h2>
        {count(numbers.length, "member")}
        {numbers.length > LISTED ? `, the first ${LISTED} of them` : ""}
      </h2>
      {listed.length === 0 && <Note>The box is empty.</Note>}
      {error && <Failure>{error}</Failure>}
      {!data && !error && listed.length > 0 && <Waiting what="the members" />}
      {data && <Tiles items={data.items} to={of === "targets" ? "target" : "unit"} />}
    </section>
  );
}

interface ChoiceProps {
  title: string;
  value: string;
  options: readonly string[];
  none?: string;
  onChange: (value: string) => void;
}

function Choice({ title, value, options, none, onChange }: ChoiceProps) {
  return (
    <label>
      {title}{" "}
      <select value={value} onChange={(event) => onChange((event.target as HTMLSelectElement).value)}>
        {options.map((option) => (
          <option key={option} value={option}>
            {option || none}
          </option>
        ))}
      </select>
    </label>
  );
}

function cloud(map: MapOf, { at, color }: Group): Cloud {
  const pick = <T,>(values: readonly T[]) => at.map((i) => values[i]!);
  return { color, x: pick(map.x) as number[], y: pick(map.y) as number[], id: pick(map.number) };
}

/** A point in words: its number and what it is colored by. */
function described(map: MapOf, number: number, noun: string): string {
  const i = map.number.indexOf(number);
  const label = map.label?.[i];
  return [`${noun} ${number}`, label && `label ${label}`, map.cluster && `cluster ${map.cluster[i]}`]
    .filter(Boolean)
    .join(", ");
}
