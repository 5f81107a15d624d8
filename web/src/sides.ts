/** Which units help a target and which harm it, and what the two are called. */

import type { Words } from "./api/types";
import type { Weight } from "./whatif";
import { helping } from "./words";

export type Side = "helpful" | "harmful";

/** The weights of one side, strongest first. */
export function order(weights: readonly Weight[], side: Side, words: Words): Weight[] {
  const sign = side === "helpful" ? helping(words) : -helping(words);
  return weights.filter(({ weight }) => sign * weight > 0);
}

/** What the units of a side are called, which depends on whether a high output is good. */
export function heading(words: Words, side: Side): string {
  return words[side];
}

/** What a what-if begins with: the helpful ones, but where the models are predicted to be wrong the harmful ones. */
export function firstSide(full: number, words: Words): Side {
  return words.zero && full < 0 ? "harmful" : "helpful";
}
