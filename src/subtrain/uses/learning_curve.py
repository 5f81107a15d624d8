"""Learning curve: what datamodels are worth when fitted on part of the trained models, and on all of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import EVALUATION
from subtrain.errors import InputError
from subtrain.evaluation import Interval, ceiling_said, plain, score
from subtrain.evaluation_models import evaluation_outputs
from subtrain.masks import Masks
from subtrain.regression import count_blocks
from subtrain.regression.counting.counts import Counts
from subtrain.regression.designed_models import as_designed, shared_layout
from subtrain.regression.estimators.lasso import lambda_factor
from subtrain.regression.fit_plan import plan_fit
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.lambda_choice import LassoOptions
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.study_models import Models, finished_models
from subtrain.study import Study
from subtrain.system.user_warning import warn_user
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_figure

LEAST = 50
TARGETS = 200


@dataclass(frozen=True)
class Point:
    """LDS of a fit on so many models; ceiling: upper bound of what a perfect predictor would score, NaN if there are no
    replicates."""

    models: int
    lds: Interval
    ceiling: float


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve(Result):
    """LDS against models, on the evaluation subsets that are finished; mean over some or all targets, without those
    whose outputs are all equal. notes: what else was left out or is missing, in sentences. sets: what whole sets of an
    orthogonal design are, in words, "" for other designs: a curve is true of the design that the study has."""

    output: str
    targets: int
    subsets: int
    replicates: int
    points: tuple[Point, ...]
    notes: tuple[str, ...] = ()
    sets: str = ""

    def __str__(self) -> str:
        lines = [f"{self.output}: {self.targets} targets, {self.subsets} held-out subsets x {self.replicates} runs"]
        lines[0] += f"; {self.sets}" if self.sets else ""
        return "\n".join(lines + [f"{p.models:>10,}  LDS {p.lds}  {ceiling_said(p.ceiling)}" for p in self.points])

    def finding(self) -> str:
        return str(self)

    def table(self) -> Table:
        """A row a size: models fitted, LDS with its 95 % interval, ceiling."""
        return {
            "models": np.array([point.models for point in self.points]),
            "lds": np.array([point.lds.value for point in self.points]),
            "low": np.array([point.lds.low for point in self.points]),
            "high": np.array([point.lds.high for point in self.points]),
            "ceiling": np.array([point.ceiling for point in self.points]),
        }

    def figure(self) -> Figure:
        """LDS with its 95 % interval and its ceiling against the models fitted."""
        picture, table = new_figure(), self.table()
        axes = picture.add_subplot()
        sides = np.nan_to_num(np.maximum([table["lds"] - table["low"], table["high"] - table["lds"]], 0))
        axes.errorbar(table["models"], table["lds"], sides, fmt="o-", label="LDS, 95 % interval")
        axes.plot(table["models"], table["ceiling"], ":", color="grey", label="noise ceiling (upper bound)")
        axes.set(xscale="log", ylim=(0, 1), xlabel="models fitted", ylabel="LDS on held-out subsets")
        axes.set_title(
            f"{self.output}: per target, mean over {self.targets} targets; {self.subsets} held-out subsets x "
            f"{self.replicates} runs, {ceiling_said(self.points[-1].ceiling)}",
            fontsize=9,
        )
        axes.legend(frameon=False)
        return picture

    def to_json(self) -> dict[str, Any]:
        """All of it, points as dictionaries; a figure that does not exist is null."""
        return {**asdict(self), "points": [plain(asdict(point)) for point in self.points]}


@question
def learning_curve(
    study: Study, sizes: Sequence[int] | None = None, output: str | None = None, targets: int = TARGETS
) -> LearningCurve:
    """Fit the LASSO on the first models that are finished, as many as each of `sizes` says, and evaluate every fit.

    Evaluation models with the mask of one that is fitted on, and models and targets that are not finite, are left out,
    as `evaluate` and `fit` do: each is counted in a warning and in `notes`. Pairs and shared seeds of the design are
    used at every size as a fit of so many models would. Only reads: a collect that runs is not disturbed.

    Args:
        study: A study of 50 fit models and 3 evaluation subsets or more.
        sizes: Numbers of models; by default a quarter, half and all, or the whole sets of a paley or cyclotomic design
            that come nearest.
        output: Name of the output; by default the study's first.
        targets: Of more targets, so many are taken, evenly spaced.

    Returns:
        LearningCurve: LDS and ceiling at every size.

    Raises:
        InputError: Where fewer than 50 fit models or 3 evaluation subsets are finished.

    Example:
        >>> [point.models for point in st.learning_curve(study, [60, 120]).points]
        [60, 120]
    """
    models = _landed(study, output)
    landed = models.rows.size
    wanted = sorted({int(s) for s in (sizes if sizes is not None else curve_sizes(study, landed, 3))})
    if not wanted or wanted[0] < LEAST or wanted[-1] > landed:
        raise InputError(
            f"sizes of a curve must be between {LEAST} and the {landed} models trained so far, got {wanted}"
        )
    heldout = evaluation_outputs(study, study.done(EVALUATION), models.output, models.rows, models.blank)
    whole = np.setdiff1d(np.arange(models.targets), heldout.left_out)
    columns = whole[np.unique(np.linspace(0, whole.size - 1, min(targets, whole.size)).astype(np.int64))]
    plan_fit([landed - landed // 10, landed // 10], study.n, columns.size, False, keep_counts=False).check()
    notes = tuple(dict.fromkeys((*models.notes, *heldout.notes)))
    for note in notes:
        warn_user(note)
    y = heldout.outputs[..., columns]
    masks = study.masks(heldout.rows[:: heldout.replicates])
    points, counted = [], columns.size
    for size, *counts in _counted(models, wanted, columns):
        dm = _fitted(*counts)
        found = score(dm.predict(masks), y)
        points.append(Point(size, found.lds, found.lds_ceiling))
        counted = found.targets_judged
    judged = heldout.subsets, heldout.replicates
    return LearningCurve(models.output, counted, *judged, tuple(points), notes, _sets(study))


def curve_sizes(study: Study, landed: int, points: int) -> list[int]:
    """So many numbers of models at most, ascending, each half of the next or nearly, LEAST or more.

    Of an orthogonal design those below the last are whole sets, or one side of one, while that goes: sizes between
    these are no better per model.
    """
    sets = None if study.design.drawn is None else study.design.drawn.sets
    whole = landed if sets is None or landed < sets.prime else sets.prime << (landed // sets.prime).bit_length() - 1
    found = {landed, *(whole // 2**k for k in range(points))}
    return [size for size in sorted(found)[-points:] if size >= LEAST]


def _sets(study: Study) -> str:
    design = study.design.drawn
    if design is None or design.sets is None:
        return ""
    return f"{design.kind} masks, {design.sets.models:,} models a set"


def _landed(study: Study, output: str | None) -> Models:
    fit, held = study.done("fit").size, study.design.subsets(study.done(EVALUATION))
    least_subsets = 3
    if fit < LEAST or np.unique(held).size < least_subsets:
        raise InputError(
            f"{study.location} has too few models for a learning curve: {fit} fit models and "
            f"{np.unique(held).size} held-out subsets; it needs {LEAST} and {least_subsets}"
        )
    return finished_models(study, output, drop_nonfinite=True)


def _counted(models: Models, sizes: Sequence[int], columns: NDArray[np.int64]) -> Iterator[tuple[Any, ...]]:
    """At every size the size, counts of the models that fit, of those that choose λ, and of all that are fitted on in
    the end (None: both), and by what λ is multiplied."""
    if shared_layout(models) is None:
        return ((*found, None, 1.0) for found in _added(models, sizes, columns))
    return (_designed(as_designed(replace(models, rows=models.rows[:size])), size, columns) for size in sizes)


def _designed(models: Models, size: int, columns: NDArray[np.int64]) -> tuple[Any, ...]:
    """Of models with shared seeds or pairs, which are other rows in a longer stretch."""
    parts = models.parts(0.1, 0).values()
    train, validation = (count_blocks(_columns(models, rows, columns)) for rows in parts)
    return size, train, validation, None if models.validation_joins else train, lambda_factor(models)


def _added(models: Models, sizes: Sequence[int], columns: NDArray[np.int64]) -> Iterator[tuple[int, Counts, Counts]]:
    """Each model is read once, for where it goes depends on its subset alone: a longer stretch only adds to both."""
    parts = list(models.parts(0.1, 0).values())
    counts: list[Counts | None] = [None, None]
    if models.validation is not None:
        counts[1] = count_blocks(_columns(models, models.validation, columns))
    before = 0
    for size in sizes:
        some = models.rows[before:size]
        for k, part in enumerate(parts):
            rows = np.intersect1d(some, part, assume_unique=True)
            if rows.size:
                counts[k] = count_blocks(_columns(models, rows, columns), start=counts[k])
        before = size
        train, validation = counts
        if train is not None and validation is not None:
            yield size, train, validation


def _columns(
    models: Models, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> Iterator[tuple[Masks, NDArray[Any]]]:
    for masks, outputs in models.blocks(rows):
        yield masks, outputs[:, columns]


def _fitted(train: Counts, validation: Counts, total: Counts | None, factor: float) -> Datamodels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = lasso_from_counts(train, validation, total, LassoOptions(factor=factor))
    return Datamodels(found.weight, found.bias, found.lam)
