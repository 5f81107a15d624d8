import { whole } from "../format";

interface Props {
  offset: number;
  size: number;
  total: number;
  to: (offset: number) => string;
}

/** Links to the page before and the page after. */
export function Pager({ offset, size, total, to }: Props) {
  if (total <= size && offset === 0) return null;
  const last = Math.min(offset + size, total);
  return (
    <nav class="row" aria-label="Pages">
      {offset > 0 ? (
        <a class="button" rel="prev" href={to(Math.max(0, offset - size))}>
          ← Previous
        </a>
      ) : null}
      <span class="quiet">
        {whole(offset + 1)}–{whole(last)} of {whole(total)}
      </span>
      {last < total ? (
        <a class="button" rel="next" href={to(offset + size)}>
          Next →
        </a>
      ) : null}
    </nav>
  );
}
