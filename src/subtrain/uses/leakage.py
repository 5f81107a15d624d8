"""Train-test leakage: training units whose weight stands out from all others of a target, as a duplicate's does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import numbers_below
from subtrain.errors import InputError
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.counterfactual import Counterfactuals, verify_removals
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removals import Removal
from subtrain.uses.kit.result import Figure, Result, Table, new_figure

FEW_TARGETS, NEAREST = 20, 1e-6
BLOCK = 1 << 23
"""Weights that are sorted at a time."""
TAIL_LEAST, TAIL = 10, 30
"""How many of a target's largest weights may tell how they fall off."""


@dataclass(frozen=True, eq=False, repr=False)
class Leakage(Result):
    """Suspect pairs of a training unit and a target, surest first.

    unit, target int64 [k], weight [k]; score [k]: by how many times the gap below the suspects is larger than the
    target's own gaps say; p [k], of the target's suspects, and q [k]: of the targets with q at most x, a share of x is
    expected to be clean. scale: by how much clean targets' scores are larger than the model of the tail says; every
    score is divided by it. tested: targets with enough weights to tell.
    """

    unit: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: Floats
    score: Floats
    p: Floats
    q: Floats
    fdr: float
    scale: float
    tested: int
    targets: int
    n: int
    output: str
    all_p: Floats

    def verify(self, runs: int = 10, **options: Any) -> Counterfactuals:
        """Retrain without the suspects of each target, and without as many random units: does its output move?

        options: as for `Counterfactuals.verify`. Raises InputError where there are no suspects.
        """
        suspect = self.q <= self.fdr
        jobs = [
            Removal(int(target), self.unit[suspect & (self.target == target)].tolist(), "suspect")
            for target in np.unique(self.target[suspect])
        ]
        return verify_removals(self, jobs, runs, **options)

    def finding(self) -> str:
        found = int((self.q <= self.fdr).sum())
        return (
            f"{self.output}: {found} suspect pairs at {self.fdr:.0%} false discoveries, of {self.n} units and "
            f"{self.tested} targets that can be told; {self.targets - self.tested} have too few weights"
        )

    def table(self) -> Table:
        """Every target's suspects for review, surest first; the column `decision` is for whoever looks at them."""
        return {
            "target": self.target,
            "unit": self.unit,
            "weight": self.weight,
            "score": self.score,
            "p": self.p,
            "q": self.q,
            "suspect": self.q <= self.fdr,
            "decision": np.full(self.unit.size, "", dtype=np.str_),
        }

    def figure(self) -> Figure:
        """p-values of all targets, which are flat where nothing leaks, and the weights of the suspects."""
        figure = new_figure(8.0, 3.4)
        left, right = figure.subplots(1, 2)
        left.hist(self.all_p, np.linspace(0, 1, 21), alpha=0.7)
        left.axhline(self.all_p.size / 20, color="0.4", ls="--", lw=0.8, label="if nothing leaked")
        left.set(xlabel="p-value of a target's suspects", ylabel="targets", title="per target")
        left.legend(frameon=False)
        suspect = self.q <= self.fdr
        right.semilogx(self.score[~suspect], self.weight[~suspect], ".", color="0.6", label="others")
        right.semilogx(self.score[suspect], self.weight[suspect], ".", color="C3", label=f"q ≤ {self.fdr:g}")
        right.set(xlabel="score", ylabel="weight", title="pairs")
        right.legend(frameon=False)
        figure.suptitle(
            f"{self.output}: {self.tested} targets, n = {self.n} units; not held out, nothing retrained",
            fontsize="small",
        )
        return figure


@question
def leakage(
    dm: Datamodels,
    study: Study | None = None,
    targets: Sequence[int] | None = None,
    fdr: float = 0.1,
    train: Datamodels | None = None,
    copies: int = 1,
) -> Leakage:
    """Rank the units that matter to one target far more than all others do, as a copy of it would.

    Each unit's weights are taken relative to their mean size over all targets: one that matters to its whole class
    stands out at none of them. A target's weights, by size, then fall off like a power law: the logarithm of the j-th
    over the (j + 1)-th, times j, is exponential, the same for all j (Rényi). A copy breaks that: the gap below it is
    too large. The score of the first c weights is their gap over the mean gap of those that follow; its p-value is that
    of an F distribution, times `copies` for the best of c = 1 … copies. As a guard against tails of another kind,
    scores are divided by a common scale if the targets' median is larger than it should be. Weights of both signs
    count, for a copy with a wrong label harms. Whether a suspect is a copy is for a person to say: hence the column for
    decisions.

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on, if it is there: for labels, for a declared direction, and to say
            where the fit is weak.
        targets: Numbers of targets; by default all.
        fdr: Share of the targets with suspects that may be clean, between 0 and 1 (Benjamini and Hochberg over
            targets).
        train: Datamodels [n, n] of the training examples themselves, as of train_margins. A pair is then told by how
            near the datamodels of its two sides are, which finds copies that a model learns without any one of them:
            one over (1 minus their cosine) takes the place of the weight. Distances to one's neighbors have the same
            law (Levina and Bickel 2004, section 3).
        copies: Copies of one target to look for at most, 1 to 10: two of them hide each other from a search for one.

    Returns:
        Leakage: every target's best suspects, surest first.

    Raises:
        InputError: For an fdr or number of copies that cannot be, and datamodels of other shapes.

    Example:
        >>> found = st.leakage(dm, study)
        >>> found.tested, found.n
        (8, 30)
    """
    if not 0 < fdr < 1:
        raise InputError(f"fdr must be between 0 and 1, got {fdr}")
    if not 1 <= copies <= TAIL_LEAST:
        raise InputError(f"copies must be in 1..{TAIL_LEAST}, got {copies}")
    chosen = np.arange(dm.targets) if targets is None else numbers_below("targets", targets, dm.targets)
    order, size, weight, nonzero = _largest(dm, chosen, copies, train)
    able = np.flatnonzero((weight != 0).any(axis=0) & ((size > 0).sum(axis=0) >= copies + 4))
    score, freedom = _gaps(size[:, able], nonzero[able], copies)
    scale = _scale(score, freedom)
    p, best = _best(score / scale, freedom)
    from scipy.stats import false_discovery_control

    q = false_discovery_control(p) if p.size else p
    rows = [(k, c) for k in range(able.size) for c in range(best[k])]
    at = np.array([k for k, _ in rows], np.int64)
    place = np.array([c for _, c in rows], np.int64)
    unit = order[place, able[at]]
    strength = (score / scale)[best[at] - 1, at] if at.size else np.zeros(0)
    ranked = np.lexsort((place, -strength, p[at]))
    at, unit = at[ranked], unit[ranked]
    return Leakage(
        unit=unit,
        target=chosen[able[at]],
        weight=weight[place[ranked], able[at]],
        score=strength[ranked],
        p=p[at],
        q=q[at],
        fdr=fdr,
        scale=scale,
        tested=able.size,
        targets=chosen.size,
        n=dm.n,
        output=str(dm.meta.get("output", "output")),
        all_p=p,
    )


def _largest(
    dm: Datamodels, targets: NDArray[np.int64], copies: int, train: Datamodels | None
) -> tuple[NDArray[np.int64], Floats, Floats, NDArray[np.int64]]:
    """The units [top, T] that stand out most, by how much, largest first; their weights; and how many there are [T].

    A block of targets at a time, so that weights that are mapped from a file stay there.
    """
    top = min(copies + TAIL + 1, dm.n)
    order = np.empty((top, targets.size), np.int64)
    size, weight, nonzero = np.empty(order.shape), np.empty(order.shape), np.empty(targets.size, np.int64)
    scale = _scale_of_units(dm, copies) if train is None else None
    step = max(1, BLOCK // dm.n)
    for start in range(0, targets.size, step):
        some = slice(start, start + step)
        block = dm.weight[:, targets[some]].astype(np.float64)
        told = 1 / _distances(train, block) if train is not None else np.abs(block) / scale
        order[:, some] = np.argpartition(-told, np.arange(top), axis=0)[:top]
        size[:, some] = np.take_along_axis(told, order[:, some], axis=0)
        weight[:, some] = np.take_along_axis(block, order[:, some], axis=0)
        nonzero[some] = np.count_nonzero(told, axis=0)
    return order, size, weight, nonzero


def _distances(train: Datamodels, weight: Floats) -> Floats:
    """1 minus the cosine [n, T] of the datamodels of training examples and of targets [n, T], without the weight of the
    example itself, which tells how it is remembered."""
    if train.weight.shape != (len(weight), len(weight)):
        raise InputError(
            f"train must be datamodels of the {len(weight)} training examples, [{len(weight)}, {len(weight)}]; got "
            f"{list(train.weight.shape)}"
        )
    own = train.weight.astype(np.float64)
    np.fill_diagonal(own, 0)
    left = np.sqrt(np.maximum(np.square(weight).sum(axis=0) - np.square(weight), 0))
    size = np.linalg.norm(own, axis=0)[:, None] * left
    cosine = np.divide(own.T @ weight, size, out=np.zeros_like(weight), where=size > 0)
    return np.asarray(np.maximum(1 - cosine, NEAREST))


def _scale_of_units(dm: Datamodels, copies: int) -> Floats:
    """Mean size [n, 1] of each unit's weights over targets, a few that may leak left out; 1 if there are too few."""
    if dm.targets < FEW_TARGETS:
        return np.ones((dm.n, 1))
    usual = dm.targets - copies
    scale = np.empty((dm.n, 1))
    step = max(1, BLOCK // dm.targets)
    for first in range(0, dm.n, step):
        sizes = np.partition(np.abs(dm.weight[first : first + step]), usual, axis=1)[:, :usual]
        scale[first : first + step] = sizes.mean(axis=1, keepdims=True, dtype=np.float64)
    return np.where(scale > 0, scale, 1.0)


def _gaps(size: Floats, nonzero: NDArray[np.int64], copies: int) -> tuple[Floats, Floats]:
    """Scores [copies, T] of the gap below the first c sizes [top, T], sorted, and the degrees of freedom of each.

    Of `nonzero` weights [T] only the largest fifth, at least TAIL_LEAST, tell how they fall off: they are the tail.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(size > 0, size, np.nan))
    gaps = (logs[:-1] - logs[1:]) * np.arange(1, len(size))[:, None]
    gaps[np.arange(len(gaps))[:, None] >= copies + np.maximum(TAIL_LEAST, nonzero // 5)] = np.nan
    score, freedom = np.empty((copies, size.shape[1])), np.empty((copies, size.shape[1]))
    for c in range(copies):
        below = gaps[c + 1 :]
        freedom[c] = 2 * np.isfinite(below).sum(axis=0)
        score[c] = gaps[c] / np.maximum(np.nanmean(below, axis=0), 1e-12)
    return score, freedom


def _scale(score: Floats, freedom: Floats) -> float:
    """How much larger the median score of single suspects is than that of its distribution; 1 if it is smaller."""
    from scipy.stats import f

    if not score.size:
        return 1.0
    return max(1.0, float(np.median(score[0] / f.median(2, freedom[0]))))


def _best(score: Floats, freedom: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """p [T] of the most surprising number of suspects, corrected for trying several, and that number [T]."""
    from scipy.stats import f

    p = f.sf(score, 2, freedom)
    return np.minimum(1.0, len(p) * p.min(axis=0)), p.argmin(axis=0) + 1


def recall_at(score: Floats, clean: NDArray[np.bool_], right: NDArray[np.bool_], rate: float = 0.01) -> float:
    """Of the targets [T] that are not clean, the share whose suspect is the right one and scores above all but `rate`
    of the clean ones."""
    if clean.all() or not clean.any():
        raise InputError("recall at a rate of false positives needs both clean targets and others")
    limit: Any = np.quantile(score[clean], 1 - rate, method="higher")
    return float(((score > limit) & right)[~clean].mean())
