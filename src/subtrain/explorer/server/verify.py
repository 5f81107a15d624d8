"""Verify a what-if: retrain with and without some units, and set what happens beside what was predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, Field

from subtrain.collection.workers import task_message
from subtrain.errors import InputError
from subtrain.explorer.data.retrained_outputs import ALPHA, effect, summary
from subtrain.explorer.open_studies import OpenFit
from subtrain.explorer.retraining import Order
from subtrain.explorer.server.shared import Answer, Available, Books, Fit, check_unit
from subtrain.explorer.verification import RUNS, Desk, Verification, kept

router = APIRouter(prefix="/api/verify", tags=["verify"])


class Wanted(BaseModel):
    """Retrain `runs` models with these units and as many without them. base: among all others ("full"), or among random
    ones, as many as in the design's subsets ("alpha")."""

    target: int = Field(ge=0, lt=2**31)
    removed: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(min_length=1, max_length=100_000)
    runs: int = Field(default=5, ge=1, le=RUNS)
    base: Literal["full", "alpha"] = "full"


class Started(Answer):
    """The name by which to ask how it stands."""

    job: str


class Observed(Answer):
    """Outputs of retrained models: their mean with its 95 % interval (Student's t over runs, null for one run)."""

    mean: float
    low: float | None
    high: float | None
    runs: int
    values: list[float]


class Effect(Answer):
    """Output without the units minus output with them, with its 95 % interval."""

    mean: float
    low: float | None
    high: float | None


class Both(Answer):
    """Of models trained with the units, and without them, and the difference; null while they are not there."""

    full: Observed | None
    removed: Observed | None
    effect: Effect | None


class Guess(Answer):
    """What the datamodel predicts for the same."""

    full: float
    removed: float


class VerificationOf(Answer):
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


def verify_available(fit: OpenFit) -> Available:
    """Whether this fit's study can train models here."""
    study = fit.study
    if study.imported:
        return Available(available=False, why="This study was imported: its training is not at hand.")
    if study.task_at_hand is None and study.source is None:
        why = "This study's task was made in Python and does not know its import path."
        return Available(available=False, why=why)
    try:
        task_message.making_of(study)  # only whether it may be made: making it runs its author's code
    except InputError:
        why = (
            "This study was not created by the one who serves this page, so its training code is not run: start the "
            "explorer with --trust if you trust it, or with --task."
        )
        return Available(available=False, why=why)
    return Available(available=True, why="")


@router.post("", operation_id="verify", status_code=202)
def verify(fit: Fit, library: Books, request: Request, wanted: Wanted) -> Started:
    """Begin to retrain; the same order again gives the same job."""
    if wanted.target >= fit.dm.targets:
        raise HTTPException(404, f"there is no target {wanted.target}: targets are 0 to {fit.dm.targets - 1}")
    removed = tuple(sorted(set(wanted.removed)))
    check_unit(fit, removed[-1])
    if len(removed) == fit.dm.n:
        raise HTTPException(422, "nothing is left to train on: keep at least one unit")
    can = verify_available(fit)
    if not can.available:
        raise HTTPException(409, can.why)
    predicted = _predicted(fit, wanted.target, removed, wanted.base)
    order = Order(fit.study, fit.output, wanted.target, removed, wanted.runs, wanted.base, predicted)
    try:
        return Started(job=_desk(request).take(order).order.id)
    except InputError as error:
        raise HTTPException(409, str(error)) from error


@router.get("", operation_id="verifications")
def verifications(fit: Fit, target: Annotated[int | None, Query(ge=0, lt=2**31)] = None) -> list[VerificationOf]:
    """Finished verifications that are kept in the study, of one target or of all."""
    found = [_from_file(data) for data in kept(fit.study)]
    return [one for one in found if one and one.output == fit.output and target in (None, one.target)]


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


def _desk(request: Request) -> Desk:
    found = request.app.state.desk
    assert isinstance(found, Desk)
    return found


def _now(one: Verification) -> VerificationOf:
    order = one.order
    return VerificationOf(
        job=order.id,
        state=one.state,
        done=one.done(),
        total=one.total,
        error=one.why or None,
        target=order.target,
        output=order.output,
        removed=list(order.removed),
        runs=order.runs,
        base=order.base,
        predicted=Guess(**order.predicted),
        observed=_observed(one.values, order.base),
    )


def _from_file(data: Mapping[str, Any]) -> VerificationOf | None:
    """A verification that was kept; None for a file that another version or program wrote."""
    try:
        runs = data["runs"]
        return VerificationOf(
            **{key: data[key] for key in ("job", "target", "output", "removed", "runs", "base")},
            state="done",
            done=2 * runs,
            total=2 * runs,
            error=None,
            predicted=Guess(**data["predicted"]),
            observed=_observed(data["observed"], data["base"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _predicted(fit: OpenFit, target: int, removed: tuple[int, ...], base: str) -> dict[str, float]:
    lost = float(fit.sidecar.weight[target][list(removed)].sum(dtype="float64"))
    others = float(fit.table("total")[target]) - lost
    rest = float(fit.dm.bias[target]) + others * (fit.alpha if base == ALPHA else 1.0)
    return {"full": rest + lost, "removed": rest}


def _observed(values: Any, base: str) -> Both:
    found = {kind: Observed(**summary(values[kind])) for kind in ("full", "removed") if values.get(kind)}
    change = effect(values, base)
    return Both(full=found.get("full"), removed=found.get("removed"), effect=Effect(**change) if change else None)
