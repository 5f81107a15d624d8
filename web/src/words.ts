/** What the words for an output tell about its values. */

import type { Words } from "./api/types";

/** Whether zero divides wrong from right: so it is with margins. */
export function hasZero(words: Words): boolean {
  return words.zero;
}

/** Whether the output says how often models are right. */
export function hasCorrect(words: Words): boolean {
  return words.right;
}

/** Which sign of a weight helps: -1 where less of the output is better. */
export function helping(words: Words): 1 | -1 {
  return words.better === "lower" ? -1 : 1;
}
