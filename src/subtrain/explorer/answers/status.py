"""How the study stands now, and what more models would be worth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from typing_extensions import TypedDict

from subtrain.explorer.jobs import Background
from subtrain.explorer.open_studies import Library, OpenFit
from subtrain.study import Study


class Failure(TypedDict):
    """A model that failed, and why."""

    model: int
    why: str
    host: str


class StatusOf(TypedDict):
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


class CurvePoint(TypedDict):
    """LDS of a fit on this number of models."""

    models: int
    lds: float | None
    low: float | None
    high: float | None
    ceiling: float | None


class Curve(Background):
    """LDS against models, per target, mean over some `targets`, on `subsets` held-out subsets of `replicates` runs."""

    output: str | None
    targets: int | None
    subsets: int | None
    replicates: int | None
    points: list[CurvePoint]


NO_CURVE: dict[str, Any] = {**dict.fromkeys(("output", "targets", "subsets", "replicates")), "points": []}


def status(library: Library) -> StatusOf:
    """How the study stands now, read from what is committed."""
    found = Study.open(library.study.store).status()
    state = "running" if found.runners or found.jobs else ("done" if found.done == found.models else "stopped")
    return {
        "name": library.study.name,
        "models": found.models,
        "committed": found.done,
        "fit_models": found.fit_models,
        "fit_committed": found.fit_done,
        "evaluation_models": found.evaluation_models,
        "evaluation_committed": found.evaluation_done,
        "failed": len(found.failed),
        "failures": [{"model": one.model, "why": one.why, "host": one.host} for one in found.failed[:20]],
        "running": found.running,
        "rate": found.rate,
        "eta_s": found.eta_seconds,
        "state": state,
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        "fits": library.versions(),
    }


def curve(fit: OpenFit) -> dict[str, Any]:
    """The fields of a `Curve`: LDS against models."""
    from subtrain.uses.learning_curve import learning_curve

    found = learning_curve(fit.study, output=fit.output)
    points = [
        {
            "models": point["models"],
            "lds": point["lds"]["value"],
            "low": point["lds"]["low"],
            "high": point["lds"]["high"],
            "ceiling": point["ceiling"],
        }
        for point in found.to_json()["points"]
    ]
    return {name: getattr(found, name) for name in ("output", "targets", "subsets", "replicates")} | {"points": points}
