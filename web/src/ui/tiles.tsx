import type { ComponentChildren } from "preact";
import type { Shown } from "../api/types";
import { useFit } from "../fit";
import { Caption, Example } from "./example";

interface Props {
  items: readonly Shown[];
  to: "target" | "unit";
  /** What stands below each one's name. */
  below?: (item: Shown, index: number) => ComponentChildren;
}

/** Examples as small tiles that lead to their own pages. */
export function Tiles({ items, to, below }: Props) {
  const { study, href } = useFit();
  return (
    <ul class={study.has_images ? "gallery small" : "gallery wide small"}>
      {items.map((item, index) => (
        <li key={item.number}>
          <a class="tile" href={href(to, item.number)}>
            <Example shown={item} side={72} />
            <span class="what">
              <Caption shown={item} />
            </span>
            {below?.(item, index)}
          </a>
        </li>
      ))}
    </ul>
  );
}
