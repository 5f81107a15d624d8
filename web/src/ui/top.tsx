import { useState } from "preact/hooks";
import { useStudy } from "../fit";
import { go, href, type Route, type View } from "../router";
import { choose, theme } from "../theme";

const TABS: [name: string, view: View, arg: string | null, also: View[]][] = [
  ["Targets", "targets", null, ["target", "unit"]],
  ["Map", "map", "targets", []],
  ["Clusters", "clusters", null, []],
  ["Leakage", "leakage", null, []],
  ["Compare", "compare", null, []],
  ["Study", "study", null, []],
];

/** The study's name, the views, which fit is looked at, and light or dark. */
export function Top({ route }: { route: Route }) {
  const shared = useStudy();
  return (
    <header class="top">
      <div>
        <a class="name" href={shared.href("targets")}>
          {shared.study.name}
        </a>
        <nav aria-label="Views">
          {TABS.map(([name, view, arg, also]) => {
            const here = route.view === view || also.includes(route.view);
            return (
              <a key={view} href={shared.href(view, arg)} aria-current={here ? "page" : undefined}>
                {name}
              </a>
            );
          })}
        </nav>
        <div class="tools">
          <Fits route={route} />
          <Light />
        </div>
      </div>
    </header>
  );
}

function Fits({ route }: { route: Route }) {
  const { study, fit } = useStudy();
  if (study.fits.length < 2) return null;
  const change = (event: Event) => {
    const name = (event.target as HTMLSelectElement).value;
    go(href(route.view, route.arg, { ...route.query, fit: name }));
  };
  return (
    <label>
      <span class="hidden">Fit</span>
      <select value={fit ?? study.fit ?? undefined} onChange={change}>
        {study.fits.map(({ ref }) => (
          <option key={ref} value={ref}>
            {ref}
          </option>
        ))}
      </select>
    </label>
  );
}

function Light() {
  const [now, setNow] = useState(theme);
  const other = now === "dark" ? "light" : "dark";
  const change = () => {
    choose(other);
    setNow(other);
  };
  return (
    <button type="button" onClick={change} aria-label={`Change to ${other} colors`}>
      {now === "dark" ? "☀ Light" : "☾ Dark"}
    </button>
  );
}
