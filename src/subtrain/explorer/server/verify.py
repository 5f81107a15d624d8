"""Verify a what-if: retrain with and without some units, and set what happens beside what was predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from subtrain.errors import InputError
from subtrain.explorer.answers.examples import check_target, check_unit
from subtrain.explorer.open_studies import OpenFit
from subtrain.explorer.retraining import RetrainOrder, why_not_retrained
from subtrain.explorer.server.parameters import Books, Fit
from subtrain.explorer.verification import RUNS, Desk, Verification, effect, kept, summary
from subtrain.uses.counterfactual import ALPHA

router = APIRouter(prefix="/api/verify", tags=["verify"])


class Wanted(BaseModel):
    """Retrain `runs` models with these units and as many without them. base: among all others ("full"), or among random
    ones, as many as in the design's subsets ("alpha")."""

    target: int = Field(ge=0, lt=2**31)
    removed: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(min_length=1, max_length=100_000)
    runs: int = Field(default=5, ge=1, le=RUNS)
    base: Literal["full", "alpha"] = "full"


class Started(TypedDict):
    """The name by which to ask how it stands."""

    job: str


class Observed(TypedDict):
    """Outputs of retrained models: their mean with its 95 % interval (Student's t over runs, null for one run)."""

    mean: float
    low: float | None
    high: float | None
    runs: int
    values: list[float]


class Effect(TypedDict):
    """Output without the units minus output with them, with its 95 % interval."""

    mean: float
    low: float | None
    high: float | None


class Both(TypedDict):
    """Of models trained with the units, and without them, and the difference; null while they are not there."""

    full: Observed | None
    removed: Observed | None
    effect: Effect | None


class Guess(TypedDict):
    """What the datamodel predicts for the same."""

    full: float
    removed: float


class VerificationOf(TypedDict):
    """state: queued, running, done, failed or cancelled; done of total models are trained."""

    job: str
    state: str
    done: int
    total: int
    error: str | None
    target: int
    output: str
    removed: list[int]
    runs: int
    base: str
    predicted: Guess
    observed: Both


@router.post("", operation_id="verify", status_code=202)
def verify(fit: Fit, library: Books, request: Request, wanted: Wanted) -> Started:
    """Begin to retrain; the same order again gives the same job."""
    check_target(fit, wanted.target)
    removed = tuple(sorted(set(wanted.removed)))
    check_unit(fit, removed[-1])
    if len(removed) == fit.dm.n:
        raise HTTPException(422, "nothing is left to train on: keep at least one unit")
    why_not = why_not_retrained(fit.study)
    if why_not:
        raise HTTPException(409, why_not)
    predicted = _predicted(fit, wanted.target, removed, wanted.base)
    order = RetrainOrder(fit.study, fit.output, wanted.target, removed, wanted.runs, wanted.base, predicted)
    try:
        return {"job": _desk(request).take(order).order.id}
    except InputError as error:
        raise HTTPException(409, str(error)) from error


@router.get("", operation_id="verifications")
def verifications(fit: Fit, target: Annotated[int | None, Query(ge=0, lt=2**31)] = None) -> list[VerificationOf]:
    """Finished verifications that are kept in the study, of one target or of all."""
    found = [_from_file(data) for data in kept(fit.study)]
    return [one for one in found if one and one["output"] == fit.output and target in (None, one["target"])]


@router.get("/{job}", operation_id="verification")
def verification(library: Books, request: Request, job: Annotated[str, Path(max_length=40)]) -> VerificationOf:
    """How it stands, and what came out."""
    one = _desk(request).find(job)
    if one is not None:
        return _now(one)
    found = next((data for study in library.studies.values() for data in kept(study) if data["job"] == job), None)
    read = _from_file(found) if found else None
    if read is not None:
        return read
    raise HTTPException(404, f"there is no verification {job!r}")


@router.delete("/{job}", operation_id="cancel_verification")
def cancel(request: Request, job: Annotated[str, Path(max_length=40)]) -> VerificationOf:
    """Stop it; models that are trained already are kept for the next time."""
    one = _desk(request).find(job)
    if one is None:
        raise HTTPException(404, f"there is no verification {job!r} under way")
    _desk(request).cancel(one)
    return _now(one)


_KEPT = TypeAdapter(VerificationOf)


def _desk(request: Request) -> Desk:
    found = request.app.state.desk
    assert isinstance(found, Desk)
    return found


def _now(one: Verification) -> VerificationOf:
    return _told({**one.to_json(), "job": one.order.id}, one.state, one.done(), one.why)


def _from_file(data: Mapping[str, Any]) -> VerificationOf | None:
    """A verification that was kept; None for a file that another version or program wrote."""
    try:
        return _told(data, "done", 2 * data["runs"])
    except (KeyError, TypeError, ValueError):
        return None


def _told(data: Mapping[str, Any], state: str, done: int, why: str = "") -> VerificationOf:
    parts = {key: data[key] for key in ("job", "target", "output", "removed", "runs", "base", "predicted")}
    stands = {"state": state, "done": done, "total": 2 * data["runs"], "error": why or None}
    return _KEPT.validate_python({**parts, **stands, "observed": _observed(data["observed"], data["base"])})


def _predicted(fit: OpenFit, target: int, removed: tuple[int, ...], base: str) -> dict[str, float]:
    if base != ALPHA:
        return {"full": fit.whole(target), "removed": fit.without(target, removed)}
    lost = float(fit.sidecar.weight[target][list(removed)].sum(dtype="float64"))
    rest = float(fit.dm.bias[target]) + fit.alpha * (float(fit.table("total")[target]) - lost)
    return {"full": rest + lost, "removed": rest}


def _observed(values: Any, base: str) -> Both:
    found: Any = {kind: summary(values[kind]) if values.get(kind) else None for kind in ("full", "removed")}
    return {"full": found["full"], "removed": found["removed"], "effect": effect(values, base)}  # type: ignore[typeddict-item]
