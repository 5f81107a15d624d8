"""Train-test leakage: training units whose weight stands out from all others of a target, as a duplicate's does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import numbers_below
from subtrain.errors import InputError
from subtrain.quantities import split_of
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.counterfactual import Counterfactuals, verify_removals
from subtrain.uses.kit.gap_law import TAIL, TAIL_LEAST, common_scale, gaps_below, surest
from subtrain.uses.kit.input_likeness import Inputs, Likeness, likeness, likeness_of_study
from subtrain.uses.kit.question import question, weak_fit
from subtrain.uses.kit.removals import Removal
from subtrain.uses.kit.result import Figure, Result, Table, new_figure

FEW_TARGETS, NEAREST = 20, 1e-6
BLOCK = 1 << 23
"""Weights that are sorted at a time."""


@dataclass(frozen=True, eq=False, repr=False)
class Leakage(Result):
    """Suspect pairs of a training unit and a target, surest first.

    unit, target int64 [k], weight [k]; score [k]: by how many times the gap below the suspects is larger than the
    target's own gaps say; p [k], of the target's suspects, and q [k]: of the targets with q at most x, a share of x is
    expected to be clean. scale: by how much clean targets' scores are larger than the model of the tail says; every
    score is divided by it. tested: targets with enough weights or inputs to tell. by [k]: what named the pair,
    "weights" or how the inputs are alike; scores: what was asked; said: what was not, and why.
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
    by: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))
    scores: tuple[str, ...] = ()
    said: str = ""

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
            f"{self.tested} targets that can be told by {' and '.join(self.scores) or 'nothing'}"
            f"{self._untold()}{f'; {self.said}' if self.said else ''}"
        )

    def _untold(self) -> str:
        left = self.targets - self.tested
        return f"; {left} have too few weights" if left and self.scores else ""

    def table(self) -> Table:
        """Every target's suspects for review, surest first; the column `decision` is for whoever looks at them."""
        return {
            "target": self.target,
            "unit": self.unit,
            "by": self.by,
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
    inputs: Inputs | bool | None = None,
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
        inputs: What of units and targets is compared beside the weights, by the same law of gaps: a pair of pictures
            uint8 [N, H, W(, 3)], which are also mirrored, cropped and moved, of texts, of columns by name, or of
            numbers [N, d], as embeddings of your own. Default None: what the study shows of them, if anything; False:
            nothing. Of a weak fit the inputs alone tell.

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
    output = str(dm.meta.get("output", "output"))
    alike = _likeness(dm, study, output, inputs)
    weak = weak_fit(dm, study) if study is not None and train is None else ""
    scores = [] if weak else [_suspects_by(_by_weights(dm, copies, train), dm, chosen, copies)]
    if alike is not None:
        scores.append(_suspects_by(_by_inputs(alike), dm, chosen, copies))
    said = "the fit is weak, so its weights were not asked" if weak else ""
    return _joined(scores, chosen, fdr, dm, output, said)


Told = Callable[[NDArray[np.int64], Floats], tuple[Floats, NDArray[np.int64]]]


@dataclass(frozen=True, eq=False)
class _Told:
    """told: how much each unit stands out for these targets, given their weights [n, k]: sizes [n, k] and which of
    `names` says so, [n, k]."""

    names: tuple[str, ...]
    told: Told


@dataclass(frozen=True, eq=False)
class _Suspects:
    """Of one score, for all targets [T]: p of the best number of suspects, that number, its score, and the units
    [top, T] by size with their weights and which name said so; p is 1 where too few units tell."""

    names: tuple[str, ...]
    p: Floats
    best: NDArray[np.int64]
    score: Floats
    unit: NDArray[np.int64]
    weight: Floats
    name: NDArray[np.int64]
    able: NDArray[np.bool_]
    scale: float


def _likeness(dm: Datamodels, study: Study | None, output: str, inputs: Inputs | bool | None) -> Likeness | None:
    if inputs is False:
        return None
    if inputs is None or inputs is True:
        found = likeness_of_study(study, output, dm.targets)
        if inputs and found is None:
            raise InputError("the study shows no pictures, texts or rows of its units and targets: give inputs")
        return found
    counts = len(inputs[0]), len(inputs[1])
    if not isinstance(inputs[0], Mapping) and counts != (dm.n, dm.targets):
        raise InputError(f"inputs are of {counts[0]} units and {counts[1]} targets, not {dm.n} and {dm.targets}")
    return likeness(inputs, same=split_of(output) == "train")


def _by_weights(dm: Datamodels, copies: int, train: Datamodels | None) -> _Told:
    scale = _scale_of_units(dm, copies) if train is None else None

    def told(_targets: NDArray[np.int64], weight: Floats) -> tuple[Floats, NDArray[np.int64]]:
        size = 1 / _distances(train, weight) if train is not None else np.abs(weight) / scale
        return size, np.zeros(weight.shape, np.int64)

    return _Told(("weights" if train is None else "datamodels",), told)


def _by_inputs(alike: Likeness) -> _Told:
    def told(targets: NDArray[np.int64], _weight: Floats) -> tuple[Floats, NDArray[np.int64]]:
        far, way = alike.distances(targets)
        return 1 / np.maximum(far, NEAREST), way

    return _Told(alike.ways, told)


def _suspects_by(way: _Told, dm: Datamodels, targets: NDArray[np.int64], copies: int) -> _Suspects:
    """The units that stand out by one score: the gap below the first of them against those that follow."""
    order, size, weight, name, nonzero = _largest(way, dm, targets, copies)
    able = (size > 0).sum(axis=0) >= copies + 4
    score, freedom = gaps_below(size[:, able], nonzero[able], copies)
    scale = common_scale(score, freedom)
    p, best, strength = np.ones(targets.size), np.ones(targets.size, np.int64), np.zeros(targets.size)
    if able.any():
        p[able], best[able] = surest(score / scale, freedom)
        strength[able] = (score / scale)[best[able] - 1, np.arange(int(able.sum()))]
    return _Suspects(way.names, p, best, strength, order, weight, name, able, scale)


def _joined(
    scores: Sequence[_Suspects], targets: NDArray[np.int64], fdr: float, dm: Datamodels, output: str, said: str
) -> Leakage:
    """The surest score of each target, corrected for trying several (Bonferroni: they may depend on one another)."""
    from scipy.stats import false_discovery_control

    each = np.array([one.p for one in scores]).reshape(len(scores), targets.size)
    known = np.flatnonzero(np.array([one.able for one in scores]).reshape(each.shape).any(axis=0))
    p = np.minimum(1.0, len(scores) * each.min(axis=0, initial=1.0))
    first = each.argmin(axis=0) if scores else known
    q = np.ones(targets.size)
    if known.size:
        q[known] = false_discovery_control(p[known])
    rows = [(t, place, scores[first[t]]) for t in known.tolist() for place in range(int(scores[first[t]].best[t]))]
    at = np.array([t for t, _, _ in rows], np.int64)
    place = np.array([k for _, k, _ in rows], np.int64)
    strength = np.array([one.score[t] for t, _, one in rows], np.float64)
    ranked = np.lexsort((place, -strength, p[at]))
    rows, at = [rows[k] for k in ranked.tolist()], at[ranked]
    return Leakage(
        unit=np.array([one.unit[k, t] for t, k, one in rows], np.int64),
        target=targets[at],
        weight=np.array([one.weight[k, t] for t, k, one in rows], np.float64),
        score=strength[ranked],
        p=p[at],
        q=q[at],
        fdr=fdr,
        scale=max((one.scale for one in scores), default=1.0),
        tested=int(known.size),
        targets=targets.size,
        n=dm.n,
        output=output,
        all_p=p[known],
        by=np.array([one.names[one.name[k, t]] for t, k, one in rows], np.str_),
        scores=tuple(" or ".join(one.names) for one in scores),
        said=said,
    )


def _largest(
    way: _Told, dm: Datamodels, targets: NDArray[np.int64], copies: int
) -> tuple[NDArray[np.int64], Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """The units [top, T] that stand out most, by how much, largest first; their weights, which name says so, and how
    many there are [T].

    A block of targets at a time, so that weights that are mapped from a file stay there.
    """
    top = min(copies + TAIL + 1, dm.n)
    order, name = (np.empty((top, targets.size), np.int64) for _ in range(2))
    size, weight, nonzero = np.empty(order.shape), np.empty(order.shape), np.empty(targets.size, np.int64)
    step = max(1, BLOCK // dm.n)
    for start in range(0, targets.size, step):
        some = slice(start, start + step)
        block = dm.weight[:, targets[some]].astype(np.float64)
        told, names = way.told(targets[some], block)
        order[:, some] = np.argpartition(-told, np.arange(top), axis=0)[:top]
        size[:, some] = np.take_along_axis(told, order[:, some], axis=0)
        weight[:, some] = np.take_along_axis(block, order[:, some], axis=0)
        name[:, some] = np.take_along_axis(names, order[:, some], axis=0)
        nonzero[some] = np.count_nonzero(told, axis=0)
    return order, size, weight, name, nonzero


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


def recall_at(score: Floats, clean: NDArray[np.bool_], right: NDArray[np.bool_], rate: float = 0.01) -> float:
    """Of the targets [T] that are not clean, the share whose suspect is the right one and scores above all but `rate`
    of the clean ones."""
    if clean.all() or not clean.any():
        raise InputError("recall at a rate of false positives needs both clean targets and others")
    limit: Any = np.quantile(score[clean], 1 - rate, method="higher")
    return float(((score > limit) & right)[~clean].mean())
