"""Mislabeled training examples: the ones whose label the models not trained on them contradict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.formatting import number
from subtrain.quantities import LOWER, MARGIN, Quantity
from subtrain.regression.study_models import Models, models_to_average
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import directed, quantity
from subtrain.uses.kit.mean_differences import own_differences, right
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.kit.unit_names import example_labels, flags, own_unit
from subtrain.uses.training_sets import Targets, TrainingSets, compare_without

# Every score: whether high values (1) or low ones (-1) of it are suspicious, where more of the output is better, and
# what it is. Where less is better, as of losses, it is the other way round.
SCORES = {
    "without": (-1, "mean {} of the models not trained on the example"),
    "agreement": (-1, "share of the models not trained on it that give it its label"),
    "support": (-1, "{} that its datamodel predicts from all other units"),
    "self": (1, "mean {} with it minus without it"),
    "self_weight": (1, "weight of its own unit in its datamodel"),
    "mean": (-1, "mean {} of all models, as a baseline"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Mislabeled(Result):
    """scores: float64 [N] by name, as SCORES tells them; by: the one that ranks; auc: of each score where the faults
    are known, the chance that a mislabeled example is more suspicious than one that is not.
    """

    output: str
    by: str
    scores: Mapping[str, Floats]
    unit: NDArray[np.int64]
    label: NDArray[Any] | None
    known: NDArray[np.bool_] | None
    models: int
    auc: Mapping[str, float]
    measured: Quantity = MARGIN

    @property
    def order(self) -> NDArray[np.int64]:
        """Training examples, the most suspicious first."""
        return np.argsort(-suspicion(self.by, self.measured) * self.scores[self.by], kind="stable")

    @hands_on("retrain")
    def verify(
        self,
        runs: int = 10,
        drop: int | None = None,
        randoms: int = 5,
        seed: int = 0,
        output: str | None = None,
        groups: Targets | None = None,
        **options: Any,
    ) -> TrainingSets:
        """Retrain without the units of the `drop` most suspicious examples, and without as many random units.

        drop: by default as many examples as have a label that most models not trained on them contradict. output and
        groups: as for `compare_training_sets`; options: as for `retrain`. Raises InputError where none are
        contradicted, or all, and no number is given.
        """
        if drop is None:
            drop = int(np.count_nonzero(self.scores.get("agreement", np.ones(0)) < 0.5))
        units, study = self.unit[self.order[:drop]], self.asked_study()
        return self.followed_by(compare_without(study, units, runs, randoms, seed, output, groups, **options))

    def finding(self) -> str:
        size, said = self.unit.size, f"{self.unit.size} training examples ranked"
        if "agreement" in self.scores:
            few = np.count_nonzero(self.scores["agreement"] < 0.5)
            said = f"{few} of {size} training examples have a label that most models not trained on them contradict"
        said += f"; less of {self.output} is better" if self.measured.better == LOWER else ""
        known = "" if self.known is None else f"; AUC {number(self.auc[self.by])}, {self.known.sum()} mislabeled known"
        return f"{self.output} by {self.by}: {said}{known}; over {self.models:,} models"

    def table(self) -> Table:
        """One row a training example, the most suspicious first."""
        order = self.order
        columns: dict[str, NDArray[Any]] = {"example": np.arange(order.size)}
        if not np.array_equal(self.unit, columns["example"]):
            columns["unit"] = self.unit
        if self.label is not None:
            columns["label"] = self.label
        columns |= self.scores
        if self.known is not None:
            columns["known"] = self.known
        return {name: column[order] for name, column in columns.items()}

    def figure(self) -> Figure:
        """Where the faults are known, how many of them are among the first k of every score; else the scores."""
        figure, axes = new_axes()
        if self.known is None:
            axes.hist(self.scores[self.by], 60)
            axes.set(xlabel=SCORES[self.by][1].format(self.measured.short), ylabel="training examples")
        else:
            for name, values in self.scores.items():
                order = np.argsort(-suspicion(name, self.measured) * values, kind="stable")
                found = np.cumsum(self.known[order]) / self.known.sum()
                axes.plot(
                    np.arange(1, order.size + 1), found, label=f"{name.replace('_', '-')}, AUC {number(self.auc[name])}"
                )
            axes.axvline(self.known.sum(), color="0.8", linewidth=1, zorder=0)
            axes.set_xlim(0, min(self.known.size, 4 * self.known.sum()))
            axes.set(
                xlabel="training examples looked at, most suspicious first", ylabel="share of the mislabeled found"
            )
            axes.legend(frameon=False, fontsize=8)
        axes.set_title(f"{self.output}: {self.unit.size:,} training examples, {self.models:,} models", fontsize=9)
        return figure


@question
def mislabeled(
    study: Study,
    output: str | None = None,
    by: str = "without",
    known: ArrayLike | None = None,
    *,
    dm: Datamodels | None = None,
) -> Mislabeled:
    """Rank the training examples by how much the models not trained on them contradict their labels.

    Every model leaves out a share of the training set, so each example has models that were not trained on it:
    "without" and "agreement" are what those say, without any fit. "self" is the example's influence on itself (Feldman
    & Zhang 2020, on the output itself). Datamodels of the same output add "self_weight" and "support". Where units are
    groups an example is in with its own. `verify` retrains without the most suspicious.

    Args:
        study: A study that records an output of the training examples.
        output: Name of an output of the training examples, by default train_margins. Of losses a high one is
            suspicious.
        by: The score that ranks the examples: without, agreement, self, mean, self_weight or support.
        known: Numbers of the examples known to be mislabeled, or bool [N], to compare every score with; they change no
            score.
        dm: Datamodels of the same output, for two scores more.

    Returns:
        Mislabeled: every score of every example.

    Raises:
        InputError: Where the study records no such output, and for datamodels of other targets or units.

    Example:
        >>> found = st.mislabeled(study)
        >>> list(found.scores), found.order.size
        (['without', 'agreement', 'self', 'mean'], 30)
    """
    output = output or "train_margins"
    models = models_to_average(study, output)
    own = own_unit(study, output)
    measured = directed(quantity(study, output), output, None, "a ranking of labels")
    scores = _averages(models, own, measured)
    if dm is not None:
        scores |= _fitted(dm, models, own)
    if by not in scores:
        raise InputError(f"there is no score {by!r} here: choose from {', '.join(scores)} (some need datamodels)")
    scores = {name: scores[name] for name in SCORES if name in scores}
    faults = None if known is None else flags(known, own.size)
    auc = {} if faults is None else {name: _auc(suspicion(name, measured) * v, faults) for name, v in scores.items()}
    labels = example_labels(study, own.size)
    return Mislabeled(output, by, scores, own, labels, faults, models.rows.size, auc, measured)


def suspicion(score: str, measured: Quantity) -> int:
    """1 where high values of a score are suspicious, -1 where low ones are."""
    return SCORES[score][0] * (1 if score == "agreement" else measured.sign)


def _averages(models: Models, own: NDArray[np.int64], measured: Quantity) -> dict[str, Floats]:
    """The scores that need no fit; no agreement where the output does not tell whether a model is right."""
    is_right = right(measured)

    def both(outputs: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([outputs, is_right(outputs)], axis=1)

    found = own_differences(models.blocks(models.rows), np.tile(own, 2), both)
    if np.isnan(found.error).any():
        unit = own[int(np.isnan(found.error).argmax()) % own.size]
        raise InputError(f"unit {unit} is in, or out of, fewer than two of {models.rows.size} models: collect more")
    without, agreement = np.split(found.without, 2)
    total = sum(outputs.sum(axis=0, dtype=np.float64) for _, outputs in models.blocks(models.rows))
    mean = np.asarray(total / models.rows.size)
    told = {} if measured.right_above is None else {"agreement": agreement}
    return {"without": without, **told, "self": found.value[: own.size], "mean": mean}


def _fitted(dm: Datamodels, models: Models, own: NDArray[np.int64]) -> dict[str, Floats]:
    """The scores from datamodels: what the own unit weighs, and what all others together predict."""
    fitted_on = dm.meta.get("output", models.output)
    if (dm.n, dm.targets) != (models.study.n, own.size) or fitted_on != models.output:
        raise InputError(
            f"these datamodels are of {fitted_on}, {dm.n} units and {dm.targets} targets; "
            f"give some of {models.output}, {models.study.n} units and {own.size} targets"
        )
    self_weight = dm.weight[own, np.arange(own.size)].astype(np.float64)
    return {"self_weight": self_weight, "support": dm.whole() - self_weight + dm.level_lost([1])[0]}


def _auc(score: Floats, faults: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: Mann-Whitney, ties counting one half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(faults, score))
