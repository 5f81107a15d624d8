/** Short names for the shapes of the API that views use. */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Cluster = Schemas["Cluster"];
export type Comparison = Schemas["CompareOf"];
export type Curve = Schemas["Curve"];
export type Evaluation = Schemas["EvaluationOf"];
export type IntervalOf = Schemas["IntervalOf"];
export type MapOf = Schemas["MapOf"];
export type Observed = Schemas["Observed"];
export type Pair = Schemas["Pair"];
export type Shown = Schemas["Shown"];
export type Status = Schemas["StatusOf"];
export type TargetDetail = Schemas["TargetDetail"];
export type TargetItem = Schemas["TargetRow"];
export type TargetRows = Schemas["TargetRows"];
export type TargetWeight = Schemas["TargetWeight"];
export type UnitDetail = Schemas["UnitDetail"];
export type UnitWeight = Schemas["UnitWeight"];
export type Verification = Schemas["VerificationOf"];
export type Words = Schemas["Words"];

export type Study = Schemas["StudyOf"];

/** A study with a fit to look at. */
export type Fitted = Study & { fit: string; output: string; targets: number; words: Words };

export function isFitted(study: Study): study is Fitted {
  return study.fit !== null && study.words !== null && study.targets !== null;
}
