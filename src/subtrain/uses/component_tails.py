"""Are components causes? Remove the units at the ends of one, retrain, and see which targets move which way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.evaluation import correlation
from subtrain.formatting import number
from subtrain.study import Study
from subtrain.uses.embedding import Embedding
from subtrain.uses.kit.result import OfAFit, Table, new_figure, result_html
from subtrain.uses.kit.retrained_effects import Effect, difference, random_removals, without
from subtrain.uses.kit.weak_fit import of_a_fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
REMOVALS = ("positive end", "negative end", "random")


@dataclass(frozen=True, eq=False)
class TailRemoval(OfAFit):
    """Effects of removing `units` units at either end of a component, and as many at random, from all units.

    effect: float64 [3, T], mean output after removing (positive end, negative end, random) less with all units, over
    `runs` runs (random: over `draws` sets of units); predicted: the same by the datamodels, −Σ weight. score: [T], of
    every target along the component, 0 for those without weights. ends: the targets furthest along it, either way.
    effects: for each removal the mean over the targets of either end.
    """

    component: int
    units: int
    runs: int
    draws: int
    effect: Floats = field(repr=False)
    predicted: Floats = field(repr=False)
    score: Floats = field(repr=False)
    ends: tuple[Numbers, Numbers] = field(repr=False)
    effects: dict[str, tuple[Effect, Effect]]
    output: str = ""

    @property
    def agreement(self) -> tuple[float, float]:
        """Pearson correlation over targets of predicted and observed effects, of each end."""
        r = correlation(self.predicted[:2].T, self.effect[:2].T)
        return float(r[0]), float(r[1])

    _repr_html_ = result_html

    def __repr__(self) -> str:
        (up, down), (back_up, back_down) = (self.effects[name] for name in REMOVALS[:2])
        return (
            f"TailRemoval(component {self.component}: without {self.units} units of its positive end, targets there "
            f"move by {up} and those of the other end by {down}; without {self.units} of its negative end by {back_up} "
            f"and {back_down}; without {self.units} at random by {self.effects['random'][0]} and "
            f"{self.effects['random'][1]}; {self.output}, mean over {self.ends[0].size} targets an end, {self.runs} "
            f"runs, retrained from all units)"
        )

    def table(self) -> Table:
        """Six rows: what was removed, the targets of which end, mean effect with its 95 % interval, the predicted."""
        rows = [(name, end, self.effects[name][k]) for name in REMOVALS for k, end in enumerate(REMOVALS[:2])]
        guess = [self.predicted[i, self.ends[k]].mean() for i in range(3) for k in range(2)]
        return {
            "removed": np.array([row[0] for row in rows]),
            "targets": np.array([row[1] for row in rows]),
            "effect": np.array([row[2].value for row in rows]),
            "low": np.array([row[2].low for row in rows]),
            "high": np.array([row[2].high for row in rows]),
            "predicted": np.array(guess),
        }

    def figure(self) -> Figure:
        """The effect on every target against its score along the component."""
        figure = new_figure()
        axes = figure.subplots()
        for name, effect, colour in zip(REMOVALS, self.effect, ("C0", "C1", "0.6"), strict=True):
            axes.scatter(self.score, effect, s=8, alpha=0.6, lw=0, color=colour, label=f"without {self.units}: {name}")
        axes.axhline(0, color="0.3", lw=0.6)
        axes.set(xlabel=f"target's score along component {self.component}", ylabel=f"change of {self.output}")
        axes.legend(frameon=False, fontsize="small")
        axes.set_title(
            f"{self.score.size} targets, mean of {self.runs} retrainings (random: {self.draws} sets) less all units'\n"
            f"predicted and observed r = {number(self.agreement[0], 2)}, {number(self.agreement[1], 2)}",
            fontsize="small",
        )
        return figure


@hands_on("retrain")
@of_a_fit
def remove_tails(
    found: Embedding,
    dm: Datamodels,
    study: Study,
    component: int = 0,
    units: int = 20,
    runs: int = 5,
    targets: int = 20,
    draws: int = 5,
    seed: int = 0,
    **options: Any,
) -> TailRemoval:
    """Retrain without the units at each end of a component, and without as many at random (paper: embeddings).

    found: an embedding of targets of these datamodels. runs: models of each training set; targets: how many at each
    end of the component the effects are averaged over; draws: sets of units at random; options: as `collect` takes
    them. Effects of opposite sign at the two ends mean that the component is a cause and no accident.
    """
    if found.vectors.of != "targets":
        raise InputError("ends are removed of components of targets: make the embedding with of='targets'")
    random = random_removals(study.n, units, draws, seed)
    sets = [*found.direction_ends(component, units), *random]
    whole, removed = without(study, sets, runs, found.output or None, **options)
    ends = found.ends(component, targets)
    samples = {REMOVALS[0]: removed[0], REMOVALS[1]: removed[1], REMOVALS[2]: removed[2:].mean(axis=1)}
    score = np.zeros(dm.targets)
    score[found.vectors.index] = found.scores[:, component]
    guess = [dm.effect_of_removing(gone.tolist()) for gone in sets]
    return TailRemoval(
        component=component,
        units=units,
        runs=runs,
        draws=draws,
        effect=np.stack([sample.mean(axis=0) - whole.mean(axis=0) for sample in samples.values()]),
        predicted=np.stack([guess[0], guess[1], np.mean(guess[2:], axis=0)]),
        score=score,
        ends=ends,
        effects={
            key: (
                difference(sample[:, ends[0]].mean(axis=1), whole[:, ends[0]].mean(axis=1)),
                difference(sample[:, ends[1]].mean(axis=1), whole[:, ends[1]].mean(axis=1)),
            )
            for key, sample in samples.items()
        },
        output=found.output,
    )
