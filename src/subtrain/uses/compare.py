"""Two learning algorithms on the same data: which training units move one of them and not the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.formatting import number
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.datamodel_vectors import Rows, vectors
from subtrain.uses.kit.intervals import signed, told_runs
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removal_effects import RemovalEffects, as_many_at_random, difference, retrained_without
from subtrain.uses.kit.removals import RANDOM
from subtrain.uses.kit.result import Figure, Result, Table, new_figure

Numbers = NDArray[np.int64]
# Models that tell how much outputs vary.
SOME = 1000


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions over units along which one algorithm's datamodels lie and the other's do not.

    vectors: float64 [c, n], of length 1, the largest entry positive; own, other: float64 [c], the share of the
    squared length of this algorithm's datamodels that lies along each, and of the other's; scores: [k, c], of this
    algorithm's targets along them.
    """

    vectors: Floats
    own: Floats
    other: Floats
    scores: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Algorithms A and B (names): targets, int64 [k], that both have weights for; similarity: float64 [k], cosine of a
    target's two datamodels; of_a: the directions of A without B, of_b: those of B without A."""

    names: tuple[str, str]
    targets: Numbers
    similarity: Floats
    of_a: Directions
    of_b: Directions
    labels: NDArray[np.str_] | None = None
    output: str = ""
    models: tuple[int, int] = (0, 0)
    other_study: Study | None = None

    def finding(self) -> str:
        a, b = self.names
        return (
            f"{a} and {b}: mean cosine of a target's datamodels {number(self.similarity.mean(), 2)}; the "
            f"first direction of {a} without {b} holds {self.of_a.own[0]:.1%} of {a} and {self.of_a.other[0]:.1%} of "
            f"{b}, of {b} without {a} {self.of_b.own[0]:.1%} and {self.of_b.other[0]:.1%}; {self.output}, "
            f"{self.targets.size} targets, {self.models[0]:,} and {self.models[1]:,} models of one run each"
        )

    @hands_on("retrain")
    def verify(
        self,
        runs: int = 10,
        component: int = 0,
        side: str = "a",
        units: int = 20,
        targets: int = 20,
        draws: int = 5,
        seed: int = 0,
        **options: Any,
    ) -> RemovalEffects:
        """Does a direction tell the algorithms apart? Retrain both without its units, and without as many at random.

        It does if losing its `units` units moves its `targets` targets under one algorithm and not under the other
        (ModelDiff: Shah et al. 2022). side: "a" for a direction of A without B, "b" for one of B without A. draws:
        random sets; options: as `retrain` takes them. Effects are in standard deviations of the target's output over
        the subsets of its own study, for two algorithms may answer on different scales.
        """
        first_study, second_study = self.asked_study(), self.other_study
        if second_study is None:
            raise InputError("nothing can be retrained without the other algorithm's study: ask with other_study=…")
        chosen = self.subpopulation(component, targets, side)
        sets = [self.units(component, units, side), *as_many_at_random(first_study.n, units, draws, seed)]
        effects, each = {}, []
        for name, study in zip(self.names, (first_study, second_study), strict=True):
            scale = _spread(study, self.output)
            parts = retrained_without(study, sets, runs, self.output, **options)
            everything, removed = (part / scale for part in parts)
            before = everything[:, chosen].mean(axis=1)
            control = removed[1:][:, :, chosen].mean(axis=(1, 2))
            effects[name] = (difference(removed[0][:, chosen].mean(axis=1), before), difference(control, before))
            each.append(removed[0].mean(axis=0) - everything.mean(axis=0))
        (a, random_a), (b, random_b) = ([signed(effect) for effect in pair] for pair in effects.values())
        first, second = self.names
        whose = f"{first} without {second}" if side == "a" else f"{second} without {first}"
        claim = (
            f"without {units} units of direction {component} of {whose}, its {chosen.size} targets move by {a} under "
            f"{first} and by {b} under {second}; without as many at random by {random_a} and {random_b}; in standard "
            f"deviations of {self.output} over subsets, {told_runs(runs)}, retrained from all units"
        )
        found = RemovalEffects(
            claim=claim,
            rows=("algorithm", self.names),
            columns=("removed", ("its units", RANDOM)),
            effects=effects,
            targets=chosen,
            points={"all targets": (each[0], each[1]), "the direction's": (each[0][chosen], each[1][chosen])},
            axes=(f"change under {first}", f"change under {second}"),
            caption=f"{self.output}: {chosen.size} of {each[0].size} targets, {told_runs(runs)}, {draws} random sets, "
            "retrained from all units",
        )
        return self.followed_by(found)

    def directions(self, side: str = "a") -> Directions:
        """The directions of A without B ("a"), or of B without A ("b")."""
        if side not in ("a", "b"):
            raise InputError(f"side must be 'a' or 'b', got {side!r}")
        return self.of_a if side == "a" else self.of_b

    def units(self, component: int = 0, k: int = 10, side: str = "a") -> Numbers:
        """The k units that a direction weighs most: they raise `subpopulation` under one algorithm only."""
        found = self.directions(side)
        return np.argsort(-found.vectors[self._known(component)], kind="stable")[:k]

    def subpopulation(self, component: int = 0, k: int = 10, side: str = "a") -> Numbers:
        """The k targets whose datamodels lie furthest along a direction."""
        found = self.directions(side)
        return self.targets[np.argsort(-found.scores[:, self._known(component)], kind="stable")[:k]]

    def _known(self, component: int) -> int:
        if not 0 <= component < self.of_a.own.size:
            raise InputError(f"directions are numbered 0 to {self.of_a.own.size - 1}, got {component}")
        return component

    def table(self) -> Table:
        """A row a direction: whose, what it holds of either algorithm, its units and its targets."""
        sides, numbers = ("a", "b"), range(self.of_a.own.size)
        rows = [(side, c) for side in sides for c in numbers]
        a, b = self.names
        held = {"a": (self.of_a.own, self.of_a.other), "b": (self.of_b.other, self.of_b.own)}
        return {
            "own to": np.array([a if side == "a" else b for side, _ in rows]),
            "direction": np.array([c for _, c in rows]),
            f"share of {a}": np.array([held[side][0][c] for side, c in rows]),
            f"share of {b}": np.array([held[side][1][c] for side, c in rows]),
            "units": np.array([" ".join(map(str, self.units(c, 5, side))) for side, c in rows]),
            "targets": np.array([self._named(self.subpopulation(c, 5, side)) for side, c in rows]),
        }

    def _named(self, targets: Numbers) -> str:
        return " ".join(str(t) if self.labels is None else f"{t}:{self.labels[t]}" for t in targets.tolist())

    def figure(self) -> Figure:
        """Left: how alike a target's two datamodels are; right: what the directions hold of either algorithm."""
        figure = new_figure(8.0, 3.6)
        left, right = figure.subplots(1, 2)
        left.hist(self.similarity, np.linspace(min(0, self.similarity.min()), 1, 41), color="0.5", alpha=0.7)
        left.set(xlabel="cosine of a target's two datamodels", ylabel="targets")
        a, b = self.names
        right.scatter(self.of_a.own, self.of_a.other, color="C0", label=f"{a} without {b}")
        right.scatter(self.of_b.other, self.of_b.own, color="C1", marker="s", label=f"{b} without {a}")
        limit = 1.1 * max(self.of_a.own.max(), self.of_b.own.max(), self.of_a.other.max(), self.of_b.other.max())
        right.plot([0, limit], [0, limit], color="0.6", lw=0.8)
        right.set(xlabel=f"share of {a}'s datamodels", ylabel=f"share of {b}'s datamodels")
        right.legend(frameon=False)
        first, second = self.models
        figure.suptitle(
            f"{self.output}, {self.targets.size} targets; {first:,} and {second:,} models, one run each",
            fontsize="medium",
        )
        return figure


@question
def compare(
    dm: Datamodels,
    study: Study | None,
    other: Datamodels,
    other_study: Study | None = None,
    components: int | None = None,
    names: tuple[str, str] = ("A", "B"),
    labels: Sequence[str] | NDArray[np.str_] | None = None,
) -> Comparison:
    """Find what one learning algorithm learns from and another does not, from the same units and for the same targets.

    Every target's datamodel of A, of length 1, less its projection on that of B is what A has to itself; principal
    components of these residuals, not centered, are directions that tell A from B (ModelDiff: Shah et al. 2022).
    Sampling noise of the weights is residual too: directions that matter hold a larger share of one algorithm than of
    the other. `verify` retrains both without the units of a direction.

    Args:
        dm: Datamodels of algorithm A.
        study: The study of A, or None; to verify, and to say where the fit is weak.
        other: Datamodels of algorithm B.
        other_study: The study of B, optional too.
        components: Number of directions on either side; by default 5, or as many as there are.
        names: What A and B are called.
        labels: Text of every target, for tables.

    Returns:
        Comparison: the directions of A without B and of B without A.

    Raises:
        InputError: For other units or targets, and for more components than there are.

    Example:
        >>> found = st.compare(dm, study, dm, study, components=2)
        >>> found.similarity.round(3).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    a, b = dm, other
    if (a.n, a.targets) != (b.n, b.targets):
        raise InputError(
            f"these datamodels are over {a.n} units and {a.targets} targets, those over {b.n} and {b.targets}: compare "
            "studies of the same units and targets"
        )
    rows_a, rows_b = vectors(a), vectors(b)
    targets, at_a, at_b = np.intersect1d(rows_a.index, rows_b.index, return_indices=True)
    left, right = rows_a.rows[at_a], rows_b.rows[at_b]
    most = min(left.shape)
    components = min(5, most) if components is None else components
    if not 1 <= components <= most:
        raise InputError(f"{targets.size} targets over {a.n} units have 1 to {most} directions, got {components}")
    similarity = np.einsum("kn,kn->k", left, right, dtype=np.float64)
    return Comparison(
        names=names,
        targets=targets,
        similarity=similarity,
        of_a=_directions(left, right, similarity, components),
        of_b=_directions(right, left, similarity, components),
        labels=None if labels is None else np.asarray(labels, dtype=str),
        output=str(a.meta.get("output", "")),
        models=(int(a.meta.get("models", 0)), int(b.meta.get("models", 0))),
        other_study=other_study,
    )


def _directions(own: Rows, other: Rows, similarity: Floats, components: int) -> Directions:
    from sklearn.utils.extmath import randomized_svd

    residual = own - similarity[:, None] * other
    found = np.asarray(randomized_svd(residual, components, random_state=0)[2], np.float64)
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
    found = found * np.sign(largest)
    scores = own @ found.T
    return Directions(found, (scores**2).mean(axis=0), ((other @ found.T) ** 2).mean(axis=0), scores)


def _spread(study: Study, output: str) -> Floats:
    """Standard deviation float64 [T] of every target's output over some finished models; 1 where it never varies."""
    rows = study.done()[:SOME]
    if rows.size < 2:
        raise InputError(f"{study.location} has {rows.size} finished models, and nothing to measure effects by")
    spread = study.read(output, rows).reshape(rows.size, -1).astype(np.float64).std(axis=0, ddof=1)
    return np.where(spread > 0, spread, 1.0)
