"""`SharedPrior`: datamodels of all targets at once, each helped by what the others say of how large weights are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.guesses import tables_for, tables_of
from subtrain.masks import Masks
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.contract import COUNTS_AND_VALIDATION, Reads, Rows, StandardErrors
from subtrain.regression.estimators.kit.crossfit import Bench
from subtrain.regression.estimators.kit.dense_problem import Dense, check_memory, dense
from subtrain.regression.estimators.kit.guess_alone import (
    GUESS,
    GuessPlan,
    bytes_with_residual,
    fit_alone,
    room_for_residual,
    said_of_alone,
)
from subtrain.regression.estimators.kit.guessed import FOLDS, Splits, fit_guessed, folds_in_turn
from subtrain.regression.estimators.kit.linear_estimator import Fitted, LinearEstimator, all_counts, no_folds
from subtrain.regression.estimators.kit.pairs import Pairs, pairs_of_study
from subtrain.regression.estimators.kit.posterior import posterior_errors
from subtrain.regression.estimators.kit.prior_sweeps import EVERY, Learned, Rules, learn
from subtrain.regression.estimators.kit.unshared import LASSO, RIDGE, unshared
from subtrain.regression.fit_plan import FitPlan
from subtrain.regression.fit_warnings import warn, warn_constant
from subtrain.regression.lasso.problem import Problem, problem
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.lasso.zero_targets import warn_zeros
from subtrain.regression.study_models import Models
from subtrain.system.types import Floats

# Sweeps, and those between moves of the means, of what a guess leaves: few, for of a small rest more would learn the
# noise. All, if held-out folds say that they are better.
RESIDUAL = 15, 4

UNJUDGED = (
    "the design has no validation models that are finished: how much of what the outputs add to the guess is believed "
    "is measured on rows of its own, of which the others predict too little (extend the study by validation models)"
)


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
    held-out folds of the fit models; ranks, sweeps, tol, validation and lasso are not looked at. Where memory has no
    room for tables of all pairs of units, the guess alone is fitted, and a FitWarning says so.

    Args:
        pairs: "task" (default), labels and images of the task's view, in `st.fit`; `Pairs`; or None.
        ranks: Ranks of the scales to try: 1 is one factor a unit times one a target, more also say which units matter
            to which targets. Default (1, 16).
        sweeps: Sweeps at most. Default 60.
        tol: Relative change of the weights at which sweeps end. Default 1e-3.
        validation: Share of the models that choose, as for `Lasso`. Default 0.1.
        seed: Draws the validation models. Default 0.
        lasso: Whether to try the LASSO and ridge, which share nothing. Default True.
        threads: Default None, all cores.
        guess: What `st.guess` made, or its name in the study; a table [n, T] of any scale and sign, as an array or the
            path of a .npy file; or a list of such. Default None.

    Fitted: weight_ float64 [n, T] (float32 of a guess alone), bias_ [T]; error_ float32 [n, T], the posterior's
    standard error of each weight (absent of the LASSO, ridge, a guess alone, masks that are not drawn at random, and of
    one orthogonal set without pairs); chosen_, "rank 16", "lasso", "ridge", "guess + residual" or "guess"; candidates_,
    their names; scores_ [candidates], their correlations; validation_mse_ [candidates, T], their errors; gap_ [T], the
    share of variance that the last sweep still moved (the gap of the LASSO or ridge if that was chosen); lam_ [T], 0
    (or theirs). Needs about 3 dense n x n matrices and 12 tables of n x T, of float64.

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
        self._orthogonal = models.study.design.orthogonal and models.validation is None
        self._guess_alone = False
        if self.guess is not None:
            self._tables, notes = tables_for(models.study, models.output, self.guess)
            self._guess_alone = not room_for_residual(models.study.n, models.targets)
            if self._guess_alone:
                return (*notes, said_of_alone(models.study.n, models.targets, models.rows.size))
            notes += (UNJUDGED,) if self._orthogonal else ()
        self._rows = models.row_noise(models.fitted_rows)
        if self.pairs == "task":
            self._known, more = pairs_of_study(models.study, models.output)
            notes += more
        return notes

    @property
    def reads_models(self) -> bool:
        """Whether a guess alone is fitted, for want of memory: from the models themselves."""
        return bool(self.__dict__.get("_guess_alone", False))

    def plan(self, models: Models, parts: Mapping[str, Rows], keep_counts: bool) -> FitPlan:
        """What fitting these parts of a study's models takes."""
        n, targets = models.study.n, models.targets
        if self.reads_models:
            return GuessPlan.of(models.rows.size, n, targets, models.dtype.itemsize)
        found = super().plan(models, parts, keep_counts)
        found = replace(found, disk=found.disk + 4 * n * targets)  # the standard errors
        if self.guess is None:
            return found
        return replace(found, path=bytes_with_residual(n, targets) - found.counts)

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, Rows],
        counted: Callable[..., Counts],
        progress: Progress | None = None,
    ) -> Self:
        """Fit the guess alone to a study's models."""
        held = models.in_memory(np.concatenate(list(parts.values())))
        folds = np.repeat(np.arange(len(parts)), [rows.size for rows in parts.values()])
        self.n_features_in_, self._flat = held.masks.n, False
        self._fit_alone(
            held.masks, held.outputs, folds, self.__dict__.pop("_tables"), progress, models.validation_joins
        )
        return self

    def _fit_by_folds(self, masks: Masks, y: NDArray[Any], folds: NDArray[np.int64], progress: Progress | None) -> None:
        n, targets = masks.n, y.shape[1]
        if room_for_residual(n, targets):
            super()._fit_by_folds(masks, y, folds, progress)
            return
        warn(said_of_alone(n, targets, len(masks)))
        self._fit_alone(masks, y, folds, tables_of(self.guess, n, targets), progress)

    def _fit_alone(
        self,
        masks: Masks,
        y: NDArray[Any],
        folds: NDArray[np.int64],
        tables: Any,
        progress: Progress | None,
        joins: bool = True,
    ) -> None:
        found = fit_alone(masks, y, folds, tables, progress, joins)
        nothing, none = np.zeros(y.shape[1]), np.zeros((0, y.shape[1]))
        self.chosen_, self.share_, self.beta_, self.n_iter_ = GUESS, 0.0, dict(found.beta), 1
        self.candidates_, self.scores_ = [GUESS, *found.alone], np.array([found.guess, *found.alone.values()])
        # The weights are float32, as tables of so many units are: float64 would be a second copy.
        weight: Any = found.weight
        self._store(Fitted(weight, found.bias, nothing, nothing, found.constant, none, none))
        warn_constant(found.constant, masks.n)
        low, high = (np.asarray(end, np.float64) for end in (y.min(axis=0), y.max(axis=0)))
        warn_zeros(found.weight, low, high, masks.n - found.constant.size)

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
            return self._solved(task, models, 1, pairs, progress, None if thorough else RESIDUAL)

        orthogonal = self.__dict__.pop("_orthogonal", False)
        rows = self.__dict__.pop("_rows", None)
        found = fit_guessed(total, splits, tables, self._checked_pairs(counts), solve, orthogonal, self.threads, rows)
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
        if self.chosen_ in (LASSO, RIDGE):
            return unshared(self.chosen_, train, others, total, table, self.threads, progress)
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

    def _checked_pairs(self, counts: Counts) -> Pairs:
        if min(self.ranks, default=0) < 1:
            raise InputError(f"ranks must be whole numbers, 1 or more, got {list(self.ranks)}")
        pairs = self.__dict__.pop("_known", None) or self.pairs
        if not isinstance(pairs, Pairs):
            if pairs not in ("task", None):
                raise InputError(f'pairs must be Pairs, "task" or None, got {pairs!r}')
            return Pairs()
        pairs.check(counts.n, counts.targets)
        return pairs

    def _solved(
        self,
        task: Dense,
        models: int,
        rank: int,
        pairs: Pairs,
        progress: Progress | None,
        few: tuple[int, int] | None = None,
    ) -> Learned:
        """few: sweeps at most, and between moves of the means, where they are not the estimator's."""
        most, every = few or (self.sweeps, EVERY)
        rules = Rules(most, every, self.tol, self.seed, self.threads)
        found = learn(task, models, rank, pairs, rules, progress)
        self.n_iter_ = found.sweeps
        return found

    def _fitted(self, counts: Counts, rank: int, pairs: Pairs, table: Floats, progress: Progress | None) -> Fitted:
        plan = problem(counts, "raw")
        task = dense(plan)
        learned = self._solved(task, counts.m, rank, pairs, progress)
        error = posterior_errors(task, plan, learned, pairs, 1.0, self.threads, self.__dict__.pop("_rows", None))
        moved = np.divide(learned.state.moved, task.variance, out=np.zeros(counts.targets), where=task.variance > 0)
        return self._as_fitted(plan, learned.state.coef, error, moved, table)

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
