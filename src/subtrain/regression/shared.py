"""`SharedPrior`: datamodels of all targets at once, each helped by what the others say of how large weights are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.regression.blocks import lasso_from_counts
from subtrain.regression.choose import LassoFit, LassoOptions
from subtrain.regression.counts import Counts
from subtrain.regression.dense import Dense, check_memory, dense, judged
from subtrain.regression.estimator import Fitted, Linear
from subtrain.regression.models import Models
from subtrain.regression.pairs import Pairs, pairs_of_study
from subtrain.regression.posterior import MIXTURE, State, start, sweep
from subtrain.regression.prior import Floats, Prior
from subtrain.regression.problem import problem
from subtrain.regression.threads import Progress
from subtrain.regression.warn import FitWarning

# Sweeps at rank 1 before the scales are split; sweeps before means count, which then move after every second sweep;
# updates of the scales after each sweep.
WARM, MEANS, EVERY, UPDATES = 10, 8, 2, 2
LASSO = "lasso"


class SharedPrior(Linear):
    """Datamodels by empirical Bayes: the posterior mean of each weight, under a prior that all weights together teach.

    A weight's prior is a mixture of normal distributions, from a point to a heavy tail, times a scale that its unit
    shares with other targets, its target with other units, and the pair with pairs of its kind (class of unit x class
    of target, similarity). Its mean is what pairs of the classes have in common, and what units of the target's own
    neighbourhood in the inputs have; 0 where neither is known. All of it, and the noise, is learned from the fitting
    models by maximum likelihood.
    Each of `ranks`, and the LASSO (`lasso`), is judged on validation models; the one with the least squared error,
    relative to the targets' variance, is fitted again on all models: where nothing is shared, that may be the LASSO.

    Parameters: pairs, "task" (labels and images of the task's view, in `st.fit`), `Pairs`, or None; ranks, of the
    scales: 1 is one factor a unit times one a target, more also say which units matter to which targets; sweeps, at
    most; tol, change of the weights at which they end; validation and seed as in `Lasso`; lasso, whether to try it.

    chosen_: "lasso" or "rank 16"; candidates_ their names, validation_mse_ [candidates, T] their errors; gap_: the
    share of variance that the last sweep still moved (the LASSO's duality gap if that was chosen); lam_: 0 (or the
    LASSO's). Needs about 3 dense n x n matrices and 12 tables of n x T.
    """

    GAP = "share of variance that the last sweep moved"

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
            return self.fit_counts(counts[0], counts[1] if len(counts) > 1 else None, progress=progress)
        finally:
            self._known = None

    def _chooses(self) -> bool:
        return len(self.ranks) + self.lasso > 1

    def _estimate(self, train: Counts, valid: Counts | None, total: Counts | None, progress: Progress | None) -> Fitted:
        check_memory(train.n, 3)
        pairs = self._checked_pairs(train)
        plan = problem(train, "raw")
        task = dense(plan)
        if valid is None:
            if self._chooses():
                raise InputError("choosing needs validation models; without them give ranks=(1,), lasso=False")
            self.chosen_ = f"rank {self.ranks[0]}"
            self.candidates_ = [self.chosen_]
            return self._fitted(train, self.ranks[0], pairs, np.zeros((0, train.targets)), progress)
        judge = judged(plan, valid)
        everything = train + valid if total is None else total
        errors = [judge.errors(self._solved(task, train.m, rank, pairs, progress).coef) for rank in self.ranks]
        names = [f"rank {rank}" for rank in self.ranks]
        if self.lasso:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", FitWarning)
                options = LassoOptions(threads=self.threads)
                reference = lasso_from_counts(train, valid, everything, options, progress)
            errors.append(np.nanmin(reference.validation_mse, axis=0))
            names.append(LASSO)
        table = np.array(errors)
        best = int(np.argmin(_relative(table, judge.variance)))
        self.candidates_, self.chosen_ = names, names[best]
        if self.chosen_ == LASSO:
            for warning in said:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
            return _of_lasso(reference, table)
        return self._fitted(everything, self.ranks[best], pairs, table, progress)

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


def _relative(errors: Floats, variance: Floats) -> Floats:
    """Mean over targets of error over variance, for each candidate; constant targets tell nothing."""
    some = variance > 0
    return np.asarray((errors[:, some] / variance[some]).mean(axis=1)) if some.any() else errors.sum(axis=1)


def _of_lasso(fit: LassoFit, table: Floats) -> Fitted:
    return Fitted(
        weight=fit.weight,
        bias=fit.bias,
        lam=fit.lam,
        gap=fit.gap,
        residual=np.zeros(fit.lam.size),
        lambdas=np.zeros((0, fit.lam.size)),
        validation_mse=table,
        n_iter=int(fit.n_iter.max(initial=0)),
    )
