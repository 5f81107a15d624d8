"""Targets: the gallery, one of them in full, its weights, and what it would be without some units."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import cast

import numpy as np
from typing_extensions import TypedDict

from subtrain.designs.samplers import subset_size
from subtrain.explorer.answers.examples import Shown, UnitWeight, check_unit, target_shown, unit_shown
from subtrain.explorer.answers.numbers import floats, known, rounded
from subtrain.explorer.data.target_major import K
from subtrain.explorer.data.target_search import columns
from subtrain.explorer.open_studies import OpenFit
from subtrain.levels import BEND, SLOPE

# Tables whose name is another than that of the figure.
COLUMNS = {"margin": "mean", "accuracy": "correct"}


class TargetRow(Shown):
    """A target in the gallery. margin: mean output over all models; correct: share of models that are right about it;
    support: how many of the most helpful units must go before the predicted margin falls below zero (0: it is below
    already, null: it never does, or the output is no margin); nonzero: units with a weight that is not zero; leakage:
    the highest score of a suspect pair with this target."""

    margin: float | None
    correct: float | None
    lds: float | None
    lds_ceiling: float | None
    support: int | None
    nonzero: int
    leakage: float | None


class TargetRows(TypedDict):
    """total: targets that match, of which these are some."""

    total: int
    offset: int
    version: str
    items: list[TargetRow]


class Histogram(TypedDict):
    """counts [B] of models between edges [B + 1]."""

    edges: list[float]
    counts: list[int]


class Heldout(TypedDict):
    """Predicted and actual output on held-out subsets, the actual one a mean over `runs`; at most 400 of `subsets`."""

    predicted: list[float | None]
    actual: list[float | None]
    runs: int
    subsets: int
    ceiling: float | None


class LevelOf(TypedDict):
    """Of an output between `usual` units, as subsets have, and all `units`, beyond what weights say: with x from 0 to 1
    between them, slope * x + bend * x^2; below, slope * x."""

    slope: float
    bend: float
    usual: int
    units: int


class TargetDetail(TypedDict):
    """One target. full and average: predicted output of a model trained on every unit, and of one trained on a random
    subset (alpha of them); each unit that is removed takes its weight away from `full`; level: what fewer units do,
    whichever they are; level_said: what tells it, or that nothing does. helpful:
    the units that make the output better, that raise it where neither way is; harmful: the others."""

    shown: Shown
    fit: str
    version: str
    margin: float | None
    sd: float | None
    accuracy: float | None
    models: int
    margins: Histogram
    lds: float | None
    lds_ceiling: float | None
    lds_one: float | None
    lds_one_ceiling: float | None
    lam: float | None
    support: int | None
    nonzero: int
    bias: float
    weight_sum: float
    alpha: float
    full: float
    average: float
    level: LevelOf
    level_said: str
    leakage: float | None
    helpful: list[UnitWeight]
    harmful: list[UnitWeight]
    heldout: Heldout | None
    previous: int | None
    next: int | None


class Weights(TypedDict):
    """Every unit with a weight that is not zero, strongest first; total of them, of which these are some."""

    total: int
    unit: list[int]
    weight: list[float]


class Predicted(TypedDict):
    """full: predicted output of a model trained on every unit; predicted: without those removed; low, high: its 95 %
    interval, null where none is known; weights: of the units removed."""

    full: float
    predicted: float
    low: float | None
    high: float | None
    weights: dict[int, float]


def rows(
    fit: OpenFit,
    q: str = "",
    label: str | None = None,
    correct: bool | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    only: Collection[int] | None = None,
    sort: str = "target",
    offset: int = 0,
    limit: int | None = None,
) -> TargetRows:
    """Targets that match, sorted, a page at a time."""
    found = columns(fit).ordered(columns(fit).matching(q, label, correct, bounds, only), sort)
    page = found[offset:] if limit is None else found[offset : offset + limit]
    items = [row(fit, target) for target in page.tolist()]
    return {"total": int(found.size), "offset": offset, "version": fit.version, "items": items}


def row(fit: OpenFit, target: int) -> TargetRow:
    counts = {"support": support_of(fit, target), "nonzero": int(fit.table("nonzero")[target])}
    told = figures(fit, target, ("margin", "correct", "lds", "lds_ceiling", "leakage"))
    return cast(TargetRow, {**target_shown(fit, target), **told, **counts})


def figures(fit: OpenFit, target: int, names: Iterable[str]) -> dict[str, float | None]:
    """What the tables say of a target, null where it does not exist; the margin is the mean output."""
    return {name: known(fit.table(COLUMNS.get(name, name))[target]) for name in names}


def support_of(fit: OpenFit, target: int) -> int | None:
    """The data support, null where there is none."""
    size = int(fit.table("support")[target])
    return size if size >= 0 and fit.words["zero"] else None


def target(fit: OpenFit, target: int, k: int = K) -> TargetDetail:
    """Everything about one target, with the k strongest units on either side."""
    table = fit.table
    # The table has those that raise the output first; of losses those help that lower it.
    up = 0 if fit.sign > 0 else K
    bias, total = float(fit.dm.bias[target]), float(table("total")[target])
    scores = ("lds", "lds_ceiling", "lds_one", "lds_one_ceiling")
    told = {
        **figures(fit, target, ("margin", "sd", "accuracy", *scores, "leakage")),
        "shown": target_shown(fit, target),
        "fit": fit.ref,
        "version": fit.version,
        "models": int(fit.sidecar.about["models"]),
        "margins": _histogram(fit, target),
        "lam": known(fit.dm.lam[target]),
        "support": support_of(fit, target),
        "nonzero": int(table("nonzero")[target]),
        "bias": bias,
        "weight_sum": total,
        "alpha": fit.alpha,
        "full": fit.whole(target),
        "level": _level(fit, target),
        "level_said": fit.dm.level_said,
        "average": bias + fit.alpha * total,
        "helpful": _strongest(fit, target, slice(up, up + k)),
        "harmful": _strongest(fit, target, slice(K - up, K - up + k)),
        "heldout": _heldout(fit, target),
        "previous": target - 1 if target else None,
        "next": target + 1 if target + 1 < fit.dm.targets else None,
    }
    return cast(TargetDetail, told)


def weights(fit: OpenFit, target: int, limit: int = 5000) -> Weights:
    """The units with a weight that is not zero, largest absolute weight first."""
    values = fit.sidecar.weight[target]
    there = np.flatnonzero(values)
    order = there[np.argsort(-np.abs(values[there]), kind="stable")][:limit]
    return {"total": int(there.size), "unit": order.tolist(), "weight": floats(values[order])}


def without(fit: OpenFit, target: int, removed: Collection[int]) -> Predicted:
    """The predicted output of a model trained on every unit but these."""
    units = sorted(set(removed))
    for unit in units[-1:]:
        check_unit(fit, unit)
    values = fit.sidecar.weight[target][units].astype(np.float64)
    predicted = fit.without(target, units)
    half = fit.half_width(target, units)
    return {
        "full": fit.whole(target),
        "predicted": predicted,
        "low": None if half is None else predicted - half,
        "high": None if half is None else predicted + half,
        "weights": dict(zip(units, floats(values), strict=True)),
    }


def _level(fit: OpenFit, target: int) -> LevelOf:
    n, level = fit.dm.n, fit.dm.level
    slope, bend = (0.0, 0.0) if level is None else (float(level[row, target]) for row in (SLOPE, BEND))
    return {"slope": slope, "bend": bend, "usual": subset_size(fit.alpha, n), "units": n}


def _histogram(fit: OpenFit, target: int) -> Histogram:
    counts = fit.table("counts")[target]
    low, high = float(fit.table("low")[target]), float(fit.table("high")[target])
    if not np.isfinite(high - low):
        return {"edges": [0.0, 1.0], "counts": [0]}
    edges = np.linspace(low, high if high > low else low + 1, counts.size + 1)
    return {"edges": floats(edges), "counts": counts.tolist()}


def _strongest(fit: OpenFit, target: int, side: slice) -> list[UnitWeight]:
    units, values = fit.table("unit")[target, side], fit.table("value")[target, side]
    return [
        {
            "unit": unit_shown(fit, unit),
            "weight": weight,
            "low": None if half is None else weight - half,
            "high": None if half is None else weight + half,
            "itself": fit.viewer.is_itself(unit, target),
        }
        for unit, weight in zip(units.tolist(), floats(values), strict=True)
        if unit >= 0
        for half in (fit.half_width(target, [unit]),)
    ]


def _heldout(fit: OpenFit, target: int) -> Heldout | None:
    evaluation = fit.sidecar.about["evaluation"]
    if evaluation is None:
        return None
    return {
        "predicted": rounded(fit.table("predicted")[target]),
        "actual": rounded(fit.table("actual")[target]),
        "runs": evaluation["replicates"],
        "subsets": evaluation["subsets"],
        "ceiling": known(fit.table("lds_ceiling")[target]),
    }
