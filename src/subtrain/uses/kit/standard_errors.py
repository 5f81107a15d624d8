"""Standard errors of a study's datamodels, from the models that they were fitted on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.checks import STRATIFIED
from subtrain.designs.model_rows import numbers_below
from subtrain.errors import InputError
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.counts import Counts, gram_kind
from subtrain.regression.counting.study_counts import kept_counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators import ESTIMATORS, registered_name
from subtrain.regression.estimators.kit.guess_alone import GUESS
from subtrain.regression.estimators.kit.unshared import LASSO, RIDGE
from subtrain.regression.estimators.lasso import lambda_factor
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.lambda_choice import LassoOptions, of_targets
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.mask_covariance import MaskCovariance, design_covariance, observed_covariance
from subtrain.regression.study_models import Models
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.debias import Estimates, debias, least_squares
from subtrain.uses.kit.residuals import ResidualSums, Rows, fitted_parts, residual_sums, sums_of_counts

# How the models of a LASSO that stands in for another estimator are split: as `Lasso` splits them by default, whose
# counts the study may have.
SHARE, SEED = 0.1, 0


def standard_errors(
    dm: Datamodels, study: Study, targets: Sequence[int] | None = None, progress: Progress | None = None
) -> Floats:
    """Standard errors of the weights of these targets (all by default), for error bars; float64.

    [n, T], one a weight, where the fit itself tells them (`dm.error`), as `SharedPrior` does: weight ± 1.64 times it
    holds the true weight with a probability of about 90 %, under the prior that was learned. inf for a unit that is in
    every mask or in none.

    [T], one a target, for other fits, because a design that prefers no unit knows all weights equally well: weight ±
    1.96 times it is a 95 % interval about the de-biased weight (`significance` gives those). Takes the counts that
    `fit` kept in the study, or one pass over its models; for datamodels that are not a LASSO's it fits one on the same
    models first. inf where a target's support leaves no degrees of freedom.

    Raises InputError for a fit of another study, and for a guess alone.
    """
    if dm.error is not None:
        _check_one_constant(study)
        fitted_parts(dm, study)
        return np.asarray(dm.error[:, chosen_targets(dm, targets)], np.float64)
    if dm.meta.get("chosen") == GUESS:
        raise InputError("the guess alone was fitted, which has no standard errors: nothing corrected it")
    errors: Floats = _debiased(dm, study, chosen_targets(dm, targets), progress=progress).error[0]
    return errors


def why_no_errors(dm: Datamodels) -> str:
    """Why a fit of an estimator that tells the error of each weight has none, and what to do; "" for other fits."""
    name = registered_name(str(dm.meta.get("estimator")))
    declared = getattr(ESTIMATORS[name], "standard_errors", "none") if name else "none"
    if dm.error is not None or declared != "posterior":
        return ""
    chosen, design = str(dm.meta.get("chosen")), dm.meta.get("design")
    if chosen == GUESS:
        return "no standard errors: the guess alone was fitted, and nothing corrected it"
    if chosen in (LASSO, RIDGE):
        other = "the LASSO" if chosen == LASSO else chosen
        why = f"{other} was chosen, which has no error of each weight; st.standard_errors gives one for each target"
    elif design is None:
        why = "units are in some masks more often, or more often together, than at random"
    elif design["pairs"]:
        why = "one set of pairs of the same seed does not tell its noise; a second set would"
    else:
        why = "one side of a set does not tell its noise; extend the study to a whole set, whose pairs tell it"
    return f"no standard errors: {why}"


def chosen_targets(dm: Datamodels, targets: Sequence[int] | None) -> NDArray[np.int64]:
    """Targets as int64, all of them for None; InputError for one that does not exist."""
    return np.arange(dm.targets) if targets is None else numbers_below("targets", targets, dm.targets)


def estimates(
    dm: Datamodels,
    study: Study,
    targets: NDArray[np.int64],
    method: str = "debiased",
    used: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Estimates:
    """`debias` (method "debiased") or `least_squares` ("exact") of the models that these datamodels were fitted on."""
    if method == "debiased":
        return _debiased(dm, study, targets, used, progress)
    if method == "exact":
        return _exact(dm, study, targets, progress)
    raise InputError(f"method must be 'debiased' or 'exact', got {method!r}")


def _debiased(
    dm: Datamodels,
    study: Study,
    targets: NDArray[np.int64],
    used: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Estimates:
    _check_one_constant(study)
    models, parts = fitted_parts(dm, study)
    kind = dm.meta.get("estimator")
    name = registered_name(str(kind))
    # Of datamodels that do not say what made them, a LASSO on the same models tells the errors.
    unknown = "lasso" if kind is None else "none"
    declared = getattr(ESTIMATORS[name], "standard_errors", "none") if name else unknown
    if declared == "none":
        raise InputError(f"weights of {kind} have no standard errors here: fit a LASSO under another name")
    if used is None and declared in ("lasso", "posterior"):
        found = stand_in(models, targets, progress)
        design = models.row_noise(found.rows).of(targets)
        return debias(found.weight, found.sums, _covariance(study, parts, found.sums), found.support, design)
    sums = residual_sums(dm, models, parts, targets, progress)
    used = np.count_nonzero(dm.weight[:, targets], axis=0) if used is None else used
    design = models.row_noise(np.concatenate(list(parts.values()))).of(targets)
    return debias(dm.weight[:, targets], sums, _covariance(study, parts, sums), used, design)


def _check_one_constant(study: Study) -> None:
    if study.design.kind == STRATIFIED:
        raise InputError(
            "a stratified design tells the weights of each class up to a constant of its own, and the standard errors "
            "here know one constant for all: make a study of fixed size or bernoulli for them"
        )


def _covariance(study: Study, parts: Mapping[str, Rows], sums: ResidualSums) -> MaskCovariance:
    if study.design.drawn is not None:
        return design_covariance(study.design.drawn)
    sizes = [study.masks(rows).sizes() for rows in parts.values()]
    return observed_covariance(np.concatenate(sizes), sums.ones)


def _exact(dm: Datamodels, study: Study, targets: NDArray[np.int64], progress: Progress | None) -> Estimates:
    _check_one_constant(study)
    models, parts = fitted_parts(dm, study)
    counts = [of_targets(counts_of(models, rows, name, progress), targets) for name, rows in parts.items()]
    design = models.row_noise(np.concatenate(list(parts.values()))).of(targets)
    return least_squares(reduce(add, counts), design)


@dataclass(frozen=True, eq=False)
class StandIn:
    """weight: float64 [n, T], of a LASSO with its lambda chosen; sums: of its residuals; support: int64 [T]; rows: that
    it was fitted on."""

    weight: Floats
    sums: ResidualSums
    support: NDArray[np.int64]
    rows: Rows


def stand_in(models: Models, targets: NDArray[np.int64], progress: Progress | None = None) -> StandIn:
    """Fit these targets by LASSO on these models; the design's validation models, or a tenth, choose lambda."""
    (name, rows), (_, others) = models.parts(SHARE, SEED).items()
    train = of_targets(counts_of(models, rows, name, progress), targets)
    validation = models.in_memory(others).of(targets)
    total = train
    if models.validation_joins:
        total = train + count_blocks([(validation.masks, validation.outputs)], gram=gram_kind(models.study.n))
        rows = np.union1d(rows, others)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # It is a means here, and what it could not fit has no support.
        fitted = lasso_from_counts(train, validation, total, LassoOptions(factor=lambda_factor(models)))
    weight = np.asarray(fitted.weight, np.float64)
    return StandIn(weight, sums_of_counts(weight, fitted.bias, total), np.count_nonzero(weight, axis=0), rows)


def counts_of(models: Models, rows: Rows, part: str, progress: Progress | None = None) -> Counts:
    """Counts of these models with their Gram: those that the study keeps, or counted now and not kept."""
    gram = gram_kind(models.study.n)
    kept = kept_counts(models, rows, part, gram)
    return kept or count_blocks(models.blocks(rows), models=rows.size, progress=progress, gram=gram)
