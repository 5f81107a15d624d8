"""How well predicted effects agree with those observed on retrained models, and how well they could."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.evaluation import Interval, correlation, rank
from subtrain.formatting import number
from subtrain.system.types import Floats


@dataclass(frozen=True)
class Agreement:
    """Pooled figures are over all k effects; `target_*` per target over its own effects, mean over targets.

    Intervals are 95 %, by a bootstrap over targets. A ceiling is an upper bound of what a perfect predictor of the
    expected effect would reach against means of so few runs. slope: of observed on predicted, by least squares; 1 is
    right.
    """

    effects: int
    targets: int
    spearman: Interval
    pearson: Interval
    slope: Interval
    ceiling: float
    target_spearman: Interval
    target_pearson: Interval
    target_ceiling: float

    def __str__(self) -> str:
        return (
            f"pooled Spearman {told(self.spearman.value, float('inf'))}, Pearson "
            f"{told(self.pearson.value, self.ceiling)}, slope {told(self.slope.value, float('inf'), 2)}; per target "
            f"Spearman {told(self.target_spearman.value, self.target_ceiling)}"
        )

    def __repr__(self) -> str:
        return f"Agreement({self.effects} effects on {self.targets} targets: {self})"


def told(value: float, ceiling: float, places: int = 3) -> str:
    """A figure beside its ceiling, which is an estimate too; words where one of them does not exist."""
    if value != value:
        return "unknown (too few different effects)"
    if ceiling == float("inf"):
        return number(value, places)
    if ceiling != ceiling:
        return f"{number(value, places)} (ceiling unknown)"
    most = f"of at most {ceiling:.3f}" if value <= ceiling else f"at its upper bound of about {ceiling:.3f}"
    return f"{number(value, places)} {most}"


def agreement(
    predicted: Floats, observed: Floats, target: NDArray[np.int64], noise: Floats, shared: Floats, bootstrap: int = 300
) -> Agreement:
    """Compare predicted effects [k] with observed ones [k] on the targets [k] they are about.

    noise [k]: variance of each observed effect that is its own; shared [k]: variance that all effects of a target have
    in common, from the models without removal, which moves a target's effects together.
    """
    groups = [np.flatnonzero(target == t) for t in np.unique(target)]
    draws = _draws(len(groups), bootstrap)
    measures: dict[str, Callable[[Floats, Floats], float]] = {"spearman": _spearman, "pearson": _pearson}
    pooled = {
        name: _pooled(measure, predicted, observed, groups, draws)
        for name, measure in {**measures, "slope": _slope}.items()
    }
    several = [g for g in groups if g.size > 2]
    each = {
        name: _mean(np.array([m(predicted[g], observed[g]) for g in several]), bootstrap)
        for name, m in measures.items()
    }
    return Agreement(
        effects=predicted.size,
        targets=len(groups),
        **pooled,
        ceiling=_ceiling([observed], [noise + shared]),
        target_spearman=each["spearman"],
        target_pearson=each["pearson"],
        target_ceiling=_ceiling([observed[g] for g in several], [noise[g] for g in several]),
    )


def _draws(groups: int, bootstrap: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(groups, size=(bootstrap, groups))


def _pooled(
    measure: Callable[[Floats, Floats], float],
    predicted: Floats,
    observed: Floats,
    groups: list[NDArray[np.int64]],
    draws: NDArray[np.int64],
) -> Interval:
    resampled = []
    for draw in draws:
        some = np.concatenate([groups[g] for g in draw])
        resampled.append(measure(predicted[some], observed[some]))
    return _interval(measure(predicted, observed), np.array(resampled))


def _mean(values: Floats, bootstrap: int) -> Interval:
    values = values[np.isfinite(values)]
    if not values.size:
        return Interval(*[float("nan")] * 3)
    return _interval(float(values.mean()), values[_draws(values.size, bootstrap)].mean(axis=1))


def _interval(value: float, resampled: Floats) -> Interval:
    low, high = np.nanpercentile(resampled, [2.5, 97.5]) if np.isfinite(resampled).any() else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


def _pearson(a: Floats, b: Floats) -> float:
    return float(correlation(a[:, None], b[:, None])[0])


def _spearman(a: Floats, b: Floats) -> float:
    return _pearson(rank(a), rank(b))


def _slope(predicted: Floats, observed: Floats) -> float:
    centered = predicted - predicted.mean()
    spread = float(centered @ centered)
    return float(centered @ (observed - observed.mean())) / spread if spread > 0 else float("nan")


def _ceiling(observed: list[Floats], noise: list[Floats]) -> float:
    """sqrt of the share of the variance of observed effects, within groups, that is not noise.

    Variances are averaged over groups before they are divided: of a few effects each is known too badly.
    """
    spread = float(np.mean([part.var(ddof=1) for part in observed if part.size > 1] or [0.0]))
    wrong = float(np.mean([part.mean() for part in noise] or [0.0]))
    if np.isnan(wrong):  # of one run, which does not tell its noise
        return wrong
    return float(np.sqrt(max(0.0, 1 - wrong / spread))) if spread > 0 else float("nan")
