"""`Lasso`: datamodels by LASSO, in scikit-learn's shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.masks import Masks
from subtrain.regression.counting.count_stream import count, count_blocks
from subtrain.regression.counting.counts import Counts, gram_kind
from subtrain.regression.counting.shards import are_flat
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.estimator import Linear
from subtrain.regression.fit_on_cluster import Mapper, lasso_on
from subtrain.regression.lasso.folds import lasso_kfold
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions
from subtrain.regression.lasso.path import PASSES
from subtrain.regression.lasso.sample_split import check_one_way, fold_numbers, given_rows, validation_rows
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.lasso.validation_error import Judges


def with_judges(train: Counts, valid: Judges, threads: int | None = None, progress: Progress | None = None) -> Counts:
    """Counts of both, in the arrays of `train`: a second Gram might not fit."""
    counts = count_blocks([(valid.masks, valid.outputs)], threads=threads, start=train, in_place=True)
    if progress:
        progress("join counts", counts.m, counts.m)
    return counts


class Lasso(Linear):
    """One sparse linear datamodel a target: outputs = masks @ weight_ + bias_, lambda chosen per target.

    Minimises (1/2m) ||y - X w - b||^2 + lam ||w||_1, b free, along a path of lambdas for each target; takes the one
    with the least squared error on validation models and fits it again on all models. With objective="standardized"
    (the paper's) X are masks centred and divided by their standard deviation, and lam is on that scale; `weight_` is
    for raw 0/1 masks always: positive means that including the unit raises the output.

    Parameters: lambdas, how many or their values; eps, the smallest over the largest; tol, duality gap relative to
    half the target's variance; validation, share of the models that choose lambda, drawn by `seed`, or an integer, the
    folds of a cross-validation, dealt by `seed`; early_stop, lambdas to go on after the least validation error, None
    for all; refit; penalty, a factor of lambda for each unit (inf leaves it out); positive, no negative weights;
    max_iter, sweeps at most for one lambda; threads, None for all cores; device, "cpu" or a CUDA device of PyTorch to
    solve on.

    Fitted: weight_ float64 [n, T], bias_ [T], lam_ [T], gap_ [T], lambdas_, validation_mse_ and path_gap_ [k, T] (NaN
    after an early stop), n_iter_ (the most sweeps any target took), constant_units_ (always or never included: their
    weight is 0).

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> masks = random.random((500, 40)) < 0.5
    >>> outputs = 3.0 * masks[:, 2] - 1.0 + random.normal(size=500)
    >>> Lasso().fit(masks, outputs).weight_[:4, 0].round()
    array([0., 0., 3., 0.])
    """

    def __init__(
        self,
        lambdas: int | ArrayLike = 100,
        eps: float = 1e-3,
        tol: float = 1e-4,
        objective: str = "standardized",
        validation: float | int | None = 0.1,
        seed: int = 0,
        early_stop: int | None = 5,
        refit: bool = True,
        penalty: ArrayLike | None = None,
        positive: bool = False,
        max_iter: int = PASSES,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.lambdas = lambdas
        self.eps = eps
        self.tol = tol
        self.objective = objective
        self.validation = validation
        self.seed = seed
        self.early_stop = early_stop
        self.refit = refit
        self.penalty = penalty
        self.positive = positive
        self.max_iter = max_iter
        self.threads = threads
        self.device = device

    def fit(
        self,
        masks: ArrayLike | Masks,
        outputs: ArrayLike,
        validation: tuple[ArrayLike | Masks, ArrayLike] | None = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Lasso:
        """Fit masks [m, n] (bool, 0/1 or `Masks`) to outputs [m, T] or [m].

        validation: other models (masks, outputs) that choose lambda; or sample_split, which of these do (bool [m] or
        positions); by default a share drawn by `seed`. progress(stage, done, total) is called while it runs. Raises
        InputError for masks that are not 0/1, outputs that are not finite, and lengths that differ.
        """
        packed, y = self._checked(masks, outputs, reset=True)
        if validation is None and sample_split is None and self._folds():
            numbers = fold_numbers(len(packed), self._folds(), self.seed)
            folds = [self._count(packed, y, numbers == k, progress) for k in range(self._folds())]
            fit = lasso_kfold(folds, self._options(), progress)
        else:
            fit = self._chosen(packed, y, validation, sample_split, progress)
        self._flat = are_flat(outputs, masks)
        return self._stored(fit)

    def fit_counts(
        self,
        train: Counts,
        valid: Counts | Judges | None = None,
        total: Counts | Callable[[], Counts] | None = None,
        progress: Progress | None = None,
        keep: Path | None = None,
        mapper: Mapper | None = None,
    ) -> Lasso:
        """Fit from counts alone; valid: of the models that choose lambda; total: of both, train + valid by default.

        keep: a folder for finished blocks of targets, from which an interrupted fit goes on; mapper: what solves these
        blocks instead of this process.
        """
        self.n_features_in_ = train.n
        self._flat = False
        return self._stored(self._solved(train, valid, total, progress, keep, mapper))

    @property
    def takes_judges(self) -> bool:
        """Whether the models that choose lambda may come as `Judges`, without a Gram of their own."""
        return self.device == "cpu"

    def fit_folds(self, folds: Sequence[Counts], progress: Progress | None = None) -> Lasso:
        """Fit from counts of the folds of a cross-validation."""
        self.n_features_in_ = folds[0].n
        self._flat = False
        return self._stored(lasso_kfold(folds, self._options(), progress))

    def _chosen(
        self,
        masks: Masks,
        y: NDArray[Any],
        validation: tuple[ArrayLike | Masks, ArrayLike] | None,
        split: ArrayLike | None,
        progress: Progress | None,
    ) -> LassoFit:
        check_one_way(validation, split)
        if validation is not None:
            fitting = np.ones(len(masks), np.bool_)
            others, judged = self._checked(*validation, reset=False)
            valid = Judges(others, judged)
        elif split is None and (not self.validation or np.size(self.lambdas) == np.ndim(self.lambdas) == 1):
            every = np.ones(len(masks), np.bool_)
            return self._solved(self._count(masks, y, every, progress), None, None, progress)
        else:
            rows = validation_rows(len(masks), self.validation or 0.0, self.seed) if split is None else None
            rows = given_rows(split, len(masks)) if rows is None else rows  # type: ignore[arg-type]
            fitting, valid = ~rows, Judges(masks[rows], y[rows])
        train = self._count(masks, y, fitting, progress)

        return self._solved(train, valid, lambda: with_judges(train, valid, self.threads, progress), progress)

    def _solved(
        self,
        train: Counts,
        valid: Counts | Judges | None,
        total: Counts | Callable[[], Counts] | None,
        progress: Progress | None,
        keep: Path | None = None,
        mapper: Mapper | None = None,
    ) -> LassoFit:
        if mapper is not None and self.device == "cpu":
            return lasso_on(mapper, train, valid, total, self._options(), progress, keep)
        if self.device == "cpu":
            return lasso_from_counts(train, valid, total, self._options(), progress, keep=keep)
        from subtrain.regression.device import lasso_on_device

        if isinstance(valid, Judges):
            valid = count(valid.masks, valid.outputs, self.threads, progress)
            total = None
        whole = total() if callable(total) else total
        return lasso_on_device(train, valid, self._options(), self.device, whole, progress)

    def _count(self, masks: Masks, y: NDArray[Any], rows: NDArray[np.bool_], progress: Progress | None) -> Counts:
        return count(masks[rows], y[rows], self.threads, progress, gram=self._gram(masks.n))

    def _gram(self, n: int) -> str:
        return gram_kind(n) if self.device == "cpu" else "dense"

    def _folds(self) -> int:
        """Folds of a cross-validation, 0 if lambda is not chosen so."""
        whole = isinstance(self.validation, (int, np.integer)) and not isinstance(self.validation, bool)
        return int(self.validation or 0) if whole else 0

    def _options(self) -> LassoOptions:
        names = LassoOptions.__dataclass_fields__
        return LassoOptions(**{name: value for name, value in self.get_params().items() if name in names})

    def _stored(self, fit: LassoFit) -> Lasso:
        self.weight_ = fit.weight
        self.bias_ = fit.bias
        self.lam_ = fit.lam
        self.gap_ = fit.gap
        self.lambdas_ = fit.lambdas
        self.validation_mse_ = fit.validation_mse
        self.n_iter_ = int(fit.n_iter.max(initial=0))
        self.constant_units_ = fit.constant_units
        self.path_gap_ = fit.path_gap
        return self
