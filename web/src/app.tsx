import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { api } from "./api/client";
import { isFitted, type Study } from "./api/types";
import { Fit, type Shared } from "./fit";
import { href, parse, type Route } from "./router";
import { Failure, Note, Waiting } from "./ui/state";
import { Top } from "./ui/top";
import { forget, useAnswer } from "./api/use";
import { isStale, useStatus } from "./live";
import { embedded } from "./api/embedded";
import { ClustersView } from "./views/clusters";
import { CompareView } from "./views/compare";
import { LeakageView } from "./views/leakage";
import { MapView } from "./views/map";
import { StudyView } from "./views/study/study";
import { TargetView } from "./views/target/target";
import { TargetsView } from "./views/targets/targets";
import { UnitView } from "./views/unit";

export function App() {
  const route = useRoute();
  const fit = route.query.fit ?? null;
  const [turn, setTurn] = useState(0);
  const study = useAnswer(`study ${fit} ${turn}`, () => api.study(fit));
  const live = useStatus();
  useEffect(() => {
    if (!study.data || study.waiting || !live.status || !isStale(study.data, live.status)) return;
    forget("");
    setTurn(turn + 1);
  }, [live.status]);
  const link = useCallback<Shared["href"]>((view, arg, query) => href(view, arg, { ...query, fit }), [fit]);
  const main = useRef<HTMLElement>(null);
  const place = `${route.view}/${route.arg ?? ""}`;
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else enter(main.current);
  }, [place]);
  useEffect(() => {
    document.title = [TITLES[route.view], route.arg, study.data?.name, "subtrain"].filter(Boolean).join(" · ");
  }, [place, study.data]);
  if (!study.data)
    return <main class="page">{study.error ? <Failure>{study.error}</Failure> : <Waiting what="the study" />}</main>;
  return (
    <Fit.Provider value={{ fit, study: study.data, live, href: link }}>
      <a class="skip" href="#main" onClick={(event) => skip(event, main.current!)}>
        Skip to the content
      </a>
      <Top route={route} />
      {embedded && <Exported made={embedded.made} note={embedded.note} />}
      <main class="page" id="main" ref={main} tabIndex={-1}>
        {isFitted(study.data) || route.view === "study" ? (
          <Show key={study.data.version} route={route} />
        ) : (
          <Unfitted study={study.data} />
        )}
      </main>
    </Fit.Provider>
  );
}

function Exported({ made, note }: { made: string; note: string }) {
  return (
    <p class="page exported small quiet">
      This page was exported on {made.slice(0, 16).replace("T", " ")} UTC. It holds {note}.
    </p>
  );
}

function Unfitted({ study }: { study: Study }) {
  return (
    <>
      <h1>{study.name}</h1>
      <Note>
        {study.no_evaluation} The <a href={href("study")}>study</a> page shows the state of the collection.
      </Note>
    </>
  );
}

const TITLES: Record<Route["view"], string> = {
  targets: "Targets",
  target: "Target",
  unit: "Training example",
  map: "Map",
  clusters: "Clusters",
  leakage: "Leakage review",
  compare: "Compare",
  study: "Study",
};

function Show({ route }: { route: Route }) {
  switch (route.view) {
    case "targets":
      return <TargetsView query={route.query} />;
    case "target":
      return <TargetView target={Number(route.arg)} query={route.query} />;
    case "unit":
      return <UnitView unit={Number(route.arg)} />;
    case "map":
      return <MapView of={route.arg === "units" ? "units" : "targets"} query={route.query} />;
    case "clusters":
      return <ClustersView />;
    case "leakage":
      return <LeakageView query={route.query} />;
    case "compare":
      return <CompareView query={route.query} />;
    case "study":
      return <StudyView />;
  }
}

function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parse(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

/** Takes the reader, and whatever reads aloud to them, to the top of a new view. */
function enter(main: HTMLElement | null): void {
  scrollTo(0, 0);
  main?.focus({ preventScroll: true });
}

function skip(event: Event, main: HTMLElement): void {
  event.preventDefault();
  main.focus();
}
