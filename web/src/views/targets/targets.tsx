import { api } from "../../api/client";
import { prefetch, useAnswer } from "../../api/use";
import { useFit } from "../../fit";
import { whole } from "../../format";
import { Pager } from "../../ui/pager";
import { Failure, Note, Waiting } from "../../ui/state";
import { Filters } from "./filters";
import { Tile } from "./tile";

export const PAGE = 60;

/** The gallery of targets: searched, filtered and sorted by the server, a page at a time. */
export function TargetsView({ query }: { query: Record<string, string> }) {
  const { study, fit, href } = useFit();
  const offset = Number(query.offset ?? 0) || 0;
  const asked = { ...query, ...(fit ? { fit } : {}), offset, limit: PAGE };
  const key = `targets ${JSON.stringify(asked)}`;
  const { data, error, waiting } = useAnswer(key, () => api.targets(asked));
  const to = (next: number) => href("targets", null, { ...query, offset: next || null });
  return (
    <>
      <div class="head">
        <h1>Targets</h1>
        <p class="quiet" role="status">
          {data ? `${whole(data.total)} of ${whole(study.targets)}` : ""}
        </p>
      </div>
      <Filters query={query} />
      {error && <Failure>{error}</Failure>}
      {!data && waiting && <Waiting what="targets" />}
      {data && data.total === 0 && <Note>No target matches these filters. Widen or clear them.</Note>}
      {data && data.items.length > 0 && (
        <ul class={study.has_images ? "gallery" : "gallery wide"} aria-busy={waiting}>
          {data.items.map((item) => (
            <Tile
              key={item.number}
              item={item}
              onNear={() => prefetch(`target ${fit} ${item.number}`, () => api.target(item.number, fit))}
            />
          ))}
        </ul>
      )}
      {data && <Pager offset={offset} size={PAGE} total={data.total} to={to} />}
    </>
  );
}
