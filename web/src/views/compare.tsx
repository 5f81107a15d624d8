import { useCallback, useMemo } from "preact/hooks";
import { api } from "../api/client";
import type { Comparison } from "../api/types";
import { useJob } from "../api/use";
import { Scatter } from "../charts/scatter";
import { useFit } from "../fit";
import { count, fixed, percent, whole } from "../format";
import { go } from "../router";
import { Caption, Example } from "../ui/example";
import { Facts } from "../ui/facts";
import { Pager } from "../ui/pager";
import { JobState, Note } from "../ui/state";

const PAGE = 100;

/** Two fits, or the fits of two studies, on the same targets: the least alike first. */
export function CompareView({ query }: { query: Record<string, string> }) {
  const { study, href } = useFit();
  const here = study.fit;
  const others = study.fits.filter(({ ref }) => ref !== here);
  const { available, why } = study.features.compare;
  const other = available ? (others.find(({ ref }) => ref === query.with) ?? others[0])?.ref : undefined;
  const choose = (event: Event) => go(href("compare", null, { with: (event.target as HTMLSelectElement).value }), true);
  return (
    <>
      <div class="head">
        <h1>Compare</h1>
      </div>
      {!other && <Note>{why || "There is no second fit to compare with this one."}</Note>}
      {other && (
        <>
          <label class="row">
            <span>
              <b>{here}</b> with
            </span>
            <select value={other} onChange={choose}>
              {others.map(({ ref, study: of }) => (
                <option key={ref} value={ref}>
                  {ref} ({of})
                </option>
              ))}
            </select>
          </label>
          <Against key={other} other={other} offset={Number(query.offset ?? 0) || 0} />
        </>
      )}
    </>
  );
}

function Against({ other, offset }: { other: string; offset: number }) {
  const { fit, href } = useFit();
  const answer = useJob(`compare ${fit} ${other} ${offset}`, () => api.compare(other, offset, PAGE, fit));
  const found = answer.data?.state === "done" ? answer.data : null;
  return (
    <>
      <JobState answer={answer} what="the similarity of the two fits" />
      {found && <Summary found={found} />}
      {found && <Rows found={found} />}
      {found && (
        <Pager
          offset={offset}
          size={PAGE}
          total={found.total}
          to={(next) => href("compare", null, { with: other, offset: next || null })}
        />
      )}
    </>
  );
}

function Summary({ found }: { found: Comparison }) {
  const { href } = useFit();
  const onPick = useCallback((id: number) => go(href("target", id)), [href]);
  const clouds = useMemo(() => {
    const items = found.items.filter(({ a, b }) => a.lds !== null && b.lds !== null);
    return [
      {
        color: "ink-0",
        x: items.map(({ a }) => a.lds!),
        y: items.map(({ b }) => b.lds!),
        id: items.map(({ target }) => target.number),
      },
    ];
  }, [found]);
  const some = found.total > found.items.length ? `the ${found.items.length} on this page` : "all of them";
  return (
    <div class="columns">
      <Facts
        facts={[
          ["Targets", whole(found.total)],
          ["Mean cosine of weights", fixed(found.mean_cosine, 3)],
          ["Most helpful units in common", percent(found.mean_overlap)],
          [`Mean LDS of ${found.a}`, fixed(found.mean_lds_a, 3)],
          [`Mean LDS of ${found.b}`, fixed(found.mean_lds_b, 3)],
        ]}
      />
      {clouds[0]!.id.length > 0 && (
        <Scatter
          clouds={clouds}
          x={`LDS of ${found.a}`}
          y={`LDS of ${found.b}`}
          diagonal
          height={260}
          onPick={onPick}
          label={`Scatter plot of the LDS of ${count(clouds[0]!.id.length, "target")} (${some}) in both fits; the table below has the numbers.`}
        />
      )}
    </div>
  );
}

function Rows({ found }: { found: Comparison }) {
  const { href, study } = useFit();
  const short = study.words?.short ?? "output";
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label="Targets in both fits">
      <table class="table">
        <caption class="quiet">
          The targets that differ most come first. Columns with two numbers show {found.a} | {found.b}.
        </caption>
        <thead>
          <tr>
            <th scope="col">Target</th>
            {["Cosine", "In common", "LDS", short, "Support"].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {found.items.map(({ target, cosine, overlap, a, b }) => (
            <tr key={target.number}>
              <th scope="row">
                <a class="row" href={href("target", target.number)}>
                  {target.image && <Example shown={target} side={32} />}
                  <span>
                    <Caption shown={target} />
                  </span>
                </a>
              </th>
              <td class="number">{fixed(cosine, 3)}</td>
              <td class="number">{percent(overlap)}</td>
              <td class="number">
                {fixed(a.lds)} | {fixed(b.lds)}
              </td>
              <td class="number">
                {fixed(a.margin)} | {fixed(b.margin)}
              </td>
              <td class="number">
                {whole(a.support)} | {whole(b.support)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
