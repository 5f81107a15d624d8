import type { Shown } from "../api/types";
import { imageSource } from "../api/embedded";

interface Props {
  shown: Shown;
  /** Side of the picture in CSS pixels. */
  side?: number;
  lazy?: boolean;
}

/** How an example looks: its image, its text, its row, or only its number. All of it as text nodes. */
export function Example({ shown, side = 64, lazy = true }: Props) {
  const source = shown.image ? imageSource(shown.image) : null;
  if (source)
    return (
      <img
        class="picture"
        src={source}
        alt={shown.alt}
        width={side}
        height={side}
        loading={lazy ? "lazy" : "eager"}
        decoding="async"
      />
    );
  if (shown.text) return <blockquote class="text">{shown.text}</blockquote>;
  if (shown.row) return <Row row={shown.row} />;
  return (
    <span class="blank" style={{ width: `${side}px`, height: `${side}px` }} aria-hidden="true">
      {shown.number}
    </span>
  );
}

function Row({ row }: { row: Record<string, unknown> }) {
  return (
    <dl class="cells">
      {Object.entries(row).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{String(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** An example's name and label in words. */
export function Caption({ shown }: { shown: Shown }) {
  return (
    <>
      <span>{shown.name}</span>
      {shown.label !== null && (
        <span class="label">
          <span class="hidden">, label </span>
          {shown.label}
        </span>
      )}
    </>
  );
}
