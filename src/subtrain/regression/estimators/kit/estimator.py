"""What the estimators other than `Lasso` share: scikit-learn's shape around a function of counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from subtrain.errors import InputError
from subtrain.masks import Masks, pack
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts, check_finite
from subtrain.regression.counting.shards import are_flat, expect_all, in_parts, whole_masks, whole_outputs
from subtrain.regression.counting.threads import Progress
from subtrain.regression.fit_warnings import warn_constant
from subtrain.regression.lasso.sample_split import check_one_way, given_rows, validation_rows
from subtrain.regression.lasso.zero_targets import warn_zeros_of

Floats = NDArray[np.float64]
# Masks turned to floats at a time by `predict`.
ROWS = 4096


@dataclass(frozen=True, eq=False)
class Fitted:
    """n units, T targets, k lambdas. weight: [n, T] and bias: [T], for raw 0/1 masks. lam, gap, residual: [T].
    lambdas, validation_mse: [k, T], k = 0 where no lambda is chosen. n_iter: sweeps of the target that took most."""

    weight: Floats
    bias: Floats
    lam: Floats
    gap: Floats
    residual: Floats
    lambdas: Floats
    validation_mse: Floats
    n_iter: int = 1


class Linear(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """One linear datamodel a target: outputs = masks @ weight_ + bias_, by a subclass's `_estimate` from counts.

    Fitted: weight_ float64 [n, T], for raw 0/1 masks; bias_, lam_, gap_ and residual_ [T]; lambdas_ and
    validation_mse_ [k, T]; constant_units_, those in every mask or in none, of weight 0.
    """

    threads: int | None = None

    def fit(
        self,
        masks: ArrayLike | Masks,
        outputs: ArrayLike,
        validation: tuple[ArrayLike | Masks, ArrayLike] | None = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit masks [m, n] (bool, 0/1 or `Masks`) to outputs [m, T] or [m], of any float type; either may be the path
        of a .npy file, or a list of parts.

        validation: other models (masks, outputs) that choose lambda; or sample_split, which of these do (bool [m] or
        positions); by default a share drawn by `seed`, where there is a lambda to choose. Raises InputError for masks
        that are not 0/1, outputs that are not finite, and lengths that differ.
        """
        packed, y = self._checked(masks, outputs, reset=True)
        train, valid = self._counts(packed, y, validation, sample_split, progress)
        self.fit_counts(train, valid, progress=progress)
        self._flat = are_flat(outputs, masks)
        return self

    def fit_counts(
        self, train: Counts, valid: Counts | None = None, total: Counts | None = None, progress: Progress | None = None
    ) -> Self:
        """Fit from counts alone; valid: of the models that choose lambda; total: of both, train + valid by default."""
        self.n_features_in_ = train.n
        self._flat = False
        fitted = self._estimate(train, valid, total, progress)
        everything = train if valid is None else total or train + valid
        constant = np.flatnonzero((everything.ones == 0) | (everything.ones == everything.m))
        return self._keep(fitted, constant, partial(warn_zeros_of, train))

    def predict(self, masks: ArrayLike | Masks) -> Floats:
        """Predicted outputs float64 [m, T], or [m] if fitted to such, for masks [m, n]."""
        check_is_fitted(self)
        packed = self._packed(masks, reset=False)
        blocks = [packed[i : i + ROWS].unpack() @ self.weight_ for i in range(0, max(len(packed), 1), ROWS)]
        predicted: Floats = np.concatenate(blocks) + self.bias_
        return predicted[:, 0] if self._flat else predicted

    def _estimate(self, train: Counts, valid: Counts | None, total: Counts | None, progress: Progress | None) -> Fitted:
        raise NotImplementedError

    def _chooses(self) -> bool:
        """Whether there are several lambdas to choose from."""
        lambdas = getattr(self, "lambdas", [0.0])
        return bool(np.ndim(lambdas) == 0 or np.shape(lambdas)[-1] != 1)

    def _checked(self, masks: ArrayLike | Masks, outputs: ArrayLike, reset: bool) -> tuple[Masks, NDArray[Any]]:
        name = type(self).__name__
        if outputs is None:
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

    def _counts(
        self,
        masks: Masks,
        y: NDArray[Any],
        validation: tuple[ArrayLike | Masks, ArrayLike] | None,
        split: ArrayLike | None,
        progress: Progress | None,
    ) -> tuple[Counts, Counts | None]:
        check_one_way(validation, split)
        if validation is not None:
            judges, judged = self._checked(*validation, reset=False)
            return count(masks, y, self.threads, progress), count(judges, judged, self.threads, progress)
        rows = self._validating(len(masks), split)
        if rows is None:
            return count(masks, y, self.threads, progress), None
        train, valid = (count(masks[part], y[part], self.threads, progress) for part in (~rows, rows))
        return train, valid

    def _validating(self, m: int, split: ArrayLike | None) -> NDArray[np.bool_] | None:
        """bool [m], the models that choose lambda, or None where nothing is chosen."""
        if split is not None:
            return given_rows(split, m)
        share = getattr(self, "validation", None)
        return validation_rows(m, share, self.seed) if share and self._chooses() else None

    def _keep(self, fitted: Fitted, constant: NDArray[np.int64], zeros: Callable[..., None]) -> Self:
        """zeros: says why weights are all 0."""
        self.weight_ = fitted.weight
        self.bias_ = fitted.bias
        self.lam_ = fitted.lam
        self.gap_ = fitted.gap
        self.residual_ = fitted.residual
        self.lambdas_ = fitted.lambdas
        self.validation_mse_ = fitted.validation_mse
        self.n_iter_ = fitted.n_iter
        self.constant_units_ = constant
        warn_constant(constant, len(self.weight_))
        varying, given = len(self.weight_) - constant.size, getattr(self, "lambdas", None)
        zeros(self.weight_, varying, error=fitted.validation_mse, given=given)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weight_")


def need_validation(lambdas: int | ArrayLike, valid: Counts | None) -> None:
    """Refuse to choose among several lambdas without models to choose them by."""
    if valid is None and (np.ndim(lambdas) == 0 or np.shape(lambdas)[-1] != 1):
        raise InputError("choosing among lambdas needs validation models; without them give one value: lambdas=[0.01]")


def lambda_values(lambdas: int | ArrayLike, top: Floats, eps: float) -> Floats:
    """float64 [T, k], decreasing: so many, geometric from top [T] down to eps top, or these values ([k] or [T, k])."""
    targets = top.size
    if isinstance(lambdas, (int, np.integer)):
        return geometric(top, int(lambdas), eps)
    values = np.asarray(lambdas, np.float64)
    if values.ndim not in (1, 2) or values.shape[-1] == 0 or (values.ndim == 2 and len(values) != targets):
        raise InputError(f"lambdas must be a count, [k] or [{targets}, k], got shape {list(values.shape)}")
    if not np.all(np.isfinite(values) & (values > 0)):
        raise InputError("lambdas must be positive and finite")
    return np.ascontiguousarray(-np.sort(-np.broadcast_to(values, (targets, values.shape[-1])), axis=1))


def geometric(top: Floats, k: int, eps: float) -> Floats:
    """k lambdas a target [T, k], geometric from top [T] down to eps top."""
    if k < 2 or not 0.0 < eps < 1.0:
        raise InputError(f"a lambda grid needs at least 2 values and 0 < eps < 1, got {k} values and eps = {eps}")
    return np.outer(top, eps ** (np.arange(k) / (k - 1)))
