"""Train-set targets: datamodels from the models that were not trained on the target itself."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.contract import MODELS, Rows, StandardErrors, check_declared
from subtrain.regression.estimators.kit.linear_estimator import ROWS
from subtrain.regression.estimators.kit.models_estimator import ModelsEstimator
from subtrain.regression.estimators.lasso import Lasso
from subtrain.regression.fit_plan import FitPlan
from subtrain.regression.fit_warnings import heard, warn
from subtrain.regression.lasso.zero_targets import left_out, left_out_among
from subtrain.regression.study_models import Models
from subtrain.system.types import Floats


@dataclass(eq=False, repr=False)
class LeaveSelfOut(ModelsEstimator):
    """Fit target t on the models only whose mask does not hold the unit that t is about, and report that unit apart.

    Each target gets its own choice of lambda. Targets about one unit share their counts, so the cost is a Gram a
    distinct unit: about sum over units of (models without it) n^2 / 2 products of mask bits.

    Args:
        estimator: An estimator that is fitted from counts, target by target. Default None, `Lasso()`.
        limit: Products of mask bits at most; above it `fit` refuses before any work, with the numbers. Default 5e14,
            which take two cores some ten minutes.
        threads: Default None, all cores.
        units: int [T], the unit each target is about, -1 for none. Default None: target t is about unit t, which takes
            T = n; in `st.fit` a training example is about the unit that it belongs to.

    Fitted: weight_ float64 [n, T], 0 at the target's own unit; bias_, lam_, gap_ [T]; self_weight_ [T], mean(Y | own
    unit in) - mean(Y | out), NaN where one never happens or the target has no unit; models_ int64 [T], fitted on.
    `predict` says what models without the target's own unit would give.

    Raises:
        InputError: by `fit`, above the limit, where a target has too few models without its unit, and where it is not
            known which unit a target is about.

    Example:
        >>> from subtrain.regression import Ridge
        >>> random = np.random.default_rng(0)
        >>> masks = random.random((900, 3)) < 0.5
        >>> outputs = masks + 2.0 * masks[:, [1, 2, 0]] + random.normal(size=(900, 3))
        >>> LeaveSelfOut(Ridge()).fit(masks, outputs).weight_.round() + 0.0
        array([[0., 0., 2.],
               [2., 0., 0.],
               [0., 2., 0.]])
    """

    name: ClassVar[str] = "leave-self-out"
    standard_errors: ClassVar[StandardErrors] = "none"
    # One half of a pair was trained on the target's own unit.
    takes_pairs: ClassVar[bool] = False

    estimator: Any = None
    limit: float = 5e14
    threads: int | None = None
    units: ArrayLike | None = None

    def fit(  # type: ignore[override]
        self,
        masks: ArrayLike | Masks,
        outputs: ArrayLike,
        units: ArrayLike | None = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """As every estimator; units: the unit each target is about, instead of the estimator's own."""
        packed, y = self._checked(masks, outputs, reset=True)
        own = own_units(self.units if units is None else units, packed.n, y.shape[1])
        inner = self._inner()
        validating = inner._validating(len(packed), sample_split)
        self._check_cost(packed, own)
        self._empty(packed.n, own)
        groups = np.unique(own)
        missed: list[str] = []
        for done, unit in enumerate(groups.tolist()):
            targets = np.flatnonzero(own == unit)
            holds = bits(packed, unit) if unit >= 0 else np.zeros(len(packed), np.bool_)
            if unit >= 0:
                self.self_weight_[targets] = own_difference(holds, y[:, targets])
            missed += self._fit_group(inner, packed, y, unit, targets, ~holds, validating)
            if progress:
                progress("units", done + 1, groups.size)
        for message in dict.fromkeys(missed):
            same = missed.count(message)
            warn(f"{message} (said of {same} of {groups.size} units' targets)")
        return self

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """Options are those of the LASSO that is fitted for each unit."""
        return cls(Lasso.from_options(**options))

    @property
    def splits_by(self) -> tuple[float | int | None, int]:
        """Share of a study's models that choose lambda, and the seed that draws them: the inner estimator's."""
        split: tuple[float | int | None, int] = self._inner().splits_by
        return split

    def plan(self, models: Models, parts: Mapping[str, Rows], keep_counts: bool) -> FitPlan:
        """What `fit_models` takes; InputError where it is not known which unit a target is about."""
        self._own(models)
        return super().plan(models, parts, keep_counts)

    def _fit_held(
        self, models: Models, masks: Masks, outputs: NDArray[Any], split: Any, progress: Progress | None
    ) -> Self:
        return self.fit(masks, outputs, self._own(models), split, progress)

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

    def _inner(self) -> Any:
        inner = Lasso() if self.estimator is None else clone(self.estimator)
        check_declared(inner)
        if inner.reads == MODELS or inner.joint:
            why = "fits all targets together" if inner.joint else "reads the models themselves"
            raise InputError(f"LeaveSelfOut fits target by target from counts, but {type(inner).__name__} {why}")
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
        self.n_features_in_, self._flat = n, False
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
        validating: NDArray[np.bool_] | None,
    ) -> list[str]:
        """Fit the targets about one unit; the warnings of their fit."""
        fitting, held = (kept, None) if validating is None else (kept & ~validating, kept & validating)
        few = np.count_nonzero(fitting) < 2 or (held is not None and not held.any())
        if few:
            raise InputError(
                f"too few models are without unit {unit}, which target {targets[0]} is about: "
                f"{np.count_nonzero(kept)} of {kept.size}"
            )
        part = y[:, targets]
        train, validation = (
            None if rows is None else count(masks[rows], part[rows], self.threads) for rows in (fitting, held)
        )
        with heard(aloud=False) as said, left_out(left_out_among(targets)):
            found = copy(inner).fit_counts(train, validation)
        self.weight_[:, targets] = found.weight_
        self.bias_[targets], self.lam_[targets], self.gap_[targets] = found.bias_, found.lam_, found.gap_
        self.models_[targets] = np.count_nonzero(kept)
        return _worth_saying(said, found.constant_units_, unit)


def bits(masks: Masks, unit: int) -> NDArray[np.bool_]:
    """bool [m], which models hold the unit."""
    byte, bit = divmod(unit, 8)
    held: NDArray[np.bool_] = (masks.data[:, byte] >> np.uint8(bit) & np.uint8(1)).astype(np.bool_)
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


def _worth_saying(said: list[str], constant: NDArray[np.int64], unit: int) -> list[str]:
    """Warnings but the one that the left-out unit is constant, which is the point."""
    return [text for text in said if "in every mask or in none" not in text or constant.tolist() != [unit]]
