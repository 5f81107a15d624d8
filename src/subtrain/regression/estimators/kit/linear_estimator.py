"""The base of every estimator: scikit-learn's shape around a regression of counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from subtrain.errors import InputError
from subtrain.masks import Masks, pack
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts, check_finite, gram_kind
from subtrain.regression.counting.shards import are_flat, expect_all, in_parts, whole_masks, whole_outputs
from subtrain.regression.counting.threads import Mapper, Progress
from subtrain.regression.estimators.kit.contract import (
    COUNTS,
    COUNTS_AND_VALIDATION,
    MODELS,
    Reads,
    Rows,
    StandardErrors,
    fit_held,
)
from subtrain.regression.estimators.kit.sample_split import check_one_way, fold_numbers, given_rows, validation_rows
from subtrain.regression.fit_plan import FitPlan, plan_fit
from subtrain.regression.fit_warnings import warn_constant
from subtrain.regression.lasso.lambda_choice import LassoFit
from subtrain.regression.lasso.problem import is_choice
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.lasso.zero_targets import warn_zeros_of
from subtrain.regression.study_models import Models
from subtrain.system.types import Floats

# Masks turned to floats at a time by `predict`.
ROWS = 4096


@dataclass(frozen=True, eq=False)
class Fitted:
    """What an estimator found for n units, T targets and k lambdas; it becomes the attributes weight_, bias_, …"""

    weight: Floats
    """[n, T], for raw 0/1 masks."""
    bias: Floats
    """[T]."""
    lam: Floats
    """[T], the lambda of each target, 0 where there is none."""
    gap: Floats
    """[T], how far the objective is from its best, relative to what all-zero weights leave."""
    constant_units: NDArray[np.int64]
    """The units that are in every mask or in none."""
    lambdas: Floats
    """[k, T], from which lam was chosen; k = 0 where nothing is chosen."""
    validation_mse: Floats
    """[k, T], mean squared error on the validation models, NaN where it was not computed."""
    residual: Floats | None = None
    """[T], how far the normal equations are from holding, where they are what is solved."""
    path_gap: Floats | None = None
    """[k, T], the gaps along the path."""
    n_iter: int = 1
    """Sweeps of the target that took most."""
    error: NDArray[np.floating[Any]] | None = None
    """[n, T], the standard error of each weight, where the estimator itself knows it: error_ is absent elsewhere."""


class LinearEstimator(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """One linear datamodel a target: outputs = masks @ weight_ + bias_.

    A subclass declares `name` and what else differs from the values here, lists its parameters as a dataclass does,
    and implements `estimate`; see `Estimator` for the contract. One that reads the models themselves is a
    `ModelsEstimator` (kit/models_estimator.py).

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(eq=False, repr=False)
        ... class Share(LinearEstimator):
        ...     name = "share"
        ...     def estimate(self, train, validation=None, total=None, progress=None):
        ...         none, zero = np.zeros((0, train.targets)), np.zeros(train.targets)
        ...         return Fitted(train.xty / train.m, zero, zero, zero, train.constant_units, none, none)
        >>> Share().fit([[0, 1], [1, 0]], [2.0, 4.0]).weight_[:, 0]
        array([2., 1.])
    """

    name: ClassVar[str]
    reads: ClassVar[Reads] = COUNTS
    sparse: ClassVar[bool] = False
    folds: ClassVar[bool] = False
    joint: ClassVar[bool] = False
    standard_errors: ClassVar[StandardErrors] = "none"
    gap_name: ClassVar[str] = "relative duality gap"
    takes_pairs: ClassVar[bool] = True

    threads: int | None = None
    weight_: Floats
    bias_: Floats
    lam_: Floats
    gap_: Floats
    constant_units_: NDArray[np.int64]
    lambdas_: Floats
    validation_mse_: Floats

    def estimate(self, train: Counts, validation: Any, total: Any, progress: Progress | None) -> Fitted:
        """The regression itself.

        Args:
            train: Counts of the fitting models.
            validation: Counts of the validation models, or, for an estimator that reads "counts + validation", these
                models; None where there are none.
            total: Counts of all models, a function that returns them, or None; see `all_counts`.
            progress: Called with stage, done and total.

        Returns:
            The weights and what belongs to them.
        """
        raise NotImplementedError

    def fit(
        self,
        masks: ArrayLike | Masks,
        outputs: ArrayLike,
        validation: tuple[ArrayLike | Masks, ArrayLike] | None = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit masks to outputs.

        Args:
            masks: [m, n] of bool, 0/1 or `Masks`, the path of a .npy file, or a list of such parts.
            outputs: [m, T] or [m] of any float type, or a path or list as for masks.
            validation: Other models (masks, outputs) that choose lambda.
            sample_split: Which of these models choose lambda instead, bool [m] or their positions. By default a share
                drawn by `seed`, where there is something to choose.
            progress: Called with stage, done and total while it runs.

        Returns:
            This estimator.

        Raises:
            InputError: for masks that are not 0/1, outputs that are not finite, and lengths that differ.
        """
        packed, y = self._checked(masks, outputs, reset=True)
        check_one_way(validation, sample_split)
        if self.fold_count and validation is None and sample_split is None:
            self._fit_by_folds(packed, y, fold_numbers(len(packed), self.fold_count, self.splits_by[1]), progress)
            self._flat = are_flat(outputs, masks)
            return self
        rows = None if validation is not None else self._validating(len(packed), sample_split)
        if validation is not None:
            held: ValidationModels | None = ValidationModels(*self._checked(*validation, reset=False))
        else:
            held = None if rows is None else ValidationModels(packed[rows], y[rows])
        train = self._count(packed, y, None if rows is None else ~rows, progress)
        fit_held(self, train, held, progress)
        self._flat = are_flat(outputs, masks)
        return self

    def fit_counts(
        self,
        train: Counts,
        validation: Any = None,
        total: Any = None,
        progress: Progress | None = None,
        *,
        keep: Path | None = None,
        mapper: Mapper | None = None,
    ) -> Self:
        """Fit from counts alone.

        Args:
            train: Counts of the fitting models.
            validation: Of the models that choose lambda: their counts, or `ValidationModels` for an estimator that
                reads "counts + validation".
            total: Counts of both, train + validation by default.
            progress: Called with stage, done and total while it runs.
            keep: A folder for finished work, for an interrupted fit to go on from.
            mapper: What may run pieces of the work elsewhere.

        Returns:
            This estimator.
        """
        self.n_features_in_, self._flat = train.n, False
        return self._keep(self.estimate(train, validation, total, progress), train)

    def _fit_by_folds(self, masks: Masks, y: NDArray[Any], folds: NDArray[np.int64], progress: Progress | None) -> None:
        self.fit_folds([self._count(masks, y, folds == k, progress) for k in range(self.fold_count)], progress)

    def fit_folds(self, folds: Sequence[Counts], progress: Progress | None = None) -> Self:
        """Refused, unless a cross-validation can choose lambda: `folds` says so."""
        raise no_folds(self)

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, Rows],
        counted: Callable[..., Counts],
        progress: Progress | None = None,
    ) -> Self:
        """Fit a study's models; only for an estimator that reads "models"."""
        raise NotImplementedError

    def predict(self, masks: ArrayLike | Masks) -> Floats:
        """Predicted outputs.

        Args:
            masks: [m, n] of bool, 0/1 or `Masks`.

        Returns:
            float64 [m, T], or [m] if it was fitted to such outputs.
        """
        check_is_fitted(self)
        packed = self._packed(masks, reset=False)
        blocks = [packed[i : i + ROWS].unpack() @ self.weight_ for i in range(0, max(len(packed), 1), ROWS)]
        predicted: Floats = np.concatenate(blocks) + self.bias_
        return predicted[:, 0] if self._flat else predicted

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """An estimator with these parameters; InputError for one that it does not have."""
        unknown = sorted(options.keys() - cls().get_params())
        if unknown:
            raise InputError(f"{cls.name} has no parameter {unknown[0]}; it has {', '.join(cls().get_params())}")
        return cls(**options)

    @property
    def chooses(self) -> bool:
        """Whether there are several lambdas to choose from."""
        return is_choice(getattr(self, "lambdas", [0.0]))

    @property
    def fold_count(self) -> int:
        """Folds of a cross-validation, 0 where there is none."""
        return 0

    @property
    def splits_by(self) -> tuple[float | int | None, int]:
        """Share of a study's models that choose lambda, and the seed that draws them."""
        return self.fold_count or getattr(self, "validation", None), getattr(self, "seed", 0)

    @property
    def reads_models(self) -> bool:
        """Whether a study's models are fitted as they are, by `fit_models`, and not counted."""
        return self.reads == MODELS

    @property
    def holds_models(self) -> bool:
        """Whether validation models of a study are held as they are, and not counted."""
        return self.reads == COUNTS_AND_VALIDATION

    def look_at(self, models: Models) -> tuple[str, ...]:
        """Nothing to say of any models."""
        return ()

    def plan(self, models: Models, parts: Mapping[str, Rows], keep_counts: bool) -> FitPlan:
        """What fitting these parts of a study's models takes."""
        held = self.holds_models and len(parts) == 2
        sizes = [rows.size for rows in parts.values()]
        return plan_fit(sizes, models.study.n, models.targets, held, keep_counts, models.dtype.itemsize)

    def choice(self) -> dict[str, Any]:
        """Nothing: there are no candidates."""
        return {}

    def _checked(self, masks: ArrayLike | Masks, outputs: ArrayLike, reset: bool) -> tuple[Masks, NDArray[Any]]:
        given: Any = outputs
        if given is None:
            name = type(self).__name__
            raise InputError(f"{name} requires y to be passed, but the target y is None: give outputs [m, T]")
        expect_all(masks, outputs)
        packed = self._packed(masks, reset)
        y = whole_outputs(outputs, masks)
        if len(packed) != len(y):
            raise InputError(f"there are {len(packed)} masks but outputs of {len(y)} models")
        if y.shape[1] == 0:
            raise InputError("there are no targets: outputs have shape [m, 0]")
        check_finite(y)
        return packed, y

    def _packed(self, masks: ArrayLike | Masks, reset: bool) -> Masks:
        if in_parts(masks):
            masks = whole_masks(masks)
        if not isinstance(masks, Masks):
            return pack(validate_data(self, masks, dtype="numeric", reset=reset))
        if reset:
            self.n_features_in_ = masks.n
        elif masks.n != self.n_features_in_:
            raise InputError(f"masks are over {masks.n} units, the datamodels over {self.n_features_in_}")
        return masks

    def _count(
        self, masks: Masks, y: NDArray[Any], rows: NDArray[np.bool_] | None, progress: Progress | None
    ) -> Counts:
        """Counts of these rows, None for all of them, with the kind of Gram that this estimator reads."""
        gram = gram_kind(masks.n) if self.reads == COUNTS_AND_VALIDATION else "dense"
        some = (masks, y) if rows is None else (masks[rows], y[rows])
        return count(*some, self.threads, progress, gram=gram)

    def _validating(self, m: int, split: ArrayLike | None) -> NDArray[np.bool_] | None:
        """bool [m], the models that choose lambda, or None where nothing is chosen."""
        if split is not None:
            return given_rows(split, m)
        share, seed = self.splits_by
        return validation_rows(m, share, seed) if share and self.chooses else None

    def _store(self, fitted: Fitted) -> Self:
        for field in fields(fitted):
            value = getattr(fitted, field.name)
            if value is not None:
                setattr(self, f"{field.name}_", value)
            else:
                self.__dict__.pop(f"{field.name}_", None)  # of an earlier fit
        return self

    def _keep(self, fitted: Fitted, train: Counts) -> Self:
        """Store what was found, and warn of units and targets without weights; train: to say why they have none."""
        self._store(fitted)
        n = len(fitted.weight)
        warn_constant(fitted.constant_units, n)
        given = getattr(self, "lambdas", None)
        varying = n - fitted.constant_units.size
        warn_zeros_of(train, fitted.weight, varying, error=fitted.validation_mse, given=given)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weight_")


def all_counts(train: Counts, validation: Counts | None, total: Any) -> Counts:
    """Counts of fitting and validation models."""
    if validation is None:
        return train
    found: Counts = total() if callable(total) else total or train + validation
    return found


def no_folds(estimator: Any) -> InputError:
    """The error of an estimator that no cross-validation can choose for."""
    name = type(estimator).__name__
    return InputError(f"{name} cannot choose by folds: give validation as a share, for example 0.1")


def fitted_lasso(fit: LassoFit) -> Fitted:
    """A LASSO's fit in the form of all estimators."""
    names = ("weight", "bias", "lam", "gap", "constant_units", "lambdas", "validation_mse", "path_gap")
    return Fitted(**{name: getattr(fit, name) for name in names}, n_iter=int(fit.n_iter.max(initial=0)))
