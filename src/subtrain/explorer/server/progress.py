"""How the study stands now, and what more models would be worth."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import Field

from subtrain.explorer.open_studies import OpenFit
from subtrain.explorer.server.shared import Answer, Background, Books, Fit
from subtrain.study import Study

router = APIRouter(prefix="/api", tags=["study"])


class Failure(Answer):
    """A model that failed, and why."""

    model: int
    why: str
    host: str


class StatusOf(Answer):
    """How the study stands now. rate: models a second; state: done, running or stopped; fits: version of each whole
    fit by its ref, so that a page can tell when to load it again."""

    name: str
    models: int
    committed: int
    fit_models: int
    fit_committed: int
    evaluation_models: int
    evaluation_committed: int
    failed: int
    failures: list[Failure]
    running: int
    rate: float
    eta_s: float | None
    state: str
    updated: str
    fits: dict[str, str | None]


class CurvePoint(Answer):
    """LDS of a fit on so many models."""

    models: int
    lds: float | None
    low: float | None
    high: float | None
    ceiling: float | None


class Curve(Background):
    """LDS against models, per target, mean over some `targets`, on `subsets` held-out subsets of `replicates` runs."""

    output: str | None = None
    targets: int | None = None
    subsets: int | None = None
    replicates: int | None = None
    points: list[CurvePoint] = Field(default_factory=list)


@router.get("/status", operation_id="status")
def status(library: Books) -> StatusOf:
    """How the study stands now, read from what is committed."""
    found = Study.open(library.study.store).status()
    state = "running" if found.runners or found.jobs else ("done" if found.done == found.models else "stopped")
    return StatusOf(
        name=library.study.name,
        models=found.models,
        committed=found.done,
        fit_models=found.fit_models,
        fit_committed=found.fit_done,
        evaluation_models=found.evaluation_models,
        evaluation_committed=found.evaluation_done,
        failed=len(found.failed),
        failures=[Failure(model=one.model, why=one.why, host=one.host) for one in found.failed[:20]],
        running=found.running,
        rate=found.rate,
        eta_s=found.eta_seconds,
        state=state,
        updated=datetime.now(UTC).isoformat(timespec="seconds"),
        fits=library.versions(),
    )


@router.get("/curve", operation_id="curve")
def curve(fit: Fit, library: Books) -> Curve:
    """LDS against models, computed in the background when it is first asked for."""
    job = library.jobs.once(("curve", fit.ref, fit.version), lambda: _curve(fit))
    if job.state != "done":
        return Curve(state=job.state, why=job.why)
    found: Curve = job.value
    return found


def _curve(fit: OpenFit) -> Curve:
    from subtrain.uses.learning_curve import learning_curve

    found = learning_curve(fit.study, output=fit.output)
    points = [
        CurvePoint(models=p["models"], ceiling=p["ceiling"], **_flat(p["lds"])) for p in found.to_json()["points"]
    ]
    return Curve(
        output=found.output,
        targets=found.targets,
        subsets=found.subsets,
        replicates=found.replicates,
        points=points,
    )


def _flat(interval: dict[str, float | None]) -> dict[str, float | None]:
    return {"lds": interval["value"], "low": interval["low"], "high": interval["high"]}
