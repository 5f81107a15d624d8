"""Train-set targets: datamodels from the models that were not trained on the target itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from subtrain.errors import InputError
from subtrain.masks import Masks, pack
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts, as_outputs, check_finite
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.elastic_net import ElasticNet
from subtrain.regression.estimators.kit.estimator import ROWS
from subtrain.regression.estimators.lasso import Lasso
from subtrain.regression.estimators.ridge import Ridge
from subtrain.regression.fit_plan import FitPlan, plan_fit
from subtrain.regression.fit_warnings import heard, warn
from subtrain.regression.lasso.sample_split import given_rows, validation_rows
from subtrain.regression.lasso.zero_targets import left_out, left_out_among
from subtrain.regression.study_models import Models

Floats = NDArray[np.float64]
FITTED = (Lasso, Ridge, ElasticNet)


class LeaveSelfOut(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit target t on the models only whose mask does not hold the unit that t is about, and report that unit apart.

    estimator: a `Lasso` (by default), `Ridge` or another of these that is fitted from counts; each target gets its own
    choice of lambda. Targets about one unit share their counts, so the cost is a Gram a distinct unit: about
    sum over units of (models without it) n^2 / 2 products of mask bits. Above `limit` of them (the default takes two
    cores some ten minutes) `fit` raises InputError with the numbers, before any work.

    Fitted: weight_ float64 [n, T], 0 at the target's own unit; bias_, lam_, gap_ [T]; self_weight_ [T], mean(Y | own
    unit in) - mean(Y | out), NaN where one never happens or the target has no unit; models_ int64 [T], fitted on.
    `predict` says what models without the target's own unit would give.
    units: int [T], the unit each target is about, -1 for none; by default target t is about unit t, which takes T = n,
    and in `st.fit` a training example is about the unit that it belongs to.
    """

    def __init__(
        self, estimator: Any = None, limit: float = 5e14, threads: int | None = None, units: ArrayLike | None = None
    ) -> None:
        self.estimator = estimator
        self.limit = limit
        self.threads = threads
        self.units = units

    def fit(
        self,
        masks: ArrayLike | Masks,
        outputs: ArrayLike,
        units: ArrayLike | None = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit masks [m, n] to outputs [m, T]; units: instead of the estimator's own. sample_split: which models choose
        lambda, as in `Lasso`.
        """
        packed, y = pack(masks), as_outputs(outputs)
        if len(packed) != len(y):
            raise InputError(f"there are {len(packed)} masks but outputs of {len(y)} models")
        check_finite(y)
        own = own_units(self.units if units is None else units, packed.n, y.shape[1])
        inner = self._inner()
        valid = _validating(inner, len(packed), sample_split)
        self._check_cost(packed, own)
        self._empty(packed.n, own)
        groups = np.unique(own)
        missed: list[str] = []
        for done, unit in enumerate(groups.tolist()):
            targets = np.flatnonzero(own == unit)
            holds = bits(packed, unit) if unit >= 0 else np.zeros(len(packed), np.bool_)
            if unit >= 0:
                self.self_weight_[targets] = own_difference(holds, y[:, targets])
            missed += self._fit_group(inner, packed, y, unit, targets, ~holds, valid)
            if progress:
                progress("units", done + 1, groups.size)
        for message in dict.fromkeys(missed):
            same = missed.count(message)
            warn(f"{message} (said of {same} of {groups.size} units' targets)")
        return self

    @property
    def splits_by(self) -> tuple[float | int | None, int]:
        """Share of a study's models that choose lambda, and the seed that draws them: the inner estimator's."""
        inner = self._inner()
        return getattr(inner, "validation", None), getattr(inner, "seed", 0)

    def plan(self, models: Models, parts: Mapping[str, NDArray[np.int64]], keep_counts: bool) -> FitPlan:
        """What `fit_models` takes; InputError where it is not known which unit a target is about."""
        self._own(models)
        sizes = [rows.size for rows in parts.values()]
        return plan_fit(sizes, models.study.n, models.targets, False, False, models.dtype.itemsize)

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, NDArray[np.int64]],
        counted: Callable[..., Counts],
        progress: Progress | None = None,
    ) -> Self:
        """Fit a study's models; the first of `parts` fits, a second one chooses lambda. Counts are its own."""
        held = models.judges(np.concatenate(list(parts.values())))
        first = next(iter(parts.values())).size
        split = np.arange(first, held.m) if len(parts) > 1 else None
        return self.fit(held.masks, held.outputs, self._own(models), split, progress)

    def _own(self, models: Models) -> NDArray[np.int64]:
        units, study = self.units, models.study
        if units is None and models.output.startswith("train_"):
            of_example = np.arange(study.n) if study.groups is None else np.asarray(study.groups)
            units = of_example if of_example.size == models.targets else None
        if units is None:
            raise InputError(
                f"it is not known which unit each of the {models.targets} targets of {models.output} is about: fit an "
                "output like train_margins, or say it, LeaveSelfOut(units=[...])"
            )
        return own_units(units, study.n, models.targets)

    def predict(self, masks: ArrayLike | Masks) -> Floats:
        """Predicted outputs float64 [m, T] of models with these masks [m, n] but without each target's own unit."""
        check_is_fitted(self)
        packed = pack(masks)
        if packed.n != self.n_features_in_:
            raise InputError(f"masks are over {packed.n} units, the datamodels over {self.n_features_in_}")
        blocks = [packed[i : i + ROWS].unpack() @ self.weight_ for i in range(0, max(len(packed), 1), ROWS)]
        predicted: Floats = np.concatenate(blocks) + self.bias_
        return predicted

    def _inner(self) -> Any:
        inner = Lasso() if self.estimator is None else clone(self.estimator)
        if not isinstance(inner, FITTED):
            raise InputError(f"LeaveSelfOut fits Lasso, Ridge or ElasticNet, not {type(inner).__name__}")
        return inner

    def _check_cost(self, masks: Masks, own: NDArray[np.int64]) -> None:
        groups = np.unique(own)
        held = unit_counts(masks)
        models = int(sum(len(masks) - (held[u] if u >= 0 else 0) for u in groups.tolist()))
        products = models * masks.n**2 / 2
        if products > self.limit:
            raise InputError(
                f"leaving out the own unit of {own.size} targets ({groups.size} distinct units) takes a "
                f"{masks.n} x {masks.n} Gram for each unit: {products:.2g} products of mask bits in all, above the "
                f"limit of {self.limit:.2g}; fit fewer targets at a time or raise limit"
            )

    def _empty(self, n: int, own: NDArray[np.int64]) -> None:
        targets = own.size
        self.n_features_in_ = n
        self.weight_, self.bias_ = np.zeros((n, targets)), np.zeros(targets)
        self.lam_, self.gap_ = np.zeros(targets), np.zeros(targets)
        self.self_weight_, self.models_ = np.full(targets, np.nan), np.zeros(targets, np.int64)
        self.units_ = own

    def _fit_group(
        self,
        inner: Any,
        masks: Masks,
        y: NDArray[Any],
        unit: int,
        targets: NDArray[np.int64],
        kept: NDArray[np.bool_],
        valid: NDArray[np.bool_] | None,
    ) -> list[str]:
        """Fit the targets about one unit; the warnings of their fit."""
        fitting, judging = (kept, None) if valid is None else (kept & ~valid, kept & valid)
        few = np.count_nonzero(fitting) < 2 or (judging is not None and not judging.any())
        if few:
            raise InputError(
                f"too few models are without unit {unit}, which target {targets[0]} is about: "
                f"{np.count_nonzero(kept)} of {kept.size}"
            )
        part = y[:, targets]
        train, judge = (
            None if rows is None else count(masks[rows], part[rows], self.threads) for rows in (fitting, judging)
        )
        with heard(aloud=False) as said, left_out(left_out_among(targets)):
            found = copy(inner).fit_counts(train, judge)
        self.weight_[:, targets] = found.weight_
        self.bias_[targets], self.lam_[targets], self.gap_[targets] = found.bias_, found.lam_, found.gap_
        self.models_[targets] = np.count_nonzero(kept)
        return _worth_saying(said, found.constant_units_, unit)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weight_")


class Span(NamedTuple):
    """Where a unit's bit lies in a packed row."""

    byte: int
    bit: int


def bits(masks: Masks, unit: int) -> NDArray[np.bool_]:
    """bool [m], which models hold the unit."""
    at = Span(*divmod(unit, 8))
    held: NDArray[np.bool_] = (masks.data[:, at.byte] >> np.uint8(at.bit) & np.uint8(1)).astype(np.bool_)
    return held


def unit_counts(masks: Masks) -> NDArray[np.int64]:
    """int64 [n], models that hold each unit."""
    held = np.zeros(masks.n, np.int64)
    for start in range(0, len(masks), ROWS):
        held += masks[start : start + ROWS].unpack().sum(axis=0)
    return held


def own_difference(holds: NDArray[np.bool_], outputs: NDArray[Any]) -> Floats:
    """mean(Y | in) - mean(Y | out) [T], NaN where one of the two never happens."""
    if holds.all() or not holds.any():
        return np.full(outputs.shape[1], np.nan)
    inside, outside = (outputs[rows].mean(axis=0, dtype=np.float64) for rows in (holds, ~holds))
    difference: Floats = inside - outside
    return difference


def own_units(units: ArrayLike | None, n: int, targets: int) -> NDArray[np.int64]:
    """The unit of each target as int64 [T], -1 for none; InputError unless they are in 0..n - 1."""
    if units is None:
        if targets != n:
            raise InputError(f"{targets} targets over {n} units: say which unit each target is about, units=[...]")
        return np.arange(n, dtype=np.int64)
    own = np.asarray(units)
    if own.shape != (targets,) or own.dtype.kind not in "iu" or own.min(initial=0) < -1 or own.max(initial=0) >= n:
        raise InputError(f"units must be whole numbers [{targets}], each from 0 to {n - 1} or -1 for none")
    return own.astype(np.int64)


def _validating(inner: Any, m: int, split: ArrayLike | None) -> NDArray[np.bool_] | None:
    if split is not None:
        return given_rows(split, m)
    one = np.ndim(inner.lambdas) == 1 and np.size(inner.lambdas) == 1
    return validation_rows(m, inner.validation, inner.seed) if inner.validation and not one else None


def _worth_saying(said: list[str], constant: NDArray[np.int64], unit: int) -> list[str]:
    """Warnings but the one that the left-out unit is constant, which is the point."""
    return [text for text in said if "in every mask or in none" not in text or constant.tolist() != [unit]]
