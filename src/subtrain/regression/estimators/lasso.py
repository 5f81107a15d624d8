"""`Lasso`: datamodels by LASSO, in scikit-learn's shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Mapper, Progress
from subtrain.regression.estimators.kit.contract import COUNTS_AND_VALIDATION, Reads, StandardErrors
from subtrain.regression.estimators.kit.linear_estimator import LinearEstimator, fitted_lasso
from subtrain.regression.lasso.folds import lasso_kfold
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions
from subtrain.regression.lasso.path import PASSES
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.study_models import Models

# Rows of an orthogonal set tell nothing that the others could predict: the lambda that they choose is twice too large.
ORTHOGONAL_FACTOR = 0.5
HALVED = (
    "the design has no validation models that are finished, and its own rows choose a lambda twice too large: it is "
    "halved (extend the study by validation models to choose it)"
)


def lambda_factor(models: Models) -> float:
    """By what the lambda is multiplied that some of these models choose."""
    return ORTHOGONAL_FACTOR if models.study.design.orthogonal and models.validation is None else 1.0


@dataclass(eq=False, repr=False)
class LassoParameters(LinearEstimator):
    """The parameters that `Lasso` and `LassoLarge` share; `Lasso` says what each means."""

    sparse: ClassVar[bool] = True
    standard_errors: ClassVar[StandardErrors] = "own"

    lambdas: int | ArrayLike = 100
    eps: float = 1e-3
    tol: float = 1e-4
    objective: str = "standardized"
    validation: float | int | None = 0.1
    seed: int = 0
    early_stop: int | None = 5
    refit: bool = True
    penalty: ArrayLike | None = None
    positive: bool = False
    max_iter: int = PASSES
    threads: int | None = None

    def look_at(self, models: Models) -> tuple[str, ...]:
        """Remember, for the next fit, whether lambda is chosen by rows of an orthogonal set."""
        if not self.chooses or lambda_factor(models) == 1.0:
            return ()
        self._factor = lambda_factor(models)
        return (HALVED,)

    def _options(self) -> LassoOptions:
        names = LassoOptions.__dataclass_fields__
        given = {name: value for name, value in self.get_params().items() if name in names}
        return LassoOptions(factor=self.__dict__.pop("_factor", 1.0), **given)


@dataclass(eq=False, repr=False)
class Lasso(LassoParameters):
    """One sparse linear datamodel a target, lambda chosen per target.

    Minimizes (1/2m) ||y - X w - b||^2 + lam ||w||_1, b free, along a path of lambdas for each target; takes the one
    with the least squared error on validation models and fits it again on all models (Ilyas et al. 2022, section 3).

    Args:
        lambdas: How many lambdas, or their values, [k] or [T, k]. Default 100.
        eps: The smallest lambda over the largest. Default 1e-3.
        tol: Duality gap to reach, relative to half the target's variance. Default 1e-4.
        objective: "standardized" (the paper's, default): X are masks centered and divided by their standard deviation,
            and lam is on that scale; or "raw": X are the 0/1 masks.
        validation: Share of the models that choose lambda, or an integer, the folds of a cross-validation. Default 0.1.
            In `st.fit`, validation models that the study's design has choose instead.
        seed: Draws the validation models, or deals the folds. Default 0.
        early_stop: Lambdas to go on after the least validation error, None for all. Default 5.
        refit: Whether the chosen lambda is fitted again on all models. Default True.
        penalty: float [n], a factor of lambda for each unit; inf leaves the unit out. Default None, 1 for all.
        positive: Whether no weight may be negative. Default False.
        max_iter: Sweeps at most for one lambda. Default 5,000.
        threads: Default None, all cores.
        device: "cpu" (default), or a CUDA device of PyTorch to solve on, which is experimental.

    Fitted: weight_ float64 [n, T], for raw 0/1 masks; bias_, lam_, gap_ [T]; lambdas_, validation_mse_, path_gap_
    [k, T], NaN after an early stop; n_iter_, the most sweeps any target took; constant_units_, those in every mask or
    in none, whose weight is 0.

    Raises:
        InputError: by `fit`, for masks that are not 0/1, outputs that are not finite, and parameters out of range.

    Example:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> masks = random.random((500, 40)) < 0.5
        >>> outputs = 3.0 * masks[:, 2] - 1.0 + random.normal(size=500)
        >>> Lasso().fit(masks, outputs).weight_[:4, 0].round() + 0.0
        array([0., 0., 3., 0.])
    """

    name: ClassVar[str] = "lasso"
    reads: ClassVar[Reads] = COUNTS_AND_VALIDATION
    folds: ClassVar[bool] = True

    device: str = "cpu"

    def fit_counts(
        self,
        train: Counts,
        validation: Counts | ValidationModels | None = None,
        total: Counts | Callable[[], Counts] | None = None,
        progress: Progress | None = None,
        *,
        keep: Path | None = None,
        mapper: Mapper | None = None,
    ) -> Self:
        """Fit from counts alone, as every estimator.

        keep: a folder for finished blocks of targets, from which an interrupted fit goes on; mapper: what solves these
        blocks instead of this process.
        """
        options = self._options()
        if self.device != "cpu":
            fit = self._on_device(train, validation, total, options, progress)
        else:
            fit = lasso_from_counts(train, validation, total, options, progress, keep=keep, mapper=mapper)
        return self._solved(fit)

    def fit_folds(self, folds: Sequence[Counts], progress: Progress | None = None) -> Self:
        """Fit from counts of the folds of a cross-validation."""
        return self._solved(lasso_kfold(folds, self._options(), progress))

    @property
    def holds_models(self) -> bool:
        """On a device all models are counted, in tables of int32."""
        return self.device == "cpu"

    @property
    def fold_count(self) -> int:
        """Folds of a cross-validation, 0 if lambda is not chosen that way."""
        whole = isinstance(self.validation, (int, np.integer)) and not isinstance(self.validation, bool)
        return int(self.validation or 0) if whole else 0

    def _on_device(
        self,
        train: Counts,
        validation: Counts | ValidationModels | None,
        total: Counts | Callable[[], Counts] | None,
        options: LassoOptions,
        progress: Progress | None,
    ) -> LassoFit:
        from subtrain.regression.device import lasso_on_device

        train = replace(train, gram=np.asarray(train.gram))
        if isinstance(validation, ValidationModels):
            validation, total = count(validation.masks, validation.outputs, self.threads, progress), None
        whole = total() if callable(total) else total
        return lasso_on_device(train, validation, options, self.device, whole, progress)

    def _solved(self, fit: LassoFit) -> Self:
        self.n_features_in_, self._flat = len(fit.weight), False
        return self._store(fitted_lasso(fit))
