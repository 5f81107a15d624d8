"""Which alpha to take: small pilot studies of each, evaluated on subsets of its own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from subtrain.collection import collect
from subtrain.collection.committed_segments import landed, trained
from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.workers import task_message
from subtrain.designs.kind_choice import FIXED
from subtrain.designs.orthogonal import ORTHOGONAL
from subtrain.errors import InputError
from subtrain.evaluation import evaluate
from subtrain.regression import fit
from subtrain.store.addresses import open_store
from subtrain.studies.new_study import create_study
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.effect_agreement import told
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.retrain import task_of

FOLDER = "pilots"
HELDOUT, REPLICATES = 60, 2


@dataclass(frozen=True, eq=False, repr=False)
class Alphas(Result):
    """One pilot study an alpha [A]: LDS against the mean of 2 runs with its interval, the ceiling (an upper bound
    of what a perfect predictor would score), the seed's share of the variance of ranks, and core-seconds a model."""

    output: str
    pilot: int
    targets: int
    alpha: Floats
    lds: Floats
    low: Floats
    high: Floats
    ceiling: Floats
    noise_share: Floats
    seconds: Floats

    @property
    def best(self) -> float:
        """The cheapest a model of those whose interval reaches the highest LDS."""
        top = int(np.argmax(np.nan_to_num(self.lds, nan=-np.inf)))
        close = np.union1d(top, np.flatnonzero(self.high >= self.lds[top]))
        cost = np.where(np.isfinite(self.seconds[close]), self.seconds[close], np.inf)
        return float(self.alpha[close[int(np.argmin(cost))]])

    def finding(self) -> str:
        each = ", ".join(f"{a:g}: LDS {told(v, c)}" for a, v, c in zip(self.alpha, self.lds, self.ceiling, strict=True))
        return (
            f"{self.output}, best {self.best:g}; {each}; {self.pilot:,} models each, held-out subsets of each "
            f"alpha x {REPLICATES} runs, per target, mean over {self.targets} targets"
        )

    def table(self) -> Table:
        names = ("alpha", "lds", "low", "high", "ceiling", "noise_share", "seconds")
        return {name: getattr(self, name) for name in names}

    def figure(self) -> Figure:
        """LDS and ceiling against alpha."""
        picture, axes = new_axes()
        sides = np.maximum([self.lds - self.low, self.high - self.lds], 0)
        axes.errorbar(self.alpha, self.lds, sides, fmt="o-", label=f"LDS after {self.pilot:,} models")
        axes.plot(self.alpha, self.ceiling, ":", color="grey", label="noise ceiling (upper bound)")
        axes.set(xlabel="alpha", ylabel="LDS on held-out subsets of this alpha", ylim=(0, 1))
        axes.set_title(f"per target, mean over {self.targets} targets; mean of {REPLICATES} runs", fontsize=9)
        axes.legend(frameon=False)
        return picture


@question
@hands_on("collect")
def compare_alphas(
    study: Study, alphas: Sequence[float] = (0.1, 0.2, 0.5), pilot: int = 500, output: str | None = None, **options: Any
) -> Alphas:
    """Train a small pilot study for each alpha with the study's own task, fit the LASSO, and compare.

    Pilots stay below the study, `pilots/alpha-0.1-500/`, and a second call finds them. Each alpha is evaluated on
    subsets of its own size: what is asked of a datamodel differs with alpha, so take the smallest that is close to your
    question and scores as well.

    Args:
        study: The study whose task trains.
        alphas: The alphas to compare.
        pilot: Models of each pilot study, 50 or more.
        output: Name of the output; by default the study's first.
        **options: Keywords of `collect`, as workers=4.

    Returns:
        Alphas: LDS and ceiling of each alpha, and what a model costs.

    Raises:
        InputError: For an imported study, and alphas that leave no unit in a subset.

    Example:
        >>> st.compare_alphas(study, [0.5], pilot=50, **fast).best
        0.5
    """
    if pilot < 50 or not list(alphas):
        raise InputError(f"give one alpha or more and pilots of 50 models or more, got {list(alphas)} and {pilot}")
    task, design, making = task_of(study), study.design.drawn, task_message.making_of(study)
    if design is None:
        raise InputError("pilots take their kind of masks from a study's own design, which this study does not have")
    name = output or next(iter(study.outputs))
    pilots = replace(design, models=pilot, heldout=HELDOUT, replicates=REPLICATES, anchors=0, extensions=())
    if design.kind in ORTHOGONAL:  # there are such masks at some alphas only: all pilots draw theirs
        pilots = replace(pilots, kind=FIXED, validation=0, shared_seeds=None)
    plans = [replace(pilots, alpha=a) for a in alphas]
    rows, targets = [], 0
    for plan in plans:
        store = open_store(f"{study.store.address.rstrip('/')}/{FOLDER}/alpha-{plan.alpha:g}-{pilot}")
        made = create_study(
            store,
            task,
            making.source if making else None,
            plan,
            segment=16,
            exist_ok=True,
            kind=Study,
            own=making is None or making.own,
        )
        collect(made, **options)
        found = evaluate(fit(made, name, keep_counts=False), made)
        times = [one.seconds_each for one in trained(made, landed(made)) if one.seconds_each > 0]
        seconds = float(np.median(times)) if times else float("nan")
        lds = found.lds.value, found.lds.low, found.lds.high
        rows.append((plan.alpha, *lds, found.lds_ceiling, found.noise_share, seconds))
        targets = found.targets_judged
    return Alphas(name, pilot, targets, *np.array(rows, np.float64).T)
