import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { type Fitted, isFitted, type Study } from "./api/types";
import type { Live } from "./live";
import type { Query, View } from "./router";

export interface Shared<S extends Study = Study> {
  /** Which fit is looked at; null is the study's own choice. */
  fit: string | null;
  study: S;
  /** How the study stands just now. */
  live: Live;
  /** The fragment of a view of the same fit. */
  href: (view: View, arg?: string | number | null, query?: Query) => string;
}

export const Fit = createContext<Shared | null>(null);

export function useStudy(): Shared {
  return useContext(Fit)!;
}

/** For views that are only shown once something is fitted. */
export function useFit(): Shared<Fitted> {
  const shared = useStudy();
  if (!isFitted(shared.study)) throw new Error("this view needs a fit");
  return shared as Shared<Fitted>;
}
