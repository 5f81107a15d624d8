"""`SharedPrior`: datamodels of all targets at once, each helped by what the others say of how large weights are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.dense_problem import Dense, check_memory, dense
from subtrain.regression.estimators.kit.estimator import Fitted, Linear
from subtrain.regression.estimators.kit.learned_prior import Floats, Prior
from subtrain.regression.estimators.kit.normal_mixtures import MIXTURE, State, start, sweep
from subtrain.regression.estimators.kit.pairs import Pairs, pairs_of_study
from subtrain.regression.estimators.ridge import Ridge
from subtrain.regression.fit_warnings import heard, warn
from subtrain.regression.lasso.crossfit import Bench
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions
from subtrain.regression.lasso.problem import problem
from subtrain.regression.lasso.sample_split import check_one_way
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.lasso.validation_error import Judges
from subtrain.regression.study_models import Models

# Sweeps at rank 1 before the scales are split; sweeps before means count, which then move after every second sweep;
# updates of the scales after each sweep.
WARM, MEANS, EVERY, UPDATES = 10, 8, 2, 2
LASSO, RIDGE = ALONE = "lasso", "ridge"
# What `Linear` warns of whatever was fitted.
SAID_OF_ALL = "in every mask or in none", "all weights are 0"


class SharedPrior(Linear):
    """Datamodels by empirical Bayes: the posterior mean of each weight, under a prior that all weights together teach.

    A weight's prior is a mixture of normal distributions, from a point to a heavy tail, times a scale that its unit
    shares with other targets, its target with other units, and the pair with pairs of its kind (class of unit x class
    of target, similarity). Its mean is what pairs of the classes have in common, and what units of the target's own
    neighbourhood in the inputs have; 0 where neither is known. All of it, and the noise, is learned from the fitting
    models by maximum likelihood.
    Each of `ranks`, and with `lasso` the LASSO and ridge, is judged on validation models by the mean over targets of
    its predictions' correlation with the outputs; the best is fitted again on all models: where nothing is shared, that
    may be one of the last two. Their lambdas are chosen by one half of these models for the other.

    Parameters: pairs, "task" (labels and images of the task's view, in `st.fit`), `Pairs`, or None; ranks, of the
    scales: 1 is one factor a unit times one a target, more also say which units matter to which targets; sweeps, at
    most; tol, change of the weights at which they end; validation and seed as in `Lasso`; lasso, whether to try the
    LASSO and ridge, which share nothing.

    chosen_: "rank 16", "lasso" or "ridge"; candidates_ their names, scores_ [candidates] their correlations,
    validation_mse_ [candidates, T] their errors; gap_: the share of variance that the last sweep still moved (the gap
    of the LASSO or ridge if that was chosen); lam_: 0 (or theirs). Needs about 3 dense n x n matrices and 12 tables of
    n x T.
    """

    GAP = "share of variance that the last sweep moved"
    _judges: Judges | None = None

    def __init__(
        self,
        pairs: Pairs | str | None = "task",
        ranks: Sequence[int] = (1, 16),
        sweeps: int = 60,
        tol: float = 1e-3,
        validation: float | None = 0.1,
        seed: int = 0,
        lasso: bool = True,
        threads: int | None = None,
    ) -> None:
        self.pairs = pairs
        self.ranks = ranks
        self.sweeps = sweeps
        self.tol = tol
        self.validation = validation
        self.seed = seed
        self.lasso = lasso
        self.threads = threads

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, NDArray[np.int64]],
        counts_of: Callable[..., Counts],
        progress: Progress | None,
    ) -> Self:
        """Fit a study's models, with what its task shows of units and targets where `pairs` is "task"."""
        self._known = pairs_of_study(models.study, models.output) if self.pairs == "task" else None
        try:
            counts = [counts_of(rows, name) for name, rows in parts.items()]
            if len(counts) == 1:
                return self.fit_counts(counts[0], progress=progress)
            judges = models.judges(list(parts.values())[1])
            return self.fit_counts(counts[0], judges, counts[0] + counts[1], progress)
        finally:
            self._known = None

    def fit_counts(
        self,
        train: Counts,
        valid: Counts | Judges | None = None,
        total: Counts | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit from counts of the models that fit; valid: the models that choose, as `Judges`; total: counts of both."""
        if not isinstance(valid, Judges):
            return super().fit_counts(train, valid, total, progress)
        self._judges = valid
        try:
            return super().fit_counts(train, count(valid.masks, valid.outputs, self.threads), total, progress)
        finally:
            self._judges = None

    @property
    def takes_judges(self) -> bool:
        """Whether the models that choose come as `Judges`: they do, for each is looked at by itself."""
        return True

    def _counts(
        self,
        masks: Masks,
        y: NDArray[Any],
        validation: tuple[ArrayLike | Masks, ArrayLike] | None,
        split: ArrayLike | None,
        progress: Progress | None,
    ) -> tuple[Counts, Any]:
        check_one_way(validation, split)
        if validation is not None:
            return count(masks, y, self.threads, progress), Judges(*self._checked(*validation, reset=False))
        rows = self._validating(len(masks), split)
        if rows is None:
            return count(masks, y, self.threads, progress), None
        return count(masks[~rows], y[~rows], self.threads, progress), Judges(masks[rows], y[rows])

    def _chooses(self) -> bool:
        return len(self.ranks) + self.lasso > 1

    def _estimate(self, train: Counts, valid: Counts | None, total: Counts | None, progress: Progress | None) -> Fitted:
        check_memory(train.n, 3)
        pairs = self._checked_pairs(train)
        if not self._chooses() or valid is None:
            if self._chooses():
                raise InputError("choosing needs validation models; without them give ranks=(1,), lasso=False")
            self.chosen_ = f"rank {self.ranks[0]}"
            self.candidates_, self.scores_ = [self.chosen_], np.zeros(0)
            train = train if valid is None else train + valid if total is None else total
            return self._fitted(train, self.ranks[0], pairs, np.zeros((0, train.targets)), progress)
        everything = train + valid if total is None else total
        if self._judges is None:
            raise InputError(
                "SharedPrior looks at every model that chooses by itself: give them as Judges(masks, outputs), not as "
                "counts"
            )
        bench = Bench(self._judges)
        predicted = self._candidates(bench, train, pairs, progress)
        self.candidates_, self.scores_ = list(predicted), np.array([bench.score(p) for p in predicted.values()])
        table = np.array([bench.errors(p) for p in predicted.values()])
        self.chosen_ = self.candidates_[int(np.argmax(self.scores_))]
        if self.chosen_ in ALONE:
            return self._alone(train, valid, everything, table, progress)
        return self._fitted(everything, int(self.chosen_.split()[1]), pairs, table, progress)

    def _candidates(self, bench: Bench, train: Counts, pairs: Pairs, progress: Progress | None) -> dict[str, Floats]:
        """What each candidate, fitted on `train`, predicts of the judges."""
        plan = problem(train, "raw")
        task, found = dense(plan), {}
        for rank in self.ranks:
            weight, bias = plan.raw(self._solved(task, train.m, rank, pairs, progress).coef)
            found[f"rank {rank}"] = bench.masks @ weight.T + bias
        if self.lasso:
            found |= {LASSO: bench.lasso(train, self.threads, progress), RIDGE: bench.ridge(train)}
        return found

    def _alone(self, train: Counts, valid: Counts, total: Counts, table: Floats, progress: Progress | None) -> Fitted:
        """The LASSO or ridge, its lambda chosen by all judges and fitted again on all models."""
        with heard(aloud=False) as said:
            if self.chosen_ == RIDGE:
                fitted = Ridge(threads=self.threads)._estimate(train, valid, total, progress)
            else:
                options = LassoOptions(threads=self.threads)
                fitted = _of_lasso(lasso_from_counts(train, valid, total, options, progress))
        for text in said:
            if not any(word in text for word in SAID_OF_ALL):
                warn(text)
        return replace(fitted, lambdas=np.zeros((0, total.targets)), validation_mse=table)

    def _checked_pairs(self, counts: Counts) -> Pairs:
        if min(self.ranks, default=0) < 1:
            raise InputError(f"ranks must be whole numbers, 1 or more, got {list(self.ranks)}")
        pairs = getattr(self, "_known", None) or self.pairs
        if not isinstance(pairs, Pairs):
            if pairs not in ("task", None):
                raise InputError(f'pairs must be Pairs, "task" or None, got {pairs!r}')
            return Pairs()
        if pairs.traits is not None and len(pairs.traits) != counts.n:
            raise InputError(f"traits are of {len(pairs.traits)} units, the masks over {counts.n}")
        for table in pairs.kinds:
            if table.shape != (counts.n, counts.targets):
                raise InputError(f"pairs are of shape {list(table.shape)}, not [{counts.n}, {counts.targets}]")
        return pairs

    def _solved(self, task: Dense, models: int, rank: int, pairs: Pairs, progress: Progress | None) -> State:
        """Sweeps, each followed by what it teaches of the scales, until little moves."""
        state = start(task)
        level = task.variance / max(2.0 * np.trace(task.covariance), np.finfo(float).tiny)
        prior = Prior(level, task.rho.shape[1], pairs)
        most = min(rank, *task.rho.shape)
        for k in range(self.sweeps):
            if k == WARM and most > 1:
                prior.split(most, self.seed)
            before = state.coef.copy()
            sweep(task, models, prior.centre, prior.variances(), state, self.threads)
            mixed = float(state.share @ MIXTURE)
            for _ in range(UPDATES):
                prior.update(state.seen, state.blur, mixed)
            if k >= MEANS and k % EVERY == 0:
                prior.update_means(state.seen, state.blur, mixed, self.threads)
            if progress:
                progress(f"rank {rank}", k + 1, self.sweeps)
            if k > WARM and np.linalg.norm(state.coef - before) <= self.tol * np.linalg.norm(state.coef):
                break
        self.n_iter_ = k + 1
        return state

    def _fitted(self, counts: Counts, rank: int, pairs: Pairs, table: Floats, progress: Progress | None) -> Fitted:
        plan = problem(counts, "raw")
        task = dense(plan)
        state = self._solved(task, counts.m, rank, pairs, progress)
        weight, bias = plan.raw(state.coef)
        nothing = np.zeros(counts.targets)
        return Fitted(
            weight=np.ascontiguousarray(weight.T),
            bias=bias,
            lam=nothing,
            gap=np.divide(state.moved, task.variance, out=nothing.copy(), where=task.variance > 0),
            residual=nothing,
            lambdas=np.zeros((0, counts.targets)),
            validation_mse=table,
            n_iter=self.n_iter_,
        )


def _of_lasso(fit: LassoFit) -> Fitted:
    return Fitted(
        weight=fit.weight,
        bias=fit.bias,
        lam=fit.lam,
        gap=fit.gap,
        residual=np.zeros(fit.lam.size),
        lambdas=np.zeros((0, fit.lam.size)),
        validation_mse=np.zeros((0, fit.lam.size)),
        n_iter=int(fit.n_iter.max(initial=0)),
    )
