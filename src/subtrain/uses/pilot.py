"""Before a study: how much of the outputs the seed decides, and which design that suits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.designs.checks import BERNOULLI, STRATIFIED
from subtrain.designs.drawn import Design
from subtrain.designs.kind_choice import FIXED
from subtrain.designs.model_rows import whole
from subtrain.errors import InputError
from subtrain.evaluation import Interval
from subtrain.formatting import number
from subtrain.study import Study
from subtrain.uses.kit.design_savings import Planned, best_of, enough, linear_variance, planned
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_figure
from subtrain.uses.kit.variance_shares import VarianceShares, interval_of, shares_of
from subtrain.uses.retrain import retrain

LEAST_MODELS, MOST_MODELS = 32, 4096


@dataclass(frozen=True, eq=False, repr=False)
class Pilot(Result):
    """Shares of variance on a grid of masks and seeds, and the designs that they speak for.

    output, targets: what was measured, variances of all targets added up; n, alpha: units, and their share in a mask;
    masks, seeds: of the grid, every mask trained with every seed; shares: the components of one model's variance;
    noise: the seed's share of it; same: share of that which is the same for every mask (main effect); even: share of
    the masks' variance that is of even order, None without complements; designs: what there is, random masks with seeds
    of their own first; best: the one to take; models: how many of it are enough.
    """

    output: str
    targets: int
    n: int
    alpha: float
    masks: int
    seeds: int
    shares: VarianceShares
    noise: Interval
    same: Interval
    even: Interval | None
    designs: list[Planned] = field(repr=False)
    best: Planned
    models: int

    def random_models(self, design: Planned) -> int | None:
        """How many random masks with seeds of their own tell as much as `models` of it; None where it tells all."""
        linear = linear_variance(self.shares)
        missed = design.missed(self.models, linear, self.n)
        return round(self.designs[0].models_for(missed, linear, self.n)) if missed > 1e-6 else None

    def finding(self) -> str:
        return (
            f"{self.output}: the seed is {self.noise} of a model's variance; {self._of_seed()}; {self._of_masks()}; "
            f"{self.masks} masks x {self.seeds} seeds, pooled over {self.targets:,} targets. {self.suggestion()}"
        )

    def _of_seed(self) -> str:
        if not self.shares.noise > 1e-9:
            return "models on one mask come out alike with every seed"
        told = f"{self.same} of that is the same for every mask, {number(1 - self.same.value)} is interaction"
        if self.same.low > 0:
            return told
        return f"{told}, so that no effect of the seed alone is seen, as where a learner ignores it or never repeats"

    def _of_masks(self) -> str:
        if self.even is None:
            return f"even effects cannot be told from odd ones at alpha = {self.alpha:g}"
        return f"even effects are {self.even} of the variance over masks"

    def suggestion(self) -> str:
        """What `create` should be told, and what that saves."""
        told = f"Suggested: --kind {self.best.kind} --models {self.models} --seeds {self.best.seeds}"
        if not self.best.noise > 1e-9:
            return f"{told}, which leaves no noise"
        if self.best is self.designs[0]:
            return f"{told}, for no other design saves models here"
        random = self.random_models(self.best)
        saved = "" if random is None else f", as good as {random:,} random masks with seeds of their own"
        return told + saved

    def table(self) -> Table:
        linear = linear_variance(self.shares)
        random = [self.random_models(one) for one in self.designs]
        # Whole numbers, but where a design leaves nothing to be missed.
        kind = np.int64 if all(random) else np.float64
        return {
            "kind": np.array([one.kind for one in self.designs]),
            "seeds": np.array([str(one.seeds) for one in self.designs]),
            "noise": np.array([one.noise for one in self.designs]),
            "models": np.full(len(self.designs), self.models),
            "missed": np.array([one.missed(self.models, linear, self.n) for one in self.designs]),
            "random_models": np.array([one or np.nan for one in random]).astype(kind),
            "saved": np.array([one - self.models if one else np.nan for one in random]).astype(kind),
        }

    def figure(self) -> Figure:
        """Where variance comes from, and what each design's models are worth."""
        picture = new_figure(9.0, 3.6)
        left, right = picture.subplots(1, 2)
        parts = {"mask, odd": self.shares.odd, "mask, even": self.shares.even or 0.0, "seed": self.shares.seed}
        parts["interaction"] = self.shares.interaction
        left.barh(list(parts), list(parts.values()))
        left.invert_yaxis()
        left.set(xlabel="variance of one model's output, share")
        left.set_title(f"{self.output}: {self.masks} masks x {self.seeds} seeds, {self.targets} targets", fontsize=9)
        names = [f"{one.kind}, {one.seeds}" for one in self.designs]
        right.barh(names, [self.random_models(one) or np.nan for one in self.designs])
        right.invert_yaxis()
        right.set(xlabel=f"random models that {self.models:,} of the design are worth")
        right.set_title("by ridge regression, from these shares", fontsize=9)
        return picture


@question
@hands_on("retrain")
def pilot(study: Study, output: str | None = None, *, models: int = 128, **options: Any) -> Pilot:
    """Train a small grid of masks and seeds, and tell from its variances which design suits the task.

    Nothing of the study needs to be trained. The grid's models stay below the study, so that a pilot can be continued.

    Args:
        study: The study whose task trains; its design gives alpha.
        output: Name of the output; by default the study's first.
        models: Number of models of the grid, about; 32 or more.
        **options: Keywords of `retrain`, as workers=4 or engine="slurm".

    Returns:
        Pilot: the shares of variance, what each design would save, and the design to take.

    Raises:
        InputError: For an imported study, a design of several alphas, and where no target varies.

    Example:
        >>> st.pilot(study, models=32, **fast).masks
        8
    """
    design = study.design.drawn
    if design is None or not isinstance(design.alpha, float):
        raise InputError(
            "a pilot draws masks of one alpha: create a study of one alpha with the task, and ask about it"
        )
    if not LEAST_MODELS <= whole("models", models) <= MOST_MODELS:
        raise InputError(f"a pilot takes {LEAST_MODELS} to {MOST_MODELS:,} models, got {models}")
    name, complements = output or next(iter(study.outputs)), design.alpha == 0.5
    seeds = 1 << (int(models**0.5).bit_length() - 1)
    masks = grid_masks(study, design, models // seeds // 2, complements)
    trained = retrain(study, masks, seeds, same_seeds=True, **options)
    y = trained.outputs(name).astype(np.float64).reshape(len(masks), seeds, -1)
    y = y[..., np.isfinite(y).all(axis=(0, 1))]
    if not y.shape[-1]:
        raise InputError(f"no target of {name} has finite outputs in every model of the pilot")
    shares = shares_of(y, complements)
    noise, same = (interval_of(y, complements, part) for part in (_noise, _same))
    even = interval_of(y, complements, _even) if complements else None
    designs = planned(shares, study.n, design.alpha)
    best = best_of(designs, shares, same.low > 0)
    count = enough(best, linear_variance(shares), study.n)
    grid = (len(masks), seeds)
    return Pilot(name, y.shape[-1], study.n, design.alpha, *grid, shares, noise, same, even, designs, best, count)


def grid_masks(study: Study, design: Design, pairs: int, complements: bool) -> NDArray[np.bool_]:
    """Random masks [2 * pairs, n] that no model of the study has but by chance; the second half are complements of the
    first, where there are to be."""
    text = f"pilot {study.identity}"
    drawn = replace(
        design,
        models=pairs if complements else 2 * pairs,
        seed=int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"),
        kind=design.kind if design.kind in (BERNOULLI, STRATIFIED) else FIXED,
        heldout=0,
        validation=0,
        anchors=0,
        shared_seeds=None,
        extensions=(),
    )
    masks = drawn.masks().unpack()
    return np.concatenate([masks, ~masks]) if complements else masks


def _noise(shares: VarianceShares) -> float:
    return shares.noise_share


def _same(shares: VarianceShares) -> float:
    return shares.same_share


def _even(shares: VarianceShares) -> float:
    return shares.even_share
