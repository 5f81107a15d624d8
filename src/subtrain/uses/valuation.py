"""Data values from the table of subsets and outputs: Banzhaf, average marginal effect, Shapley; no regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.checks import BERNOULLI
from subtrain.designs.samplers import Strata
from subtrain.errors import InputError
from subtrain.regression.study_models import Models, models_to_average
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import direction_note, quantity
from subtrain.uses.kit.mean_differences import Reading, differences, right
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.kit.unit_names import Columns, unit_columns

UTILITIES = ("accuracy", "mean")
# What a kind of design takes from the claim.
SPREADS = {
    "fixed": " to order 1/n, about the mean over units, as subsets have a fixed size",
    "stratified": " to order 1/n, about the mean over the unit's class, as every class has a fixed share of a subset",
    "paley": " to order 1/n, about the mean over units, as subsets have nearly one size",
    "cyclotomic": " to order 1/n, about the mean over units, as subsets have nearly one size",
    "given": " if each unit was drawn by itself",
}


@dataclass(frozen=True, eq=False, repr=False)
class Values(Result):
    """What each unit is worth, value [n], and its standard error [n], float64, in units of the utility.

    utility: what a unit adds to, in words; of losses, of which less is better, it is minus their mean. exact: what the
    estimate is unbiased for, in words; everything else about it is noise of `error`'s size.
    """

    method: str
    utility: str
    value: Floats
    error: Floats
    models: int
    exact: str
    units: Columns
    remark: str = ""

    def finding(self) -> str:
        clear = np.count_nonzero(np.abs(self.value) > 3 * self.error)
        return (
            f"{self.method} of {self.value.size} units in {self.utility}: {self.value.min():.3g} to "
            f"{self.value.max():.3g}, {clear} beyond 3 standard errors; over {self.models:,} models; {self.exact}"
            f"{self.remark}"
        )

    def table(self) -> Table:
        """One row a unit, the most valuable first."""
        order = np.argsort(-self.value, kind="stable")
        return {k: v[order] for k, v in {**self.units, "value": self.value, "error": self.error}.items()}

    def figure(self) -> Figure:
        """Every unit's value, sorted, with two standard errors either way."""
        order = np.argsort(-self.value, kind="stable")
        rank = np.arange(order.size)
        figure, axes = new_axes()
        axes.axhline(0, color="0.8", linewidth=1)
        axes.errorbar(rank, self.value[order], 2 * self.error[order], fmt=".", markersize=3, elinewidth=0.5)
        axes.set(xlabel="units, the most valuable first", ylabel=f"{self.method} value in {self.utility}")
        axes.set_title(f"{order.size} units, {self.models:,} models, ± 2 standard errors; {self.exact}", fontsize=8)
        return figure


@question
def banzhaf(
    study: Study, output: str | None = None, utility: str | None = None, targets: Sequence[int] | None = None
) -> Values:
    """Value every unit by Banzhaf: mean utility with it minus mean utility without it, over half the units.

    The maximum-sample-reuse estimate of Wang & Jia 2023 (section 4): every model serves every unit. Exact in
    expectation for `Design(alpha=0.5, kind="bernoulli")`; another alpha gives that alpha's weighted Banzhaf value, and
    subsets of fixed size give values about their mean. Evaluation models are not used.

    Args:
        study: A study of one alpha.
        output: Name of the output; by default the study's first.
        utility: Of a model: "accuracy" over the targets (the default where the output tells it) or "mean" of the
            output, of losses minus the mean: what lowers a loss is worth something.
        targets: Numbers of the targets that count; by default all.

    Returns:
        Values: the value of every unit with its standard error.

    Raises:
        InputError: For several alphas, an unknown output or utility, and too few models.

    Example:
        >>> st.banzhaf(study).value.shape
        (30,)
    """
    models = models_to_average(study, output)
    play = _utility(models, utility, targets)
    alphas = np.atleast_1d(study.design.alpha)
    if alphas.size > 1:
        raise InputError(f"subsets of {alphas.size} alphas have no one Banzhaf value: ask for shapley or ame")
    # Given masks tell their alpha only from a sample.
    is_half = abs(alphas[0] - 0.5) <= (0.05 if study.imported else 0)
    name = "Banzhaf" if is_half else f"Banzhaf weighted by alpha = {alphas[0]:g}"
    value, error = play.values(models.rows)
    return play.result(name, value, error, "unbiased")


@question
def ame(
    study: Study, output: str | None = None, utility: str | None = None, targets: Sequence[int] | None = None
) -> Values:
    """Value every unit by its average marginal effect over the design's alphas, each with the same weight.

    Lin et al. 2022, section 3. The estimator `AME` assumes few units that matter and needs fewer models; this one
    assumes nothing and says how far it may be off.

    Args:
        study: A study, best of several alphas.
        output: Name of the output; by default the study's first.
        utility: As for `banzhaf`.
        targets: Numbers of the targets that count; by default all.

    Returns:
        Values: the value of every unit with its standard error.

    Raises:
        InputError: For an unknown output or utility, and too few models.

    Example:
        >>> st.ame(study).value.shape
        (30,)
    """
    models = models_to_average(study, output)
    play = _utility(models, utility, targets)
    rows = list(models.by_alpha(models.rows).values())
    value, error = play.weighted(rows, np.full(len(rows), 1 / len(rows)))
    return play.result("average marginal effect", value, error, f"unbiased for the mean over {len(rows)} alphas")


@question
def shapley(
    study: Study, output: str | None = None, utility: str | None = None, targets: Sequence[int] | None = None
) -> Values:
    """Value every unit by Shapley: the average over all alphas from 0 to 1 of Banzhaf's value at that alpha.

    Owen 1972. The design's alphas are the nodes of a quadrature. It is unbiased for every game whose utility has
    interactions among no more units than `exact` says: 2K units with the K alphas of `Design.for_shapley(K)`, K or K +
    1 with others; of higher interactions the polynomial part alone is counted.

    Args:
        study: A study of several alphas.
        output: Name of the output; by default the study's first.
        utility: As for `banzhaf`.
        targets: Numbers of the targets that count; by default all.

    Returns:
        Values: the value of every unit with its standard error.

    Raises:
        InputError: For a study of one alpha, an unknown output or utility, and too few models.

    Example:
        >>> design = st.Design.for_shapley(2, models=60, heldout=0)
        >>> several = st.Study.create(":memory:", study.task, design)
        >>> _ = several.collect(**fast)
        >>> st.shapley(several).value.shape
        (30,)
    """
    models = models_to_average(study, output)
    play = _utility(models, utility, targets)
    by_alpha = models.by_alpha(models.rows)
    nodes = np.array(list(by_alpha))
    if nodes.size < 2:
        raise InputError(
            f"subsets of one alpha, {nodes[0]:g}, have no one Shapley value: design several, or ask for banzhaf"
        )
    weights, order = quadrature(nodes)
    value, error = play.weighted(list(by_alpha.values()), weights)
    return play.result("Shapley", value, error, f"unbiased for interactions of up to {order} units")


def quadrature(nodes: Floats) -> tuple[Floats, int]:
    """Weights with which values at these alphas integrate over 0..1, and how many units may interact for that to be
    exact: the marginal effect is a polynomial in alpha, of a degree one less than the interaction (Owen 1972).
    """
    powers = np.arange(nodes.size)
    weights = np.asarray(np.linalg.solve(nodes[None, :] ** powers[:, None], 1 / (powers + 1.0)), np.float64)
    degree = nodes.size - 1
    while degree < 64 and abs(weights @ nodes ** (degree + 1) - 1 / (degree + 2)) < 1e-9:
        degree += 1
    return weights, degree + 1


@dataclass(frozen=True, eq=False)
class _Utility:
    """One number a model, from a study's output."""

    models: Models
    name: str
    read: Reading
    remark: str = ""

    def values(self, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Differences of means [n] over models of one alpha, and their standard errors."""
        found = differences(self.models.blocks(rows), self.read)
        self._check(found.error[:, 0], rows.size)
        return found.value[:, 0] * self._scale, found.error[:, 0] * self._scale

    def weighted(self, parts: Sequence[NDArray[np.int64]], weights: Floats) -> tuple[Floats, Floats]:
        """The weighted sum of the values of each alpha's models."""
        value, error = (np.array(v) for v in zip(*(self.values(rows) for rows in parts), strict=True))
        return np.asarray(weights @ value), np.sqrt(weights**2 @ error**2)

    def result(self, method: str, value: Floats, error: Floats, exact: str) -> Values:
        units = unit_columns(self.models.study)
        design = self.models.study.design
        exact += SPREADS.get((design.drawn or design).kind, "")
        return Values(method, self.name, value, error, self.models.rows.size, exact, units, self.remark)

    @property
    def _scale(self) -> Floats:
        """[n]: at fixed size another unit takes the place of one that is out, so that in an additive game the
        difference of means is k / (k - 1) times the unit's value about the mean of the k units that may do so. Of an
        orthogonal set these are its places, which are few more."""
        design, n = self.models.study.design.drawn, self.models.study.n
        if design is None or design.kind == BERNOULLI:
            return np.ones(n)
        if design.strata is None:
            return np.full(n, 1 - 1 / (n if design.sets is None else design.sets.prime))
        strata = Strata.of_labels(design.strata)
        return 1 - 1 / np.asarray(strata.sizes)[strata.of]

    def _check(self, error: Floats, m: int) -> None:
        missing = np.flatnonzero(np.isnan(error))
        if missing.size:
            raise InputError(
                f"unit {missing[0]} (and {missing.size - 1} more) is in or out of fewer than 2 of {m} models of one "
                "alpha: collect more models"
            )


def _utility(models: Models, utility: str | None, targets: Sequence[int] | None) -> _Utility:
    measured = quantity(models.study, models.output)
    is_right = right(measured)
    tells = measured.right_above is not None
    utility = utility or ("accuracy" if tells else "mean")
    if utility not in UTILITIES:
        raise InputError(f"unknown utility {utility!r}; choose from {', '.join(UTILITIES)}")
    if utility == "accuracy" and not tells:
        raise InputError(f"{models.output} does not tell whether a model is right: ask for utility 'mean'")
    chosen = np.arange(models.targets) if targets is None else np.asarray(targets)
    if chosen.size == 0 or chosen.min() < 0 or chosen.max() >= models.targets:
        raise InputError(f"{models.output} has {models.targets} targets: choose some of 0 to {models.targets - 1}")
    of_one: Reading = is_right if utility == "accuracy" else np.asarray
    # What a unit is worth is what it makes better.
    sign = measured.sign if utility == "mean" else 1

    def read(outputs: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(sign * of_one(outputs[:, chosen]).mean(axis=1, keepdims=True, dtype=np.float64))

    name = f"minus the {utility}" if sign < 0 else utility
    remark = direction_note(measured, models.output) if measured.better is None else ""
    return _Utility(models, f"{name} of {models.output}", read, remark)
