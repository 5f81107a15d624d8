"""`AME`: average marginal effects, from models whose share of units, alpha, differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.shards import are_flat
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.elastic_net import ElasticNetRules, net_path, net_refit
from subtrain.regression.estimators.kit.contract import MODELS, Reads, Rows, StandardErrors
from subtrain.regression.estimators.kit.dense_problem import Dense, check_memory
from subtrain.regression.estimators.kit.linear_estimator import Fitted, LinearEstimator
from subtrain.regression.fit_plan import FitPlan, plan_fit
from subtrain.regression.fit_warnings import warn_ends, warn_gaps
from subtrain.regression.lasso.path_stopping import stopping
from subtrain.regression.lasso.problem import RESOLUTION, check_choice
from subtrain.regression.study_models import Models
from subtrain.system.types import Floats

ByAlpha = Mapping[float, Counts]
# Every alpha has a Gram of its own.
ALPHAS = 32
ROWS = 512


@dataclass(eq=False, repr=False)
class AME(LinearEstimator):
    """Average marginal effect of each unit (Lin et al. 2022, section 3): E over alpha, and over subsets S of the other
    units that hold each with probability alpha, of Y(S with the unit) - Y(S), for alpha drawn per model from a list.

    LASSO on the features 1 / (sqrt(v) alpha) where the unit is in and -1 / (sqrt(v) (1 - alpha)) where it is out,
    v = mean of 1 / (alpha (1 - alpha)): uncorrelated and of variance 1, with coefficients AME / sqrt(v). Masks must
    hold each unit independently with the model's alpha: a study's own design knows it (`Design(alpha=[0.2, 0.4, 0.6,
    0.8], kind="bernoulli")`, then `fit(study, estimator=AME())`).

    Args:
        lambdas: How many lambdas, or their values on the paper's scale, [k] or [T, k]. Default 100.
        eps: The smallest lambda over the largest. Default 1e-3.
        tol: Duality gap to reach, relative to half the target's variance. Default 1e-4.
        by_alpha: Whether each alpha has an intercept of its own (default), which takes what depends on the number of
            units out of the noise; False is one for all, as in the paper.
        validation: Share of the models that choose lambda. Default 0.1.
        seed: Draws the validation models. Default 0.
        early_stop: Lambdas to go on after the least validation error, None for all. Default 5.
        refit: Whether the chosen lambda is fitted again on all models. Default True.
        max_iter: Sweeps at most for one lambda. Default 5,000.
        threads: Default None, all cores.

    Fitted: weight_ float64 [n, T] are the effects, in the output's units; bias_ [T] = mean(Y) - weight . mean(mask), so
    predictions have the outputs' mean, and are as good as the game is additive; lam_ and lambdas_ are on the paper's
    scale. Needs about 2 dense n x n matrices of float64, and one of int32 an alpha.

    Raises:
        InputError: by `fit`, as for `ElasticNet`, and for masks that do not hold the share of the units that their
            alpha says.

    Example:
        >>> random = np.random.default_rng(0)
        >>> alpha = random.choice([0.3, 0.7], 400)
        >>> masks = random.random((400, 4)) < alpha[:, None]
        >>> outputs = 2.0 * masks[:, 3] + random.normal(size=400)
        >>> AME().fit(masks, outputs, alpha).weight_[:, 0].round() + 0.0
        array([0., 0., 0., 2.])
    """

    name: ClassVar[str] = "ame"
    reads: ClassVar[Reads] = MODELS
    sparse: ClassVar[bool] = True
    standard_errors: ClassVar[StandardErrors] = "none"

    lambdas: int | ArrayLike = 100
    eps: float = 1e-3
    tol: float = 1e-4
    by_alpha: bool = True
    validation: float | None = 0.1
    seed: int = 0
    early_stop: int | None = 5
    refit: bool = True
    max_iter: int = 5_000
    threads: int | None = None

    def fit(  # type: ignore[override]
        self,
        masks: ArrayLike | Masks,
        outputs: ArrayLike,
        alpha: ArrayLike | None = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """As every estimator, with the alpha of each model [m], or one of all."""
        packed, y = self._checked(masks, outputs, reset=True)
        of_model = _alphas(alpha, len(packed))
        rows = self._validating(len(packed), sample_split)

        def counted(part: NDArray[np.bool_]) -> dict[float, Counts]:
            chosen = {a: part & (of_model == a) for a in np.unique(of_model[part]).tolist()}
            return {a: self._count(packed, y, at, progress) for a, at in chosen.items()}

        train = counted(np.ones(len(packed), np.bool_) if rows is None else ~rows)
        self.fit_counts(train, None if rows is None else counted(rows), progress=progress)
        self._flat = are_flat(outputs, masks)
        return self

    def fit_counts(  # type: ignore[override]
        self,
        train: ByAlpha,
        validation: ByAlpha | None = None,
        total: ByAlpha | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit from counts of each alpha's models; validation: of the models that choose lambda; total: of both."""
        _check_counts(train)
        check_choice(self.lambdas, validation)
        everything = train if validation is None else total or _added(train, validation)
        self.n_features_in_, self._flat = next(iter(train.values())).n, False
        fitted = self._effects(train, validation, everything, progress)
        return self._keep(fitted, _outputs_only(train))

    def plan(self, models: Models, parts: Mapping[str, Rows], keep_counts: bool) -> FitPlan:
        """What `fit_models` takes: counts of every alpha's models."""
        alphas = len(models.by_alpha(models.rows))
        sizes = [rows.size for rows in parts.values() for _ in range(alphas)]
        return plan_fit(sizes, models.study.n, models.targets, False, keep_counts)

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, Rows],
        counted: Callable[..., Counts],
        progress: Progress | None = None,
    ) -> Self:
        """Fit a study's models, each with its own alpha; the first of `parts` fits, a second one chooses lambda."""
        by_alpha = [
            {alpha: counted(some, f"{part}-alpha-{alpha:g}") for alpha, some in models.by_alpha(rows).items()}
            for part, rows in parts.items()
        ]
        return self.fit_counts(by_alpha[0], by_alpha[1] if len(by_alpha) > 1 else None, progress=progress)

    def _effects(
        self, train: ByAlpha, validation: ByAlpha | None, everything: ByAlpha, progress: Progress | None
    ) -> Fitted:
        check_memory(self.n_features_in_, 3)
        scaled = ScaledOutputs(train, self.by_alpha)
        fitting, validating = (sum(c.m for c in part.values()) for part in (train, validation or {}))
        stop = stopping(self.early_stop, fitting, self.n_features_in_, validating)
        rules = ElasticNetRules(1.0, self.tol, self.max_iter, False, stop, self.threads)
        check = None if validation is None else scaled.moments(validation)
        path = net_path(scaled.moments(train), check, self.lambdas, self.eps, rules, progress)
        if validation is not None and self.refit:
            again = ScaledOutputs(everything, self.by_alpha)
            # The same effects are other coefficients under another v.
            start = path.coef * (scaled.root / again.root)
            scaled = again
            path = net_refit(scaled.moments(everything), path, start, rules, progress)
        warn_gaps(path.gap, self.tol)
        weight = np.ascontiguousarray(path.coef.T) * scaled.root
        if validation is not None:
            warn_ends(path.lambdas.T, path.error.T, path.best, weight)
        ones = np.sum([c.ones for c in everything.values()], axis=0)
        return Fitted(
            weight=weight,
            bias=scaled.y_mean - scaled.mask_mean @ weight,
            lam=path.lam,
            gap=path.gap,
            constant_units=np.flatnonzero((ones == 0) | (ones == sum(c.m for c in everything.values()))),
            lambdas=path.lambdas.T,
            validation_mse=path.error.T,
            residual=np.zeros(path.lam.size),
            n_iter=int(path.sweeps.max(initial=0)),
        )


class ScaledOutputs:
    """The paper's features of models counted by alpha, about their means and those of the outputs.

    A feature is mask * (high + low) - low: high = 1 / (root alpha), low = 1 / (root (1 - alpha)), root = sqrt(v).
    """

    def __init__(self, counts: ByAlpha, by_alpha: bool) -> None:
        m = sum(c.m for c in counts.values())
        self.root = float(np.sqrt(sum(c.m / (a * (1 - a)) for a, c in counts.items()) / m))
        self.y_mean = np.sum([c.y_sum for c in counts.values()], axis=0) / m
        self.mask_mean = np.sum([c.ones for c in counts.values()], axis=0) / m
        sums = {a: self._sums(a, c) for a, c in counts.items()}
        one: tuple[Floats, Floats] = (np.sum(list(sums.values()), axis=0) / m, self.y_mean)
        self.centers = {a: (sums[a] / c.m, c.y_sum / c.m) if by_alpha else one for a, c in counts.items()}

    def _line(self, alpha: float) -> tuple[float, float]:
        """Slope and offset of the feature in the mask bit."""
        return 1 / (self.root * alpha * (1 - alpha)), -1 / (self.root * (1 - alpha))

    def _sums(self, alpha: float, counts: Counts) -> Floats:
        slope, offset = self._line(alpha)
        sums: Floats = slope * counts.ones.astype(np.float64) + offset * counts.m
        return sums

    def moments(self, counts: ByAlpha) -> Dense:
        """Second moments about these centers, of the same models or of others."""
        m = sum(c.m for c in counts.values())
        first = next(iter(counts.values()))
        covariance = np.zeros((first.n, first.n))
        rho: Floats = np.zeros((first.targets, first.n))
        variance: Floats = np.zeros(first.targets)
        square: Floats = np.zeros(first.targets)
        constant = np.ones(first.targets, np.bool_)
        for alpha, c in counts.items():
            if alpha not in self.centers:
                raise InputError(f"models with alpha = {alpha:g} validate, but none with that alpha is fitted")
            slope, offset = self._line(alpha)
            x_mean, y_mean = self.centers[alpha]
            # In centered form: feature - center = slope (mask - share) with share the mask's value at the center.
            share = (x_mean - offset) / slope
            mean, y_here = c.ones / c.m, c.y_sum / c.m
            weight = c.m / m
            for start in range(0, c.n, ROWS):
                rows = slice(start, start + ROWS)
                part = c.gram[rows] / c.m - np.outer(mean[rows], mean)
                part += np.outer(mean[rows] - share[rows], mean - share)
                covariance[rows] += weight * slope**2 * part
            product = c.xty / c.m - np.outer(mean, y_here) + np.outer(mean - share, y_here - y_mean)
            rho += weight * slope * product.T
            variance += weight * (c.y_dev / c.m + np.square(y_here - y_mean))
            square += weight * c.y_sq / c.m
            constant &= (c.y_min == c.y_max) & (y_here == y_mean)
        lost = constant | (variance <= RESOLUTION * square)
        return Dense(covariance, np.ascontiguousarray(rho), np.where(lost, 0.0, variance))


def _alphas(alpha: ArrayLike | None, m: int) -> Floats:
    if alpha is None:
        raise InputError("average marginal effects need the alpha of each model: fit(masks, outputs, alpha)")
    values = np.asarray(alpha, np.float64)
    if values.ndim > 1 or (values.ndim == 1 and values.size != m):
        raise InputError(f"alpha must be one number or one for each of the {m} models, got shape {list(values.shape)}")
    if not np.all((values > 0) & (values < 1)):
        raise InputError("every alpha must be strictly between 0 and 1")
    return np.broadcast_to(values, (m,))


def _check_counts(counts: Mapping[Any, Counts]) -> None:
    if not counts:
        raise InputError("there are no models to fit")
    if len(counts) > ALPHAS:
        raise InputError(f"the models have {len(counts)} different alphas; draw them from a list of at most {ALPHAS}")
    if len({(c.n, c.targets) for c in counts.values()}) > 1:
        raise InputError(f"counts are over different units or targets: {', '.join(map(str, counts.values()))}")
    for alpha, c in counts.items():
        bits = max(c.m * c.n, 1)
        share = c.ones.sum() / bits
        # Leaves room for units that are never drawn, not for another alpha.
        if abs(share - alpha) > 0.05 + 6 * np.sqrt(alpha * (1 - alpha) / bits):
            raise InputError(f"the {c.m} masks of alpha = {alpha:g} hold {share:.3g} of the units on average")


def _outputs_only(by_alpha: ByAlpha) -> Counts:
    """Counts of all these models over no units."""
    none, ones = np.zeros((0, 0), np.int32), np.zeros(0, np.int64)
    parts = (replace(c, n=0, gram=none, ones=ones, xty=np.zeros((0, c.targets))) for c in by_alpha.values())
    return reduce(add, parts)


def _added(train: ByAlpha, validation: ByAlpha) -> dict[float, Counts]:
    return {a: train[a] + validation[a] if a in validation else c for a, c in train.items()}
