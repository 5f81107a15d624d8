"""`SharedPrior`: datamodels of all targets at once, each helped by what the others say of how large weights are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, ClassVar, Self

import numpy as np

from subtrain.errors import InputError
from subtrain.guesses import tables_for, tables_of
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.contract import COUNTS_AND_VALIDATION, Reads, StandardErrors
from subtrain.regression.estimators.kit.crossfit import Bench
from subtrain.regression.estimators.kit.dense_problem import Dense, check_memory, dense
from subtrain.regression.estimators.kit.guessed import FOLDS, Splits, fit_guessed, folds_in_turn
from subtrain.regression.estimators.kit.learned_prior import Prior
from subtrain.regression.estimators.kit.linear_estimator import (
    Fitted,
    LinearEstimator,
    all_counts,
    fitted_lasso,
    no_folds,
)
from subtrain.regression.estimators.kit.normal_mixtures import MIXTURE, start, sweep
from subtrain.regression.estimators.kit.pairs import Pairs, pairs_of_study
from subtrain.regression.estimators.kit.posterior import Learned, posterior_errors
from subtrain.regression.estimators.ridge import Ridge
from subtrain.regression.fit_warnings import heard, warn
from subtrain.regression.lasso.lambda_choice import LassoOptions
from subtrain.regression.lasso.problem import Problem, problem
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.study_models import Models
from subtrain.system.types import Floats

# Sweeps at rank 1 before the scales are split; sweeps before means count, which then move after every second sweep;
# updates of the scales after each sweep.
WARM, MEANS, EVERY, UPDATES = 10, 8, 2, 2
# The same of what a guess leaves: few sweeps, for of a small rest more would learn the noise. All, if held-out folds
# say that they are better.
RESIDUAL_SWEEPS, RESIDUAL_MEANS = 15, 4
LASSO, RIDGE = ALONE = "lasso", "ridge"
# What `LinearEstimator` warns of whatever was fitted.
SAID_OF_ALL = "in every mask or in none", "all weights are 0"


@dataclass(eq=False, repr=False)
class SharedPrior(LinearEstimator):
    """Datamodels by empirical Bayes: the posterior mean of each weight, under a prior that all weights together teach.

    A weight's prior is a mixture of normal distributions, from a point to a heavy tail, times a scale that its unit
    shares with other targets, its target with other units, and the pair with pairs of its kind (class of unit x class
    of target, similarity). Its mean is what pairs of the classes have in common, and what units of the target's own
    neighborhood in the inputs have; 0 where neither is known. All of it, and the noise, is learned from the fitting
    models by maximum likelihood.

    Each of `ranks`, and with `lasso` the LASSO and ridge, is compared on validation models by the mean over targets of
    its predictions' correlation with the outputs; the best is fitted again on all models: where nothing is shared, that
    may be one of the last two. Their lambdas are chosen by one half of these models for the other.

    With a `guess`, tables of influence are the prior mean of the weights, at scales that the outputs teach: a useless
    table gets 0. Scales of rank 1 are fitted to what they leave, and of that only the share is believed that helps on
    held-out folds of the fit models; ranks, sweeps, tol, validation and lasso are not looked at.

    Args:
        pairs: "task" (default), labels and images of the task's view, in `st.fit`; `Pairs`; or None.
        ranks: Ranks of the scales to try: 1 is one factor a unit times one a target, more also say which units matter
            to which targets. Default (1, 16).
        sweeps: Sweeps at most. Default 60.
        tol: Relative change of the weights at which sweeps end. Default 1e-3.
        validation: Share of the models that choose. Default 0.1.
        seed: Draws the validation models. Default 0.
        lasso: Whether to try the LASSO and ridge, which share nothing. Default True.
        threads: Default None, all cores.
        guess: What `st.guess` made, or its name in the study; a table [n, T] of any scale and sign, as an array or the
            path of a .npy file; or a list of such. Default None.

    Fitted: weight_ float64 [n, T], bias_ [T]; error_ float32 [n, T], the posterior's standard error of each weight
    (absent where the LASSO or ridge was chosen, and where units are drawn unequally); chosen_, "rank 16", "lasso" or
    "ridge"; candidates_, their names; scores_ [candidates], their correlations; validation_mse_ [candidates, T], their
    errors; gap_ [T], the share of variance that the last sweep still moved (the gap of the LASSO or ridge if that was
    chosen); lam_ [T], 0 (or theirs). Needs about 3 dense n x n matrices and 12 tables of n x T, of float64.

    Raises:
        InputError: by `fit`, as for `Ridge`, and for ranks below 1, pairs of another shape, and fewer than 4 validation
            models.

    Example:
        >>> random = np.random.default_rng(0)
        >>> masks = random.random((200, 4)) < 0.5
        >>> outputs = masks * 2.0 + 0.1 * random.normal(size=(200, 4))
        >>> SharedPrior(ranks=(1,), lasso=False).fit(masks, outputs).weight_.round(1).diagonal()
        array([2., 2., 2., 2.])
    """

    name: ClassVar[str] = "shared-prior"
    standard_errors: ClassVar[StandardErrors] = "posterior"
    reads: ClassVar[Reads] = COUNTS_AND_VALIDATION
    folds: ClassVar[bool] = True
    joint: ClassVar[bool] = True
    gap_name: ClassVar[str] = "share of variance that the last sweep moved"

    pairs: Pairs | str | None = "task"
    ranks: Sequence[int] = (1, 16)
    sweeps: int = 60
    tol: float = 1e-3
    validation: float | None = 0.1
    seed: int = 0
    lasso: bool = True
    threads: int | None = None
    guess: Any = None

    def look_at(self, models: Models) -> tuple[str, ...]:
        """Remember, for the next fit, the study's guess, and, where `pairs` is "task", what its task shows of units and
        targets."""
        notes: tuple[str, ...] = ()
        # Rows of an orthogonal set cannot tell how much of the residual helps, for the others predict nothing of them.
        self._believed = models.study.design.orthogonal and models.validation is None
        if self.guess is not None:
            self._tables, notes = tables_for(models.study, models.output, self.guess)
        if self.pairs == "task":
            self._known, more = pairs_of_study(models.study, models.output)
            notes += more
        return notes

    @property
    def fold_count(self) -> int:
        """Folds by which the share of the residual is measured, where there is a guess."""
        return 0 if self.guess is None else FOLDS

    def fit_folds(self, folds: Sequence[Counts], progress: Progress | None = None) -> Self:
        """Fit a guess, and what it leaves, from counts of folds; InputError without a guess."""
        if self.guess is None:
            raise no_folds(self)
        return self._guessed(folds[0], lambda: reduce(add, folds), folds_in_turn(folds), progress)

    def fit_counts(
        self,
        train: Counts,
        validation: Any = None,
        total: Any = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Self:
        """As every estimator; with a guess, the share of the residual is measured on the validation models."""
        if self.guess is None:
            return super().fit_counts(train, validation, total, progress)
        if validation is None:
            raise InputError("a guess needs models that say how far to believe it: give validation models, or folds")
        others = self._counted(validation)
        return self._guessed(train, lambda: all_counts(train, others, total), lambda: [(train, others)], progress)

    def _counted(self, validation: Counts | ValidationModels) -> Counts:
        if isinstance(validation, Counts):
            return validation
        return count(validation.masks, validation.outputs, self.threads)

    def _guessed(self, counts: Counts, total: Callable[[], Counts], splits: Splits, progress: Progress | None) -> Self:
        """counts: some of the models, for the numbers of units and targets."""
        check_memory(counts.n, 3)
        tables = self.__dict__.pop("_tables", None) or tables_of(self.guess, counts.n, counts.targets)

        def solve(task: Dense, models: int, pairs: Pairs, thorough: bool) -> Learned:
            few = () if thorough else (RESIDUAL_SWEEPS, RESIDUAL_MEANS)
            return self._solved(task, models, 1, pairs, progress, *few)

        believed = self.__dict__.pop("_believed", False)
        found = fit_guessed(total, splits, tables, self._checked_pairs(counts), solve, believed, self.threads)
        everything = found.plan.counts
        self.chosen_, self.share_, self.beta_ = "guess + residual", found.share, found.beta
        self.candidates_ = ["guess", *found.alone]
        self.scores_ = np.array([found.guess, *found.alone.values()])
        self.n_features_in_, self._flat = everything.n, False
        none = np.zeros((0, everything.targets))
        return self._keep(self._as_fitted(found.plan, found.weights, found.error, found.moved, none), everything)

    @property
    def chooses(self) -> bool:
        """Whether there are several candidates."""
        return len(self.ranks) + self.lasso > 1

    def choice(self) -> dict[str, Any]:
        """The candidate that was chosen, and the score of each."""
        if not self.scores_.size:
            return {}
        scores = np.round(self.scores_, 4).tolist()
        found = {"chosen": self.chosen_, "scores": dict(zip(self.candidates_, scores, strict=True))}
        if self.guess is not None:
            beta = {name: round(value, 4) for name, value in self.beta_.items()}
            found["guess"] = {"beta": beta, "residual_share": round(self.share_, 4)}
        return found

    def estimate(self, train: Counts, validation: Any, total: Any, progress: Progress | None) -> Fitted:
        check_memory(train.n, 3)
        pairs = self._checked_pairs(train)
        if self.chooses and validation is None:
            raise InputError("choosing needs validation models; without them give ranks=(1,), lasso=False")
        others = None if validation is None else self._counted(validation)
        if not self.chooses:
            self.chosen_ = f"rank {self.ranks[0]}"
            self.candidates_, self.scores_ = [self.chosen_], np.zeros(0)
            everything = all_counts(train, others, total)
            return self._fitted(everything, self.ranks[0], pairs, np.zeros((0, train.targets)), progress)
        if not isinstance(validation, ValidationModels):
            raise InputError(
                "SharedPrior looks at every validation model by itself: give ValidationModels(masks, outputs), not "
                "counts"
            )
        bench = Bench(validation)
        predicted = self._candidates(bench, train, pairs, progress)
        self.candidates_, self.scores_ = list(predicted), np.array([bench.score(p) for p in predicted.values()])
        table = np.array([bench.errors(p) for p in predicted.values()])
        self.chosen_ = self.candidates_[int(np.argmax(self.scores_))]
        if self.chosen_ in ALONE:
            return self._alone(train, others, total, table, progress)
        return self._fitted(all_counts(train, others, total), int(self.chosen_.split()[1]), pairs, table, progress)

    def _candidates(self, bench: Bench, train: Counts, pairs: Pairs, progress: Progress | None) -> dict[str, Floats]:
        """What each candidate, fitted on `train`, predicts of the validation models."""
        plan = problem(train, "raw")
        task, found = dense(plan), {}
        for rank in self.ranks:
            weight, bias = plan.raw(self._solved(task, train.m, rank, pairs, progress).state.coef)
            found[f"rank {rank}"] = bench.masks @ weight.T + bias
        if self.lasso:
            found |= {LASSO: bench.lasso(train, self.threads, progress), RIDGE: bench.ridge(train)}
        return found

    def _alone(
        self, train: Counts, validation: Counts | None, total: Any, table: Floats, progress: Progress | None
    ) -> Fitted:
        """The LASSO or ridge, its lambda chosen by all validation models and fitted again on all models."""
        with heard(aloud=False) as said:
            if self.chosen_ == RIDGE:
                fitted = Ridge(threads=self.threads).estimate(train, validation, total, progress)
            else:
                options = LassoOptions(threads=self.threads)
                fitted = fitted_lasso(lasso_from_counts(train, validation, total, options, progress))
        for text in said:
            if not any(word in text for word in SAID_OF_ALL):
                warn(text)
        residual = np.zeros(train.targets) if fitted.residual is None else fitted.residual
        none = np.zeros((0, train.targets))
        return replace(fitted, lambdas=none, validation_mse=table, path_gap=None, residual=residual)

    def _checked_pairs(self, counts: Counts) -> Pairs:
        if min(self.ranks, default=0) < 1:
            raise InputError(f"ranks must be whole numbers, 1 or more, got {list(self.ranks)}")
        pairs = self.__dict__.pop("_known", None) or self.pairs
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

    def _solved(
        self,
        task: Dense,
        models: int,
        rank: int,
        pairs: Pairs,
        progress: Progress | None,
        sweeps: int | None = None,
        every: int = EVERY,
    ) -> Learned:
        """Sweeps, each followed by what it teaches of the scales, until little moves."""
        sweeps = sweeps or self.sweeps
        state = start(task)
        level = task.variance / max(2.0 * np.trace(task.covariance), np.finfo(float).tiny)
        prior = Prior(level, task.rho.shape[1], pairs)
        most = min(rank, *task.rho.shape)
        for k in range(sweeps):
            if k == WARM and most > 1:
                prior.split(most, self.seed)
            before = state.coef.copy()
            sweep(task, models, prior.center, prior.variances(), state, self.threads)
            mixed = float(state.share @ MIXTURE)
            for _ in range(UPDATES):
                prior.update(state.seen, state.blur, mixed)
            if k >= MEANS and k % every == 0:
                prior.update_means(state.seen, state.blur, mixed, self.threads)
            if progress:
                progress(f"rank {rank}", k + 1, sweeps)
            if k > WARM and np.linalg.norm(state.coef - before) <= self.tol * np.linalg.norm(state.coef):
                break
        self.n_iter_ = k + 1
        return Learned(state, prior)

    def _fitted(self, counts: Counts, rank: int, pairs: Pairs, table: Floats, progress: Progress | None) -> Fitted:
        plan = problem(counts, "raw")
        task = dense(plan)
        learned = self._solved(task, counts.m, rank, pairs, progress)
        state, error = learned.state, posterior_errors(task, plan, learned, pairs, threads=self.threads)
        moved = np.divide(state.moved, task.variance, out=np.zeros(counts.targets), where=task.variance > 0)
        return self._as_fitted(plan, state.coef, error, moved, table)

    def _as_fitted(self, plan: Problem, coef: Floats, error: Floats | None, moved: Floats, table: Floats) -> Fitted:
        """coef, error: [T, n]; moved: [T], the share of variance that the last sweep moved; table: errors of
        candidates."""
        counts, nothing = plan.counts, np.zeros(plan.counts.targets)
        weight, bias = plan.raw(coef)
        return Fitted(
            weight=np.ascontiguousarray(weight.T),
            bias=bias,
            lam=nothing,
            gap=moved,
            constant_units=counts.constant_units,
            residual=nothing,
            lambdas=np.zeros((0, counts.targets)),
            validation_mse=table,
            n_iter=self.n_iter_,
            error=None if error is None else np.ascontiguousarray(error.T, np.float32),
        )
