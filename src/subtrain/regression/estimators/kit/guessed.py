"""Datamodels that begin from guesses: tables of influence whose worth the outputs teach, and what they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.estimators.kit.dense_problem import Dense, dense
from subtrain.regression.estimators.kit.pairs import Pairs, levels
from subtrain.regression.estimators.kit.posterior import posterior_errors
from subtrain.regression.estimators.kit.prior_sweeps import Learned
from subtrain.regression.lasso.problem import Problem, problem
from subtrain.regression.row_noise import RowNoise
from subtrain.system.types import Floats

FOLDS = 5
# Folds are held out in turn until so many models have been: enough to tell candidates apart.
JUDGED = 200
STEPS = 60
# Correlation of a guess with held-out outputs below which it says nothing.
USELESS = 0.15

Table = tuple[str, NDArray[np.floating]]
# Weights of a problem, of its models and what is known of pairs; in all sweeps, or in few.
Solve = Callable[[Dense, int, Pairs, bool], Learned]
# Counts to fit on and counts held out of them, pair by pair.
Splits = Callable[[], Iterable[tuple[Counts, Counts]]]


@dataclass(frozen=True, eq=False)
class Effects:
    """How far targets follow F tables. beta: [T, F], of each target; mean [F] and spread [F, F]: of all of them; scale
    [F]: what tables were divided by; cover: [T, F, F], covariance of `factors`; noise: [T], variance of an output."""

    beta: Floats
    mean: Floats
    spread: Floats
    scale: Floats
    cover: Floats
    noise: Floats

    @property
    def factors(self) -> Floats:
        """[T, F], what each table is multiplied by for each target."""
        return np.divide(self.beta, self.scale, out=np.zeros_like(self.beta), where=self.scale > 0)

    def weights(self, tables: Sequence[Table]) -> Floats:
        """The guess of every weight, [T, n]."""
        found = np.zeros(tables[0][1].T.shape)
        for f, (_, table) in enumerate(tables):
            if self.scale[f] > 0:
                found += table.T * self.factors[:, f, None]
        return found


@dataclass(frozen=True, eq=False)
class Moments:
    """Of what F tables predict of the outputs of `models` models, about means: covariances of the predictions with one
    another, square [T, F, F], and with the outputs, cross [T, F]; variance of the outputs [T]."""

    models: int
    square: Floats
    cross: Floats
    variance: Floats


def moments_of(task: Dense, models: int, tables: Sequence[Table]) -> Moments:
    """From covariances of the masks, O(F n² T)."""
    count, targets = len(tables), len(task.rho)
    with_masks = [task.covariance @ np.asarray(table, np.float64) for _, table in tables]
    square = np.empty((targets, count, count))
    cross = np.empty((targets, count))
    for f, (_, table) in enumerate(tables):
        cross[:, f] = np.einsum("tn,nt->t", task.rho, table)
        for g in range(count):
            square[:, f, g] = np.einsum("nt,nt->t", with_masks[f], tables[g][1])
    return Moments(models, square, cross, task.variance)


def effects(found: Moments) -> Effects:
    """Random effects of F tables on T targets: beta_t ~ N(mean, spread), learned by EM from moments alone.

    A target's outputs are regressed on what each table predicts of them. Until little moves: 1. each target's
    posterior, O(T F³); 2. mean and spread of all targets; 3. each target's noise (Dempster, Laird & Rubin 1977).
    """
    models, square, cross, variance = found.models, found.square, found.cross, found.variance
    count, live = cross.shape[1], variance > 0
    scale = np.sqrt(np.maximum(np.einsum("tff->tf", square)[live].mean(axis=0), 0.0)) if live.any() else np.zeros(count)
    per = np.divide(1.0, scale, out=np.zeros(count), where=scale > 1e-12 * max(float(scale.max(initial=0.0)), 1e-300))
    square, cross = models * square * per[:, None] * per, models * cross * per
    total = models * variance
    # A table that predicts the same of every mask has no effect.
    square[:, range(count), range(count)] += np.where(per > 0, 0.0, 1.0)
    noise = np.where(live, variance, 1.0)
    inverse = 1.0 / noise
    mean = np.linalg.lstsq(
        np.einsum("t,tfg->fg", inverse * live, square), np.einsum("t,tf->f", inverse * live, cross), rcond=None
    )[0]
    spread = np.diag(0.1 * mean**2 + 1e-12)
    for _ in range(STEPS):
        # 1. Targets.
        precision = np.linalg.inv(spread)
        cover = np.linalg.inv(square / noise[:, None, None] + precision)
        beta = np.einsum("tfg,tg->tf", cover, cross / noise[:, None] + precision @ mean)
        # 2. All of them.
        before, mean = mean, beta[live].mean(axis=0) if live.any() else mean
        off = beta - mean
        spread = (off[live, :, None] * off[live, None, :] + cover[live]).mean(axis=0) + 1e-12 * np.eye(count)
        # 3. Noise.
        left = total - 2 * np.einsum("tf,tf->t", beta, cross) + np.einsum("tf,tfg,tg->t", beta, square, beta)
        left += np.einsum("tfg,tfg->t", square, cover)
        noise = np.where(live, np.maximum(left / models, 1e-6 * variance + 1e-300), 1.0)
        if np.abs(mean - before).max() <= 1e-6 * np.abs(mean).max(initial=1e-12):
            break
    beta[~live] = 0.0
    cover = np.where(live[:, None, None], cover, 0.0) * per[:, None] * per
    return Effects(beta, mean * per, spread, np.where(per > 0, scale, 0.0), cover, noise)


def residual(task: Dense, weights: Floats) -> Dense:
    """The problem of what weights [T, n] leave of the outputs."""
    moved = weights @ task.covariance
    variance = task.variance - np.einsum("tn,tn->t", weights, 2 * task.rho - moved)
    live = task.variance > 0
    return Dense(task.covariance, task.rho - moved, np.where(live, np.maximum(variance, 1e-9 * task.variance), 0.0))


@dataclass(eq=False)
class Held:
    """Sums over held-out folds, by target, of a candidate's predictions: with the outputs, squared, of the outputs."""

    cross: Floats
    square: Floats
    outputs: Floats

    @classmethod
    def of(cls, targets: int) -> Held:
        return cls(np.zeros(targets), np.zeros(targets), np.zeros(targets))

    def add(self, fold: Dense, models: int, weights: Floats) -> None:
        """Predictions of the models of a fold by weights [T, n], about their means."""
        self.cross += models * np.einsum("tn,tn->t", weights, fold.rho)
        self.square += models * np.einsum("tn,tn->t", weights, weights @ fold.covariance)
        self.outputs += models * fold.variance

    def add_guess(self, fold: Moments, factors: Floats) -> None:
        """The same of tables that are multiplied by factors [T, F] for each target."""
        self.cross += fold.models * np.einsum("tf,tf->t", factors, fold.cross)
        self.square += fold.models * np.einsum("tf,tfg,tg->t", factors, fold.square, factors)
        self.outputs += fold.models * fold.variance

    @property
    def score(self) -> float:
        """Mean over targets of the correlation of predictions with outputs; 0 for constant predictions."""
        size = np.sqrt(np.maximum(self.square, 0) * self.outputs)
        found = np.divide(self.cross, size, out=np.zeros_like(size), where=size > 0)
        varied = self.outputs > 0
        return float(found[varied].mean()) if varied.any() else 0.0

    @property
    def share(self) -> float:
        """The multiple of the predictions, within 0 and 1, that comes nearest to outputs of variance 1."""
        size = np.where(self.outputs > 0, self.outputs, np.inf)
        push = float((self.square / size).sum())
        return float(np.clip((self.cross / size).sum() / push, 0.0, 1.0)) if push > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Guessed:
    """What `fit_guessed` found.

    plan: the problem of all models; weights: [T, n]; error: their standard errors [T, n], the coefficients of the
    tables taken as known, None where there are none; moved: [T], share of variance that the last sweep moved; alone:
    correlation of each table's predictions with outputs of held-out folds; guess: that of all of them; share: of the
    residual that is believed; beta: mean effect of each table.
    """

    plan: Problem
    weights: Floats
    error: Floats | None
    moved: Floats
    alone: dict[str, float]
    guess: float
    share: float
    beta: dict[str, float]


def fit_guessed(
    total: Callable[[], Counts],
    splits: Splits,
    tables: Sequence[Table],
    known: Pairs,
    solve: Solve,
    orthogonal: bool = False,
    threads: int | None = None,
    rows: RowNoise | None = None,
) -> Guessed:
    """Weights that are what tables say, by effects that outputs teach, and a share of what `solve` makes of the rest.

    1. Models are held out: effects and residual are fitted to the others, and the share of the residual's predictions
    is measured that helps there. So a residual fitted to too few models does no harm. Few sweeps fit it; where all of
    it helps, and all sweeps predict the held-out models better, all do. 2. Both are fitted to `total`. The residual's
    prior knows, besides what is known of pairs, how large the guess of each weight is. orthogonal: whether what is held
    out is rows of an orthogonal set, of which the others predict too little: then a residual beside a useless guess is
    believed whole; rows: what the design says of the rows that are counted.
    """
    tables = [(name, np.asarray(table)) for name, table in tables]
    # 1. Held-out models.
    trial, thorough = _tried(splits, tables, known, solve, False), False
    if trial.left.share >= 1:
        other = _tried(splits, tables, known, solve, True)
        if other.both.score > trial.both.score:
            trial, thorough = other, True
    # 2. All models; what was held out may join the counts in the memory of the others now.
    counts = total()
    plan = problem(counts, "raw")
    task = dense(plan)
    found, first, learned = _fitted(task, counts.m, tables, known, solve, thorough)
    alone = orthogonal and trial.guess.score < USELESS
    names, share = [name for name, _ in tables], 1.0 if alone else trial.left.share
    left, more = residual(task, first), learned.state
    return Guessed(
        plan=plan,
        weights=first + share * more.coef,
        error=posterior_errors(left, plan, learned, with_levels(known, first), share, threads, rows),
        moved=np.divide(more.moved, task.variance, out=np.zeros(counts.targets), where=task.variance > 0),
        alone=dict(zip(names, (held.score for held in trial.alone), strict=True)),
        guess=trial.guess.score,
        share=share,
        beta=dict(zip(names, found.mean.tolist(), strict=True)),
    )


@dataclass(frozen=True, eq=False)
class HeldFolds:
    """Predictions of held-out folds: of each table, of all of them, of the residual, and of tables and residual."""

    alone: list[Held]
    guess: Held
    left: Held
    both: Held


class Fold(Protocol):
    """What is known of m models, which adds up."""

    @property
    def m(self) -> int: ...

    def __add__(self, other: Self) -> Self: ...


Some = TypeVar("Some", bound=Fold)


def folds_in_turn(folds: Sequence[Some]) -> Callable[[], Iterator[tuple[Some, Some]]]:
    """Each fold held out in turn, for as many folds as hold JUDGED models."""
    if len(folds) < 2:
        raise InputError(f"a guess needs at least 2 folds of models, got {len(folds)}")

    def splits() -> Iterator[tuple[Some, Some]]:
        judged = 0
        for k, fold in enumerate(folds):
            if judged < JUDGED:
                yield reduce(add, [other for j, other in enumerate(folds) if j != k]), fold
            judged += fold.m

    return splits


def _tried(splits: Splits, tables: Sequence[Table], known: Pairs, solve: Solve, thorough: bool) -> HeldFolds:
    """Fitted to the rest of each split, and judged on what it holds out."""
    targets = tables[0][1].shape[1]
    found = HeldFolds([Held.of(targets) for _ in tables], *(Held.of(targets) for _ in range(3)))
    for rest, fold in splits():
        out = dense(problem(fold, "raw"))
        first, learned = _fitted(dense(problem(rest, "raw")), rest.m, tables, known, solve, thorough)[1:3]
        more = learned.state
        for (_, table), held in zip(tables, found.alone, strict=True):
            held.add(out, fold.m, np.asarray(table, np.float64).T)
        found.guess.add(out, fold.m, first)
        found.left.add(residual(out, first), fold.m, more.coef)
        found.both.add(out, fold.m, first + more.coef)
    return found


def _fitted(
    task: Dense, models: int, tables: Sequence[Table], known: Pairs, solve: Solve, thorough: bool
) -> tuple[Effects, Floats, Learned]:
    """Effects of the tables, the guess [T, n], and what is fitted to the residual."""
    found = effects(moments_of(task, models, tables))
    first = found.weights(tables)
    return found, first, solve(residual(task, first), models, with_levels(known, first), thorough)


def with_levels(known: Pairs, guess: Floats) -> Pairs:
    """What is known of pairs, and how large the guess [T, n] of each weight is, in levels by rank."""
    table = levels(np.abs(guess.T))
    return Pairs((*known.kinds, table), (*known.names, "size of the guess"), known.traits, known.groups)
