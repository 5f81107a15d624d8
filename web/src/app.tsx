import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "./api/client";
import { isFitted, type Study } from "./api/types";
import { Fit } from "./fit";
import { href, parse, type Route } from "./router";
import { Failure, Note, Waiting } from "./ui/state";
import { Top } from "./ui/top";
import { useAnswer } from "./api/use";
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
  const study = useAnswer(`study ${fit}`, () => api.study(fit));
  const main = useRef<HTMLElement>(null);
  const place = `${route.view}/${route.arg ?? ""}`;
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else enter(main.current!, route.view);
  }, [route.view]);
  useEffect(() => {
    document.title = [TITLES[route.view], route.arg, study.data?.name, "subtrain"].filter(Boolean).join(" · ");
  }, [place, study.data]);
  if (!study.data)
    return (
      <main class="page">
        {study.error ? <Failure>{study.error}</Failure> : <Waiting what="the study" />}
      </main>
    );
  return (
    <Fit.Provider value={{ fit, study: study.data, href: (view, arg, query) => href(view, arg, { ...query, fit }) }}>
      <a class="skip" href="#main" onClick={(event) => skip(event, main.current!)}>
        Skip to the content
      </a>
      <Top route={route} />
      <main class="page" id="main" ref={main} tabIndex={-1}>
        {isFitted(study.data) || route.view === "study" ? <Show route={route} /> : <Unfitted study={study.data} />}
      </main>
    </Fit.Provider>
  );
}

function Unfitted({ study }: { study: Study }) {
  return (
    <>
      <h1>{study.name}</h1>
      <Note>
        {study.no_evaluation} The <a href={href("study")}>study</a> shows how collection stands.
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
function enter(main: HTMLElement, _view: Route["view"]): void {
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

function skip(event: Event, main: HTMLElement): void {
  event.preventDefault();
  main.focus();
}
