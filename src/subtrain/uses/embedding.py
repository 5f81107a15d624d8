"""Principal components of datamodels: the directions along which targets differ in what they were learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.evaluation import correlation
from subtrain.formatting import number, plural
from subtrain.study import Study
from subtrain.system.plotting import matplotlib
from subtrain.system.types import Floats
from subtrain.uses.kit.datamodel_vectors import Vectors, vectors
from subtrain.uses.kit.intervals import signed, told_runs
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removal_effects import RemovalEffects, as_many_at_random, difference, retrained_without
from subtrain.uses.kit.removals import RANDOM
from subtrain.uses.kit.result import Figure, Result, Table, new_figure

Numbers = NDArray[np.int64]
ENDS = ("positive end", "negative end")


@dataclass(frozen=True, eq=False, repr=False)
class Embedding(Result):
    """Vectors of targets (or units) and their c principal components.

    scores: float64 [k, c], where each vector lies along each component; directions: float64 [c, n] (or [c, T]), of
    length 1, signed so that their largest entry is positive; share: float64 [c], of the variance of the vectors.
    labels: of the vectors' targets or units, text [k], if they are known.
    """

    vectors: Vectors
    scores: Floats
    directions: Floats
    share: Floats
    labels: NDArray[np.str_] | None = None
    output: str = ""
    models: int = 0

    @property
    def components(self) -> int:
        """c."""
        return self.share.size

    def finding(self) -> str:
        return (
            f"{self.components} components of {self.vectors.index.size} {self.vectors.of} explain "
            f"{self.share.sum():.0%} of the variance of their datamodels, the first {self.share[0]:.0%}; "
            f"{self.output}, {self.models:,} models"
        )

    @hands_on("retrain")
    def verify(
        self,
        runs: int = 10,
        component: int = 0,
        units: int = 20,
        targets: int = 20,
        draws: int = 5,
        seed: int = 0,
        **options: Any,
    ) -> RemovalEffects:
        """Is a component a cause? Retrain without the `units` units at each end of it, and without as many at random.

        Effects are averaged over the `targets` targets at each end; effects of opposite sign at the two ends mean that
        the component is a cause and no accident (paper: embeddings). draws: random sets; options: as `retrain` takes
        them. Raises InputError for an embedding of units.
        """
        study, dm = self.asked_study(), self.dm
        if self.vectors.of != "targets" or dm is None:
            raise InputError("ends are removed of components of targets: make the embedding with of='targets'")
        sets = [*self.direction_ends(component, units), *as_many_at_random(study.n, units, draws, seed)]
        all_units, removed = retrained_without(study, sets, runs, self.output or None, **options)
        ends = self.ends(component, targets)
        samples = dict(zip((*ENDS, RANDOM), (removed[0], removed[1], removed[2:].mean(axis=1)), strict=True))
        effects = {
            name: tuple(difference(part[:, end].mean(axis=1), all_units[:, end].mean(axis=1)) for end in ends)
            for name, part in samples.items()
        }
        each = {name: part.mean(axis=0) - all_units.mean(axis=0) for name, part in samples.items()}
        guess = np.array([dm.effect_of_removing(gone.tolist()) for gone in sets])
        guess = np.stack([*guess[:2], guess[2:].mean(axis=0)])
        score = np.zeros(dm.targets)
        score[self.vectors.index] = self.scores[:, component]
        told = [" and ".join(map(signed, effects[name])) for name in samples]
        claim = (
            f"component {component}: without {units} units of its positive end, targets there and at the other end "
            f"move by {told[0]}; without {units} of its negative end by {told[1]}; without {units} at random by "
            f"{told[2]}; {self.output}, mean over {ends[0].size} targets an end, {told_runs(runs)}, "
            "retrained from all units"
        )
        agreement = correlation(guess[:2].T, np.stack([each[name] for name in ENDS]).T).tolist()
        found = RemovalEffects(
            claim=claim,
            rows=("removed", tuple(samples)),
            columns=("targets", ENDS),
            effects=effects,
            targets=np.concatenate(ends),
            points={f"without {units}: {name}": (score, effect) for name, effect in each.items()},
            axes=(f"target's score along component {component}", f"change of {self.output}"),
            caption=f"{dm.targets} targets, mean of {plural(runs, 'retraining')} (random: {draws} sets) less those "
            f"of all units\npredicted and observed r = {number(agreement[0], 2)}, {number(agreement[1], 2)}",
            predicted=np.array([part[end].mean() for part in guess for end in ends]),
            agreement=tuple(agreement),
        )
        return self.followed_by(found)

    def ends(self, component: int = 0, k: int = 10) -> tuple[Numbers, Numbers]:
        """The k targets (or units) furthest along a component, and the k furthest the other way."""
        order = np.argsort(-self.scores[:, self._known(component)], kind="stable")
        k = min(k, order.size // 2)
        return self.vectors.index[order[:k]], self.vectors.index[order[::-1][:k]]

    def direction_ends(self, component: int = 0, k: int = 10) -> tuple[Numbers, Numbers]:
        """The k units that a component of targets weighs most, and the k that it weighs most negatively.

        Targets of positive score rise with the first and fall with the second. (Of units: targets.)
        """
        order = np.argsort(-self.directions[self._known(component)], kind="stable")
        k = min(k, order.size // 2)
        return order[:k], order[::-1][:k]

    def _known(self, component: int) -> int:
        if not 0 <= component < self.components:
            raise InputError(f"components are numbered 0 to {self.components - 1}, got {component}")
        return component

    def table(self) -> Table:
        """A row a component: its share of the variance, and who lies at its ends."""
        ends = [self.ends(c, 5) for c in range(self.components)]
        return {
            "component": np.arange(self.components),
            "share": self.share,
            "so far": np.cumsum(self.share),
            "positive end": np.array([self._named(high) for high, _ in ends]),
            "negative end": np.array([self._named(low) for _, low in ends]),
        }

    def _named(self, numbers: Numbers) -> str:
        if self.labels is None:
            return " ".join(map(str, numbers))
        label = dict(zip(self.vectors.index.tolist(), self.labels.tolist(), strict=True))
        return " ".join(f"{one}:{label[one]}" for one in numbers.tolist())

    def figure(self) -> Figure:
        """Left: what each component explains; right: the vectors along the first two, colored by label."""
        figure = new_figure(8.0, 3.6)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
        left.bar(np.arange(self.components), self.share, color="C0", alpha=0.7)
        left.set(xlabel="component", ylabel="share of the variance")
        second = self.scores[:, 1] if self.components > 1 else np.zeros(len(self.scores))
        paint(right, np.column_stack([self.scores[:, 0], second]), self.labels)
        right.set(xlabel="along component 0", ylabel="along component 1")
        figure.suptitle(
            f"{self.vectors.index.size} {self.vectors.of}, {self.output}, datamodels from {self.models:,} models, "
            "one run each",
            fontsize="medium",
        )
        return figure


@question
def embedding(
    dm: Datamodels,
    study: Study | None = None,
    components: int | None = None,
    of: str = "targets",
    labels: Sequence[str] | NDArray[np.str_] | None = None,
) -> Embedding:
    """Find the principal components of datamodels: the directions along which targets differ in what they learn from.

    Datamodels are taken of length 1, and centered (paper: datamodels as embeddings). `verify` retrains without the
    units at the ends of a component.

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on, if it is there: for labels, for a declared direction, and to say
            where the fit is weak.
        components: Number of components; by default 10, or as many as there are.
        of: What is embedded: "targets", each a vector over units, or "units", each over the targets that it moves.
        labels: Text of every target or unit, for pictures and tables.

    Returns:
        Embedding: components, their share of the variance, and who lies at their ends.

    Raises:
        InputError: For another kind, as many components as cannot be, and labels of another number.

    Example:
        >>> found = st.embedding(dm, study, components=2)
        >>> found.scores.shape, found.directions.shape
        ((8, 2), (2, 30))
        >>> sorted(found.verify(runs=2, units=3, **fast).effects)
        ['negative end', 'positive end', 'random']
    """
    from sklearn.decomposition import PCA

    found = vectors(dm, of)
    most = min(found.index.size - 1, found.rows.shape[1])
    components = min(10, most) if components is None else components
    if not 1 <= components <= most:
        raise InputError(f"{found.index.size} {of} have 1 to {most} components, got {components}")
    if labels is not None and len(labels) != found.of_all:
        raise InputError(f"there are {found.of_all} {of}, but {len(labels)} labels")
    solver = "randomized" if min(found.rows.shape) > 500 and components < 0.1 * most else "full"
    fitted = PCA(components, svd_solver=solver, random_state=0).fit(found.rows)
    directions = np.asarray(fitted.components_, np.float64)
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    directions *= np.sign(largest)
    return Embedding(
        vectors=found,
        scores=found.rows @ directions.T - found.rows.mean(axis=0) @ directions.T,
        directions=directions,
        share=np.asarray(fitted.explained_variance_ratio_, np.float64),
        labels=None if labels is None else np.asarray(labels, dtype=str)[found.index],
        output=str(dm.meta.get("output", "")),
        models=int(dm.meta.get("models", 0)),
    )


def paint(axes: Any, points: Floats, labels: NDArray[np.str_] | None) -> None:
    """Points [k, 2], in one color a label where these are few enough to tell apart."""
    names = [] if labels is None else np.unique(labels).tolist()
    if not 1 < len(names) <= 20:
        axes.scatter(*points.T, s=8, alpha=0.6, lw=0)
        return
    colors = matplotlib().colormaps["tab10" if len(names) <= 10 else "tab20"]
    for k, name in enumerate(names):
        axes.scatter(*points[labels == name].T, s=8, alpha=0.7, lw=0, color=colors(k), label=name)
    axes.legend(frameon=False, fontsize="x-small", markerscale=1.5, ncols=1 + len(names) // 11)
