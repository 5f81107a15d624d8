import { useRef } from "preact/hooks";
import { useFit } from "../../fit";
import { hasCorrect } from "../../words";
import { go } from "../../router";

const SORTS: [value: string, name: string][] = [
  ["target", "Number"],
  ["margin", "Lowest output first"],
  ["-margin", "Highest output first"],
  ["-lds", "Best predicted first (LDS)"],
  ["lds", "Worst predicted first (LDS)"],
  ["correct", "Least often right first"],
  ["-support", "Largest support first"],
  ["support", "Smallest support first"],
  ["-leakage", "Most suspect of leakage first"],
  ["label", "Class"],
];

const RANGES: [name: string, of: string, step: string][] = [
  ["margin", "Output", "any"],
  ["lds", "LDS", "0.05"],
  ["support", "Support", "1"],
  ["leakage", "Leakage score", "any"],
];

const TYPING = 250;

/** What the gallery shows: every choice goes to the URL at once. */
export function Filters({ query }: { query: Record<string, string> }) {
  const { study, href } = useFit();
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const set = (name: string, value: string) =>
    go(href("targets", null, { ...query, [name]: value, offset: null }), true);
  const onChange = (event: Event) => {
    const field = event.target as HTMLInputElement | HTMLSelectElement;
    set(field.name, field.value);
  };
  const onInput = (event: Event) => {
    const { name, value } = event.target as HTMLInputElement;
    clearTimeout(typing.current);
    typing.current = setTimeout(() => set(name, value.trim()), TYPING);
  };
  const narrowed = RANGES.some(([name]) => query[`min_${name}`] || query[`max_${name}`]);
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <label>
        Search
        <input
          type="search"
          name="q"
          defaultValue={query.q ?? ""}
          key={query.q ? "asked" : "none"}
          placeholder="number, label or text"
          onInput={onInput}
        />
      </label>
      {study.classes && (
        <Choice
          name="label"
          title="Class"
          value={query.label}
          options={study.classes.map((c) => [c, c])}
          onChange={onChange}
        />
      )}
      {hasCorrect(study.words) && (
        <Choice name="correct" title="Models are" value={query.correct} options={CORRECT} onChange={onChange} />
      )}
      <Choice
        name="sort"
        title="Order"
        value={query.sort ?? "target"}
        options={SORTS}
        every={null}
        onChange={onChange}
      />
      <details open={narrowed}>
        <summary>Ranges{narrowed ? " (in use)" : ""}</summary>
        <div class="ranges">
          {RANGES.map(([name, title, step]) => (
            <fieldset key={name}>
              <legend>{title}</legend>
              <Bound
                name={`min_${name}`}
                title={`${title}, at least`}
                value={query[`min_${name}`]}
                step={step}
                onChange={onChange}
              />
              –
              <Bound
                name={`max_${name}`}
                title={`${title}, at most`}
                value={query[`max_${name}`]}
                step={step}
                onChange={onChange}
              />
            </fieldset>
          ))}
        </div>
      </details>
      {Object.keys(query).some((name) => !KEPT.includes(name)) && (
        <a href={href("targets", null, { sort: query.sort })}>Clear</a>
      )}
    </form>
  );
}

const KEPT = ["fit", "sort", "offset"];
const CORRECT: [string, string][] = [
  ["true", "mostly right"],
  ["false", "mostly wrong"],
];

interface ChoiceProps {
  name: string;
  title: string;
  value: string | undefined;
  options: readonly [value: string, name: string][];
  every?: string | null;
  onChange: (event: Event) => void;
}

function Choice({ name, title, value, options, every = "any", onChange }: ChoiceProps) {
  return (
    <label>
      {title}
      <select name={name} value={value ?? ""} onChange={onChange}>
        {every && <option value="">{every}</option>}
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface BoundProps {
  name: string;
  title: string;
  value: string | undefined;
  step: string;
  onChange: (event: Event) => void;
}

function Bound({ name, title, value, step, onChange }: BoundProps) {
  return <input type="number" name={name} aria-label={title} value={value ?? ""} step={step} onChange={onChange} />;
}
