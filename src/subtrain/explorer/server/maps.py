"""Maps of targets and units, and clusters of targets."""

from __future__ import annotations

from typing import Literal

import numpy as np
from fastapi import APIRouter
from pydantic import Field

from subtrain.explorer.data.maps import Map, draw_map, groups
from subtrain.explorer.data.target_search import unit_labels
from subtrain.explorer.open_studies import OpenFit
from subtrain.explorer.server.shared import (
    Answer,
    Available,
    Background,
    Books,
    Fit,
    Shown,
    UnitWeight,
    rounded,
    target_shown,
    unit_shown,
)

router = APIRouter(prefix="/api", tags=["maps"])
EXAMPLES = 12
FEW = 2000


class MapOf(Background):
    """Points in the plane by column, of `total` targets or units. number: which one; error, of targets: the share of
    models that are wrong about it, or, where the output does not tell, 1 - LDS."""

    of: str
    method: str = ""
    total: int = 0
    number: list[int] = Field(default_factory=list)
    x: list[float | None] = Field(default_factory=list)
    y: list[float | None] = Field(default_factory=list)
    label: list[str | None] | None = None
    cluster: list[int] | None = None
    error: list[float | None] | None = None


class Cluster(Answer):
    """Targets whose datamodels are alike, and the units of the strongest mean weight for them."""

    cluster: int
    size: int
    label_counts: dict[str, int]
    members: list[int]
    examples: list[Shown]
    units: list[UnitWeight]


class Clusters(Background):
    """Clusters, largest first."""

    method: str = ""
    items: list[Cluster] = Field(default_factory=list)


def map_available(fit: OpenFit) -> Available:
    few = fit.dm.targets < 3
    return Available(available=not few, why="There are fewer than three targets." if few else "")


@router.get("/map", operation_id="map")
def map_of(
    fit: Fit,
    library: Books,
    of: Literal["targets", "units"] = "targets",
    how: Literal["pca", "spectral", "tsne"] | None = None,
) -> MapOf:
    """Where targets or units lie by their weights; computed in the background when it is first asked for.

    how: t-SNE by default for up to 2,000 points, else principal components.
    """
    way = how or default_map(fit, of)
    job = library.jobs.once(("map", of, way, fit.ref, fit.version), lambda: draw_map(fit, of, way))
    total = fit.dm.targets if of == "targets" else fit.dm.n
    if job.state != "done":
        return MapOf(state=job.state, why=job.why, of=of, total=total)
    found: Map = job.value
    labels = fit.labels if of == "targets" else unit_labels(fit)
    numbers = found.number.tolist()
    return MapOf(
        of=of,
        method=found.method,
        total=total,
        number=numbers,
        x=rounded(found.x),
        y=rounded(found.y),
        label=[labels[i] or None for i in numbers] if labels and any(labels) else None,
        cluster=found.cluster.tolist(),
        error=_errors(fit, found) if of == "targets" else None,
    )


def default_map(fit: OpenFit, of: str) -> str:
    """The prettiest that does not take long."""
    return "tsne" if (fit.dm.targets if of == "targets" else fit.dm.n) <= FEW else "pca"


def _errors(fit: OpenFit, found: Map) -> list[float | None]:
    share = fit.table("correct")
    values = share if np.isfinite(share).any() else fit.table("lds")
    return rounded(1 - values[found.number], 4)


@router.get("/clusters", operation_id="clusters")
def clusters(fit: Fit, library: Books) -> Clusters:
    """Groups of targets that hang on the same units."""
    job = library.jobs.once(("clusters", fit.ref, fit.version), lambda: _clusters(fit))
    if job.state != "done":
        return Clusters(state=job.state, why=job.why)
    found: Clusters = job.value
    return found


def _clusters(fit: OpenFit) -> Clusters:
    found = draw_map(fit, "targets", "pca")
    items = [
        Cluster(
            cluster=number,
            size=group.members.size,
            label_counts=group.labels,
            members=group.members[:1000].tolist(),
            examples=[target_shown(fit, t) for t in group.members[:EXAMPLES].tolist()],
            units=[
                UnitWeight(unit=unit_shown(fit, u), weight=w, low=None, high=None, itself=False)
                for u, w in zip(group.units.tolist(), group.weights.tolist(), strict=True)
            ],
        )
        for number, group in enumerate(groups(fit, found))
    ]
    return Clusters(method=found.method.rpartition("; ")[2], items=items)
