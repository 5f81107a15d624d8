"""What an estimator declares and does, so that `fit` and the command line can use it without knowing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Mapper, Progress
from subtrain.regression.fit_plan import FitPlan
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.study_models import Models

Rows = NDArray[np.int64]
Reads = Literal["counts", "counts + validation", "models"]
COUNTS: Reads = "counts"
COUNTS_AND_VALIDATION: Reads = "counts + validation"
MODELS: Reads = "models"
READS = (COUNTS, COUNTS_AND_VALIDATION, MODELS)
# What tells the standard errors of weights: their own residuals, those of a LASSO on the same models, the fit itself as
# error_ (and a LASSO where it has none), or nothing.
StandardErrors = Literal["own", "lasso", "posterior", "none"]


class Estimator(Protocol):
    """What `fit` needs of an estimator; `LinearEstimator` has all of it but the regression itself.

    An estimator is one set of parameters. It is made without arguments or with keywords, and scikit-learn's
    `get_params`, `set_params` and `clone` work on it. Whoever holds it may fit it as often as they like: each fit
    replaces what the one before found, and changes no parameter. It is not used from two threads at a time.

    `reads` says which method `fit` calls, once for each fit:

    - "counts": `fit_counts(train, validation)`, with the counts of the fitting models and, where there is something to
      choose, of the validation models; both have a table of all pairs of units.
    - "counts + validation": the same, but the validation models come themselves, as `ValidationModels`, and the table
      may be a `CompactGram`. `total()` adds them to the counts, in the memory of `train`: after it `train` is gone.
    - "models": `fit_models(models, parts, counted)`, with the study's models, to be read as it likes. An estimator of
      another kind may ask for this, too, once it has looked at the models: by a property `reads_models`.

    Afterwards weight_ [n, T] and bias_ [T] are for raw 0/1 masks, lam_ and gap_ are [T], and all of them are finite. A
    unit that is in every mask or in none has the weight 0, and a target whose outputs are constant has weights of 0.
    InputError says in one sentence that the parameters or the models cannot be fitted; `plan` raises it before any
    work. A FitWarning says which units and targets nothing could be done for.
    """

    name: ClassVar[str]
    """The name on the command line, and in `ESTIMATORS`."""
    reads: ClassVar[Reads]
    """What is fitted from."""
    sparse: ClassVar[bool]
    """Whether most weights are exactly 0."""
    folds: ClassVar[bool]
    """Whether a cross-validation can choose lambda: `fit_folds` is there."""
    joint: ClassVar[bool]
    """Whether the weights of one target depend on the other targets."""
    gap_name: ClassVar[str]
    """What gap_ measures, in words."""
    takes_pairs: ClassVar[bool]
    """Whether a mask and its complement may come as one row, with half the difference of their outputs."""

    weight_: NDArray[np.floating[Any]]
    bias_: NDArray[np.floating[Any]]
    lam_: NDArray[np.floating[Any]]
    gap_: NDArray[np.floating[Any]]

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """An estimator with these parameters; InputError for one that it does not have."""

    def get_params(self) -> dict[str, Any]:
        """The parameters by name."""

    @property
    def chooses(self) -> bool:
        """Whether there is something to choose, which takes validation models."""

    @property
    def splits_by(self) -> tuple[float | int | None, int]:
        """Share of the models that validate, or the folds of a cross-validation; and the seed that draws them."""

    def look_at(self, models: Models) -> tuple[str, ...]:
        """Called first, with a study's models: sentences that the user should read about fitting these."""

    def plan(self, models: Models, parts: Mapping[str, Rows], keep_counts: bool) -> FitPlan:
        """What the fit will take; InputError where it cannot be."""

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
        """Fit counts. keep: a folder for finished work, for an interrupted fit to go on from; mapper: what may run
        pieces of the work elsewhere. An estimator that has no use for these two leaves them."""

    def fit_folds(self, folds: Sequence[Counts], progress: Progress | None = None) -> Self:
        """Fit counts of the folds of a cross-validation."""

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, Rows],
        counted: Callable[..., Counts],
        progress: Progress | None = None,
    ) -> Self:
        """Fit a study's models: the first of `parts` fits, a second one validates. counted(rows, name) counts some of
        them, and keeps the counts in the study under that name where the user wants them kept."""

    def choice(self) -> dict[str, Any]:
        """What is to be kept of a choice between candidates: chosen, and the score of each."""


def estimator_of(given: Any) -> Any:
    """The estimator itself; of a name in `ESTIMATORS` the one of that name with its defaults, of None the LASSO.

    Raises InputError for another name.
    """
    from subtrain.regression.estimators import ESTIMATORS

    return ESTIMATORS[given or "lasso"].from_options() if given is None or isinstance(given, str) else given


def check_declared(model: Any) -> None:
    """Refuse what declares no way to be fitted: a class, a name, an estimator of another library."""
    if isinstance(model, type) or getattr(model, "reads", None) not in READS:
        what = f"the class {model.__name__}: give {model.__name__}()" if isinstance(model, type) else repr(model)
        raise InputError(
            "estimator must be one of those of subtrain.regression, for example Ridge(), or a LinearEstimator of your "
            f"own; got {what}"
        )


def fit_held(model: Any, train: Counts, held: ValidationModels | None, progress: Progress | None) -> None:
    """Fit counts, with the validation models in the form that the estimator reads; `train` may be used up."""
    from subtrain.regression.counting.count_stream import count

    if held is None:
        model.fit_counts(train, progress=progress)
    elif model.reads == COUNTS:
        model.fit_counts(train, count(held.masks, held.outputs, model.threads, progress), progress=progress)
    else:
        model.fit_counts(train, held, lambda: held.added_to(train, model.threads, progress), progress=progress)


def plain(value: Any) -> Any:
    """A parameter as JSON can hold it: arrays as lists, and what is neither number, word nor list by its name."""
    if isinstance(value, np.ndarray) and value.ndim > 1:
        return f"array {value.dtype} {list(value.shape)}"
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else repr(value)
