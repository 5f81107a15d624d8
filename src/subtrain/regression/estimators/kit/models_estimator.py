"""The base of estimators that read the models themselves, held in memory, and not counts of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.shards import are_flat
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.contract import MODELS, Reads, Rows
from subtrain.regression.estimators.kit.linear_estimator import Fitted, LinearEstimator
from subtrain.regression.fit_plan import FitPlan, plan_fit
from subtrain.regression.study_models import Models


class ModelsEstimator(LinearEstimator):
    """A `LinearEstimator` of which a subclass implements `estimate_models` alone.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(eq=False, repr=False)
        ... class Medians(ModelsEstimator):
        ...     name = "medians"
        ...     def estimate_models(self, masks, outputs, choose, progress):
        ...         held = masks.unpack()
        ...         weight = np.stack([np.median(outputs[u], axis=0) - np.median(outputs[~u], axis=0) for u in held.T])
        ...         none, zero = np.zeros((0, outputs.shape[1])), np.zeros(outputs.shape[1])
        ...         return Fitted(weight, zero, zero, zero, np.zeros(0, np.int64), none, none)
        >>> Medians().fit([[0, 1], [1, 0], [1, 1], [0, 0]], [1.0, 5.0, 5.0, 1.0]).weight_[:, 0]
        array([4., 0.])
    """

    reads: ClassVar[Reads] = MODELS

    def estimate_models(
        self, masks: Masks, outputs: NDArray[Any], choose: NDArray[np.bool_] | None, progress: Progress | None
    ) -> Fitted:
        """The regression itself.

        Args:
            masks: Of the models, packed; `masks.unpack()` is bool [m, n].
            outputs: [m, T], finite, of any float type.
            choose: Which models choose lambda, bool [m]; None where there is nothing to choose.
            progress: Called with stage, done and total.

        Returns:
            The weights and what belongs to them.
        """
        raise NotImplementedError

    def fit(
        self,
        masks: ArrayLike | Masks,
        outputs: ArrayLike,
        validation: Any = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """As every estimator; the models that choose lambda are among these, as sample_split says."""
        packed, y = self._checked(masks, outputs, reset=True)
        if validation is not None:
            raise InputError(f"{type(self).__name__} takes the models that choose lambda as sample_split")
        found = self.estimate_models(packed, y, self._validating(len(packed), sample_split), progress)
        self._flat = are_flat(outputs, masks)
        return self._keep(found, count(packed, y, self.threads, gram="none"))

    def fit_counts(self, train: Counts, *args: Any, **options: Any) -> Self:
        """Refused."""
        raise InputError(f"{type(self).__name__} reads the models themselves, not counts")

    def plan(self, models: Models, parts: Mapping[str, Rows], keep_counts: bool) -> FitPlan:
        """What `fit_models` takes; InputError where these models cannot be fitted."""
        sizes = [rows.size for rows in parts.values()]
        return plan_fit(sizes, models.study.n, models.targets, False, False, models.dtype.itemsize)

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, Rows],
        counted: Callable[..., Counts],
        progress: Progress | None = None,
    ) -> Self:
        """Fit a study's models; the first of `parts` fits, a second one chooses lambda."""
        held = models.in_memory(np.concatenate(list(parts.values())))
        first = next(iter(parts.values())).size
        split = np.arange(first, held.m) if len(parts) > 1 else None
        return self._fit_held(models, held.masks, held.outputs, split, progress)

    def _fit_held(
        self, models: Models, masks: Masks, outputs: NDArray[Any], split: Any, progress: Progress | None
    ) -> Self:
        return self.fit(masks, outputs, sample_split=split, progress=progress)
