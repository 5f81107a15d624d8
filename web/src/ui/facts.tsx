import type { ComponentChildren } from "preact";

export type Fact = [name: string, value: ComponentChildren] | null;

/** Names and values, side by side. */
export function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl class="facts">
      {facts.map(
        (fact) => fact && [<dt key={`${fact[0]}-name`}>{fact[0]}</dt>, <dd key={`${fact[0]}-value`}>{fact[1]}</dd>],
      )}
    </dl>
  );
}
