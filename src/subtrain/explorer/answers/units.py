"""Training units: all of them, and what one of them does to every target."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from subtrain.explorer.answers.examples import Shown, target_shown, unit_shown
from subtrain.explorer.data.target_major import K
from subtrain.explorer.data.target_search import unit_labels
from subtrain.explorer.open_studies import OpenFit


class TargetWeight(TypedDict):
    """A target with the weight that a unit has for it."""

    target: Shown
    weight: float


class UnitRow(Shown):
    """A unit in the list. effect: sum of its weights over all targets; strength: sum of their absolute values."""

    effect: float
    strength: float


class UnitRows(TypedDict):
    """total: units that match, of which these are some."""

    total: int
    offset: int
    version: str
    items: list[UnitRow]


class UnitDetail(TypedDict):
    """One unit. self_influence: its weight for itself, where targets are training examples; in_subsets: how many of
    the `subsets` masks that were looked at hold it."""

    shown: Shown
    fit: str
    version: str
    effect: float
    strength: float
    helped: int
    hurt: int
    self_influence: float | None
    in_subsets: int
    subsets: int
    share_of_subsets: float | None
    helps: list[TargetWeight]
    hurts: list[TargetWeight]
    previous: int | None
    next: int | None


def rows(fit: OpenFit, q: str, only: Collection[int] | None, sort: str, offset: int, limit: int) -> UnitRows:
    """Training units that match, sorted, a page at a time."""
    found = _matching(fit, q)
    if only is not None:
        found = found[np.isin(found, [*only])]
    name, down = sort.lstrip("-"), sort.startswith("-")
    values = found if name == "unit" else fit.table(f"unit_{name}")[found]
    found = found[np.argsort(-values if down else values, kind="stable")]
    items = [_row(fit, unit) for unit in found[offset : offset + limit].tolist()]
    return {"total": int(found.size), "offset": offset, "version": fit.version, "items": items}


def unit(fit: OpenFit, unit: int, k: int = K) -> UnitDetail:
    """The targets that a unit helps and hurts most."""
    weight = np.asarray(fit.dm.weight[unit])
    good = fit.sign * weight
    own = [target for target in _targets_about(fit, unit) if fit.viewer.is_itself(unit, target)]
    count, of = int(fit.table("in_subsets")[unit]), int(fit.sidecar.about["looked_at"])
    return {
        "shown": unit_shown(fit, unit),
        "fit": fit.ref,
        "version": fit.version,
        "effect": float(fit.table("unit_effect")[unit]),
        "strength": float(fit.table("unit_strength")[unit]),
        "helped": int(np.count_nonzero(good > 0)),
        "hurt": int(np.count_nonzero(good < 0)),
        "self_influence": float(weight[own[0]]) if own else None,
        "in_subsets": count,
        "subsets": of,
        "share_of_subsets": count / of if of else None,
        "helps": _ranked(fit, good, k, fit.sign),
        "hurts": _ranked(fit, -good, k, -fit.sign),
        "previous": unit - 1 if unit else None,
        "next": unit + 1 if unit + 1 < fit.dm.n else None,
    }


def _matching(fit: OpenFit, q: str) -> NDArray[np.int64]:
    if not q:
        return np.arange(fit.dm.n)
    word = q.casefold().strip()
    labels = unit_labels(fit)
    if word.isdigit() and int(word) < fit.dm.n and word not in labels:
        return np.array([int(word)])
    return np.array([u for u, label in enumerate(labels) if word in label.casefold()], np.int64)


def _row(fit: OpenFit, unit: int) -> UnitRow:
    return {
        **unit_shown(fit, unit),
        "effect": float(fit.table("unit_effect")[unit]),
        "strength": float(fit.table("unit_strength")[unit]),
    }


def _targets_about(fit: OpenFit, unit: int) -> range:
    """Targets of the example with this number, if targets are examples."""
    each = int(np.prod(fit.viewer.shape[1:], dtype=np.int64))
    return range(unit * each, min((unit + 1) * each, fit.dm.targets))


def _ranked(fit: OpenFit, weight: NDArray[np.floating], k: int, sign: int = 1) -> list[TargetWeight]:
    order = np.argsort(-weight, kind="stable")[:k]
    return [
        {"target": target_shown(fit, target), "weight": sign * float(weight[target])}
        for target in order.tolist()
        if weight[target] > 0
    ]
