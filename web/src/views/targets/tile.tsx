import type { TargetItem } from "../../api/types";
import { useFit } from "../../fit";
import { fixed, percent } from "../../format";
import { hasZero } from "../../words";
import { Caption, Example } from "../../ui/example";

interface Props {
  item: TargetItem;
  /** Called when the pointer or the keyboard comes near, so that the target can be read ahead. */
  onNear: () => void;
}

/** One target in the gallery: what it is, and how the models do on it. */
export function Tile({ item, onNear }: Props) {
  const { href, study } = useFit();
  return (
    <li>
      <a class="tile" href={href("target", item.number)} onPointerEnter={onNear} onFocus={onNear}>
        <Example shown={item} side={88} />
        <span class="what">
          <Caption shown={item} />
        </span>
        <span class="stats">
          <Stat
            name={study.words.short}
            value={fixed(item.margin, 1)}
            class={hasZero(study.words) && (item.margin ?? 0) < 0 ? "harm" : ""}
          />
          {item.correct !== null && <Stat name="right" value={percent(item.correct)} />}
          <Stat name="LDS" value={fixed(item.lds, 2)} />
        </span>
      </a>
    </li>
  );
}

function Stat({ name, value, class: kind }: { name: string; value: string; class?: string }) {
  return (
    <span>
      <b class={kind}>{value}</b> <span class="quiet">{name}</span>
    </span>
  );
}
