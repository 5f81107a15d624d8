"""Maps of targets and units, and clusters of targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import TypedDict

from subtrain.explorer.answers.examples import Shown, UnitWeight, target_shown, unit_shown
from subtrain.explorer.answers.numbers import rounded
from subtrain.explorer.data.maps import Map, draw_map, groups
from subtrain.explorer.data.target_search import unit_labels
from subtrain.explorer.jobs import Background
from subtrain.explorer.open_studies import OpenFit

EXAMPLES = 12
MEMBERS = 1000
FEW = 2000


class MapOf(Background):
    """Points in the plane by column, of `total` targets or units. number: which one; error, of targets: the share of
    models that are wrong about it, or, where the output does not tell, 1 - LDS."""

    of: str
    method: str
    total: int
    number: list[int]
    x: list[float | None]
    y: list[float | None]
    label: list[str | None] | None
    cluster: list[int] | None
    error: list[float | None] | None


class Cluster(TypedDict):
    """Targets whose datamodels are alike, and the units of the strongest mean weight for them."""

    cluster: int
    size: int
    label_counts: dict[str, int]
    members: list[int]
    examples: list[Shown]
    units: list[UnitWeight]


class Clusters(Background):
    """Clusters, largest first."""

    method: str
    items: list[Cluster]


NO_CLUSTERS: dict[str, Any] = {"method": "", "items": []}


def default_map(fit: OpenFit, of: str) -> str:
    """t-SNE, the prettiest map, for up to 2,000 points, else principal components, which take less time."""
    return "tsne" if _count(fit, of) <= FEW else "pca"


def no_map(fit: OpenFit, of: str) -> dict[str, Any]:
    """A map without points."""
    nothing: dict[str, Any] = {"number": [], "x": [], "y": [], "label": None, "cluster": None, "error": None}
    return {"of": of, "method": "", "total": _count(fit, of), **nothing}


def draw(fit: OpenFit, of: str, how: str) -> dict[str, Any]:
    """The fields of a `MapOf`: where targets or units lie by their weights."""
    found = draw_map(fit, of, how)
    labels = fit.labels if of == "targets" else unit_labels(fit)
    numbers = found.number.tolist()
    return {
        "of": of,
        "method": found.method,
        "total": _count(fit, of),
        "number": numbers,
        "x": rounded(found.x),
        "y": rounded(found.y),
        "label": [labels[i] or None for i in numbers] if labels and any(labels) else None,
        "cluster": found.cluster.tolist(),
        "error": _errors(fit, found) if of == "targets" else None,
    }


def clusters(fit: OpenFit) -> dict[str, Any]:
    """The fields of `Clusters`: groups of targets that hang on the same units."""
    found = draw_map(fit, "targets", "pca")
    items: list[Cluster] = [
        {
            "cluster": number,
            "size": int(group.members.size),
            "label_counts": group.labels,
            "members": group.members[:MEMBERS].tolist(),
            "examples": [target_shown(fit, target) for target in group.members[:EXAMPLES].tolist()],
            "units": [
                {"unit": unit_shown(fit, unit), "weight": weight, "low": None, "high": None, "itself": False}
                for unit, weight in zip(group.units.tolist(), group.weights.tolist(), strict=True)
            ],
        }
        for number, group in enumerate(groups(fit, found))
    ]
    return {"method": found.method.rpartition("; ")[2], "items": items}


def _count(fit: OpenFit, of: str) -> int:
    return fit.dm.targets if of == "targets" else fit.dm.n


def _errors(fit: OpenFit, found: Map) -> list[float | None]:
    share = fit.table("correct")
    values = share if np.isfinite(share).any() else fit.table("lds")
    return rounded(1 - values[found.number], 4)
