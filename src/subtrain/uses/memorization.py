"""Empirical influence and memorization: what models that saw a unit do better than models that did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.formatting import number
from subtrain.regression.study_models import models_to_average
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import direction_note, quantity
from subtrain.uses.kit.mean_differences import differences, own_differences, right
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.kit.unit_names import Columns, example_labels, own_unit, unit_columns

# Feldman & Zhang 2020, section 3: pairs count as influential from this difference in accuracy on.
INFLUENTIAL = 0.15


@dataclass(frozen=True, eq=False, repr=False)
class Influences(Result):
    """value, error: float64 [n, T], mean(correct | in) - mean(correct | out) and its standard error; NaN for a unit
    that fewer than two models hold or lack. of: what is averaged, "correct" or the output itself. units: columns that
    name the units. models: m, averaged over.
    """

    output: str
    value: Floats
    error: Floats
    models: int
    units: Columns
    strongest: int = 1000
    of: str = "correct"
    remark: str = ""

    def finding(self) -> str:
        n, targets = self.value.shape
        many = f", {np.count_nonzero(self.value >= INFLUENTIAL)} pairs of {INFLUENTIAL} or more"
        return (
            f"{self.output}: {n} units x {targets} targets{many if self.of == 'correct' else ''}, median "
            f"standard error {_median(self.error):.3g}; difference of means over {self.models:,} models{self.remark}"
        )

    def table(self) -> Table:
        """The `strongest` pairs by |influence|: target, unit, influence, standard error."""
        size = np.nan_to_num(np.abs(self.value)).ravel()
        order = np.argsort(-size, kind="stable")[: self.strongest]
        unit, target = np.unravel_index(order, self.value.shape)
        named = {name: column[unit] for name, column in self.units.items()}
        return {"target": target} | named | {"influence": self.value[unit, target], "error": self.error[unit, target]}

    def figure(self) -> Figure:
        """Histogram of all pairs, beside that of chance alone."""
        there = np.isfinite(self.error)
        value, error = self.value[there], self.error[there]
        chance = np.random.default_rng(0).normal(size=value.size) * error
        bins = np.linspace(min(value.min(), chance.min()), max(value.max(), chance.max()), 80).tolist()
        figure, axes = new_axes()
        axes.hist(value, bins, label="estimated", alpha=0.6)
        axes.hist(chance, bins, label="chance alone", histtype="step", color="black")
        axes.set(
            xlabel=f"empirical influence, mean({self.of} | in) − mean({self.of} | out)",
            ylabel="pairs (log)",
            yscale="log",
        )
        axes.set_title(f"{self.output}: {value.size:,} (unit, target) pairs, {self.models:,} models", fontsize=9)
        axes.legend(frameon=False)
        return figure


@dataclass(frozen=True, eq=False, repr=False)
class Memorization(Result):
    """Per training example, float64 [N]: share of models right about it among those trained on its unit (with_unit)
    and those not (without), and the standard error of the difference, which is its memorization.
    """

    output: str
    with_unit: Floats
    without: Floats
    error: Floats
    models: int
    unit: NDArray[np.int64]
    label: NDArray[Any] | None

    @property
    def value(self) -> Floats:
        return self.with_unit - self.without

    def finding(self) -> str:
        high = np.count_nonzero(self.value >= 0.25)
        return (
            f"{self.output}: {self.value.size} training examples, mean "
            f"{number(float(np.nanmean(self.value)))}, {high} of 0.25 or more, "
            f"median standard error {_median(self.error):.3g}; over {self.models:,} models"
        )

    def table(self) -> Table:
        """One row a training example, the most memorized first."""
        order = np.argsort(-np.nan_to_num(self.value, nan=-np.inf), kind="stable")
        named: Columns = {"example": order}
        if not np.array_equal(self.unit, np.arange(self.unit.size)):
            named["unit"] = self.unit[order]
        if self.label is not None:
            named["label"] = self.label[order]
        figures = {
            "memorization": self.value,
            "error": self.error,
            "correct_in": self.with_unit,
            "correct_out": self.without,
        }
        return named | {name: column[order] for name, column in figures.items()}

    def figure(self) -> Figure:
        """Accuracy on each example without it, against with it."""
        figure, axes = new_axes(4.6, 4.4)
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=0)
        dots = axes.scatter(self.without, self.with_unit, c=self.value, s=12, cmap="viridis", vmin=0, vmax=1)
        axes.set(xlabel="share right, models not trained on it", ylabel="share right, models trained on it")
        axes.set_title(f"{self.value.size:,} training examples, {self.models:,} models", fontsize=9)
        figure.colorbar(dots, label="memorization")
        return figure


@question
def empirical_influence(study: Study, output: str | None = None) -> Influences:
    """Estimate how much more often models are right about a target with a unit than without it, for all pairs.

    Feldman & Zhang 2020, section 2 (infl), from the study's own subsets, as in their section 3. Evaluation models are
    not used.

    Args:
        study: A study of ten models or more.
        output: An output of correctness, or of margins (right is above 0), by default the study's first; one that tells
            neither is averaged as it is.

    Returns:
        Influences: the influence [n, T] of every unit on every target, with standard errors.

    Raises:
        InputError: For an unknown output or fewer than ten models.

    Example:
        >>> st.empirical_influence(study, "test_margins").value.shape
        (30, 8)
    """
    models = models_to_average(study, output)
    measured = quantity(study, models.output)
    found = differences(models.blocks(models.rows), right(measured))
    tells = measured.right_above is not None
    return Influences(
        models.output,
        found.value,
        found.error,
        models.rows.size,
        unit_columns(study),
        of="correct" if tells else measured.short,
        remark="" if tells else direction_note(measured, models.output),
    )


@question
def memorization(study: Study, output: str | None = None) -> Memorization:
    """Estimate how much more often models are right about a training example when they were trained on it.

    Feldman & Zhang 2020, section 2 (mem): the diagonal of the influence on training examples. Where units are groups,
    the example's own group is in or out.

    Args:
        study: A study that records an output of the training examples.
        output: train_correctness or train_margins; by default whichever the study records.

    Returns:
        Memorization: for every training example the share of models right with it and without it.

    Raises:
        InputError: For an output that does not tell whether a model is right.

    Example:
        >>> st.memorization(study).value.shape
        (30,)
    """
    known = [name for name in ("train_correctness", "train_margins") if name in study.outputs]
    if output is None and not known:
        raise InputError(
            f"{study.location} records neither train_correctness nor train_margins: memorization needs one"
        )
    models = models_to_average(study, output or known[0])
    own = own_unit(study, models.output)
    measured = quantity(study, models.output)
    if measured.right_above is None:
        raise InputError(
            f"{models.output} does not tell whether a model is right, and memorization is how much more often it is: "
            "give an output of correctness or margins"
        )
    found = own_differences(models.blocks(models.rows), own, right(measured))
    label = example_labels(study, own.size)
    return Memorization(
        models.output, found.with_unit, found.without, found.error, models.rows.size, unit=own, label=label
    )


def _median(values: Floats) -> float:
    there = values[np.isfinite(values)]
    return float(np.median(there)) if there.size else float("nan")
