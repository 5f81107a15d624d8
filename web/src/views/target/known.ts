import type { TargetDetail, Words } from "../../api/types";
import type { Weight } from "../../whatif";

/** The weights that the page knows of: the strongest on either side, strongest first. */
export function known(detail: TargetDetail): Weight[] {
  return [...order(detail, "helpful"), ...order(detail, "harmful")];
}

export type Side = "helpful" | "harmful";

export function order(detail: TargetDetail, side: Side): Weight[] {
  return detail[side].map((influence) => ({ unit: influence.unit.number, weight: influence.weight }));
}

/** What the units of a side are called, which depends on whether a high output is good. */
export function heading(words: Words, side: Side): string {
  return side === "helpful" ? words.raising : words.lowering;
}
