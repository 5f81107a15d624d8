/** The explorer's API: on a server, or in a static export from what the page carries. */

import createClient from "openapi-fetch";
import { answerFrom } from "./export";
import { embedded, home } from "./embedded";
import type { Shown, Study } from "./types";
import type { paths } from "./schema";

type Decision = "yes" | "no" | "skip" | null;
export type How = "tsne" | "pca" | "spectral";
export type Base = "full" | "alpha";
type Order = paths["/api/targets"]["get"]["parameters"]["query"];

const client = createClient<paths>(
  embedded ? { baseUrl: "http://export", fetch: answerFrom(embedded) } : { baseUrl: home },
);

interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer, or an Error with the server's own sentence. */
async function answer<T>(asked: Promise<Result<T>>): Promise<T> {
  const { data, error, response } = await asked.catch(() => {
    throw new Error("The server does not answer. Is subtrain explore still running?");
  });
  if (data !== undefined) return data;
  const detail = (error as { detail?: unknown } | undefined)?.detail;
  throw new Error(typeof detail === "string" ? detail : `The server answered ${response.status} to this request.`);
}

/** The part of a query that says which fit, left out where it is the study's own choice. */
function of(fit: string | null): { fit?: string } {
  return fit ? { fit } : {};
}

export const api = {
  // The client's types make plain lists of the schema's pairs.
  study: (fit: string | null) =>
    answer(client.GET("/api/study", { params: { query: of(fit) } })) as Promise<unknown> as Promise<Study>,
  status: () => answer(client.GET("/api/status")),
  curve: (fit: string | null) => answer(client.GET("/api/curve", { params: { query: of(fit) } })),
  targets: (query: Order) => answer(client.GET("/api/targets", { params: { query: query! } })),
  target: (target: number, fit: string | null) =>
    answer(client.GET("/api/targets/{target}", { params: { path: { target }, query: of(fit) } })),
  weights: async (target: number, fit: string | null) => {
    const found = await answer(
      client.GET("/api/targets/{target}/weights", { params: { path: { target }, query: of(fit) } }),
    );
    return { target, weights: found.unit.map((unit, i) => ({ unit, weight: found.weight[i]! })) };
  },
  unit: (unit: number, fit: string | null) =>
    answer(client.GET("/api/units/{unit}", { params: { path: { unit }, query: of(fit) } })),
  map: (kind: "targets" | "units", how: How | null, fit: string | null) =>
    answer(client.GET("/api/map", { params: { query: { of: kind, ...(how ? { how } : {}), ...of(fit) } } })),
  only: (kind: "targets" | "units", numbers: readonly number[], fit: string | null): Promise<{ items: Shown[] }> => {
    const query = { only: numbers.join(","), limit: numbers.length, ...of(fit) };
    return kind === "targets"
      ? answer(client.GET("/api/targets", { params: { query } }))
      : answer(client.GET("/api/units", { params: { query } }));
  },
  clusters: (fit: string | null) => answer(client.GET("/api/clusters", { params: { query: of(fit) } })),
  leakage: (fit: string | null) => answer(client.GET("/api/leakage", { params: { query: of(fit) } })),
  decide: (pair: string, decision: Decision, fit: string | null) =>
    answer(client.PUT("/api/leakage/{pair}", { params: { path: { pair }, query: of(fit) }, body: { decision } })),
  compare: (other: string, offset: number, limit: number, fit: string | null) =>
    answer(client.GET("/api/compare", { params: { query: { other, offset, limit, ...of(fit) } } })),
  verify: (target: number, removed: number[], runs: number, base: Base, fit: string | null) =>
    answer(client.POST("/api/verify", { params: { query: of(fit) }, body: { target, removed, runs, base } })),
  job: (job: string) => answer(client.GET("/api/verify/{job}", { params: { path: { job } } })),
  cancel: (job: string) => answer(client.DELETE("/api/verify/{job}", { params: { path: { job } } })),
  exportUrl: (fit: string | null) => `${home}/api/leakage/export?${new URLSearchParams({ format: "csv", ...of(fit) })}`,
};
