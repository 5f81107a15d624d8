/** What the words for an output tell about its values. */

import type { Words } from "./api/types";

/** Whether zero divides wrong from right: so it is with margins. */
export function hasZero(words: Words): boolean {
  return words.short === "margin";
}

/** Whether the output says how often models are right. */
export function hasCorrect(words: Words): boolean {
  return hasZero(words) || words.short === "correctness";
}
