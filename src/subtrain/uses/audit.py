"""Before fitting: how much of the outputs is seed noise, and how much of the rest a linear datamodel can explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.designs.checks import STRATIFIED
from subtrain.designs.model_rows import EVALUATION
from subtrain.errors import InputError
from subtrain.evaluation import Interval, ceiling_said, ceilings, rank
from subtrain.evaluation_models import evaluation_outputs
from subtrain.formatting import number
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.system.user_warning import warn_user
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_figure
from subtrain.uses.retrain import retrain

RHOS = (0.3, 0.6, 0.9)
RUNS = (1, 2, 3, 5, 10, 20)
BOOTSTRAP = 300


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Result):
    """T targets, from `subsets` held-out subsets x `replicates` runs.

    noise_share: [T], the seed's share of the variance of ranks; ceiling: [T], upper bound of the LDS of a perfect
    predictor against the mean of the runs. linear: of the variance of the expected output over masks, the share that
    is linear in the mask (mean over targets): no linear datamodel has a higher R^2; degrees: [4], the shares of degrees
    1, 2, 3 and 4 or more. rhos, covariance [R]: what these come from, 1 by definition at rho = 1 but for sampling. None
    where nothing was retrained.
    """

    output: str
    subsets: int
    replicates: int
    noise_share: Floats
    ceiling: Floats
    linear: Interval | None = None
    degrees: Floats | None = None
    rhos: Floats | None = None
    covariance: Floats | None = None

    def ceiling_of(self, runs: int) -> float:
        """Upper bound of the LDS of a perfect predictor against the mean of so many runs, mean over targets."""
        share = self.noise_share[np.isfinite(self.noise_share)]
        return float(np.mean(np.sqrt((1 - share) / (1 - share + share / runs))))

    @property
    def over(self) -> str:
        """Over which targets figures are means: targets whose outputs are all equal have none."""
        count = int(np.isfinite(self.ceiling).sum())
        return f"{count} targets" if count == self.ceiling.size else f"{count} of {self.ceiling.size} targets"

    def finding(self) -> str:
        start = f"{self.output}: noise share {number(float(np.nanmean(self.noise_share)))}, LDS "
        start += f"{ceiling_said(float(np.nanmean(self.ceiling)))} against the mean of {self.replicates} runs"
        if self.linear is not None:
            start += f", linear share {self.linear}"
        return f"{start}; per target, mean over {self.over}, {self.subsets} held-out subsets"

    def table(self) -> Table:
        return {"target": np.arange(self.ceiling.size), "noise_share": self.noise_share, "ceiling": self.ceiling}

    def figure(self) -> Figure:
        """Ceiling against runs a subset; and, if masks were retrained, covariance against correlation."""
        picture = new_figure(9.0 if self.linear else 5.0, 3.6)
        grid = picture.subplots(1, 2 if self.linear else 1, squeeze=False)[0]
        grid[0].plot(RUNS, [self.ceiling_of(runs) for runs in RUNS], "o-")
        grid[0].set(xscale="log", xlabel="runs a held-out subset", ylabel="LDS, upper bound", ylim=(0, 1))
        grid[0].set_title(f"{self.output}: mean over {self.over}", fontsize=9)
        if self.linear is not None and self.rhos is not None and self.covariance is not None:
            assert self.degrees is not None
            total = self.covariance[-1]
            grid[1].plot(self.rhos, self.covariance / total, "o", label="measured")
            line = np.linspace(0, 1, 50)
            curve = sum(share * line ** (d + 1) for d, share in enumerate(self.degrees))
            grid[1].plot(line, curve, label="by degree (independent units)")
            grid[1].plot(line, line, ":", color="grey", label="all linear")
            grid[1].set(xlabel="correlation of two masks", ylabel="covariance of expected outputs, share")
            grid[1].set_title(f"linear share {self.linear}; {self.subsets} pairs each, other seeds", fontsize=9)
            grid[1].legend(frameon=False)
        return picture


@question
@hands_on("retrain")
def audit(
    study: Study, output: str | None = None, *, rhos: Sequence[float] = RHOS, pairs: int | None = 100, **options: Any
) -> Audit:
    """Measure how much of an output is noise of the training seed, and how much is linear in the mask.

    Noise comes from the replicates of the evaluation models, linearity from models trained on masks correlated with
    theirs. Every such partner has another seed, so that noise takes no part.

    Args:
        study: A study with two or more runs of each evaluation subset.
        output: Name of the output; by default the study's first.
        rhos: Correlations of the partners, strictly between 0 and 1.
        pairs: How many evaluation subsets get a partner at each of `rhos`; None: all, 0: retrain nothing.
        **options: Keywords of `retrain`, as workers=4 or engine="slurm".

    Returns:
        Audit: noise share and ceiling of every target, and the linear share if models were retrained.

    Raises:
        InputError: Where subsets have a single run each, fewer than 3 are finished, or the design has several alphas.

    Example:
        >>> st.audit(study, pairs=0).ceiling.shape
        (8,)
    """
    name = output or next(iter(study.outputs))
    evaluated = evaluation_outputs(study, study.done(EVALUATION), name, np.zeros(0, np.int64))
    index, subsets, replicates, y = evaluated.rows, evaluated.subsets, evaluated.replicates, evaluated.outputs
    if replicates < 2:
        raise InputError("an audit needs two or more runs of each held-out subset: extend the study by such")
    for note in evaluated.notes:
        warn_user(note)
    ceiling, _, noise = ceilings(np.stack([rank(y[:, k]) for k in range(replicates)], axis=1))
    found = Audit(name, subsets, replicates, noise, ceiling)
    if pairs == 0:
        return found
    if min(rhos, default=0.0) <= 0.0 or max(rhos, default=1.0) >= 1.0:
        raise InputError(f"rhos must be strictly between 0 and 1, got {list(rhos)}")
    design = study.design.drawn
    if design is None or len(design.alpha_list) > 1:
        raise InputError("a linearity audit needs a design of masks with one alpha")
    if design.kind == STRATIFIED:
        raise InputError(
            "a linearity audit exchanges any unit for any other, which a stratified design never does: leave that part "
            "out (no --linearity, pairs=0), or audit a study of another design"
        )
    some = subsets if pairs is None else min(pairs, subsets)
    masks = study.masks(index[::replicates][:some]).unpack()
    alpha, kind = design.alpha_list[0], design.kind
    partners = np.concatenate([correlated(masks, rho, kind, alpha, k) for k, rho in enumerate(rhos)])
    answers = retrain(study, partners, **options).outputs(name).mean(axis=1, dtype=np.float64)
    others = answers.reshape(len(rhos), some, -1)
    size = int(masks[0].sum())
    decays = [decay(rho, kind, study.n, size) for rho in (*rhos, 1.0)]
    return _with_linearity(found, y[:some], others, rhos, decays)


def _with_linearity(found: Audit, y: Floats, others: Floats, rhos: Sequence[float], decays: Sequence[Floats]) -> Audit:
    """y: [S, R, T], runs of the subsets; others: [len(rhos), S, T], of their partners."""
    products = _products(y.reshape(*y.shape[:2], -1), others.reshape(*others.shape[:2], -1))
    random = np.random.default_rng(0)
    spread = products.var(axis=1, ddof=1)
    precision = 1.0 / np.maximum(spread, 1e-12 * max(spread.max(), np.finfo(float).tiny))

    def shares(some: Floats) -> Floats:
        weights = weights_by_degree(some.mean(axis=1), decays, precision)
        return weights / weights.sum() if weights.sum() > 0 else np.full(weights.size, np.nan)

    count = products.shape[1]
    drawn = [shares(products[:, random.integers(count, size=count)])[0] for _ in range(BOOTSTRAP)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    degrees = shares(products)
    return Audit(
        found.output,
        found.subsets,
        found.replicates,
        found.noise_share,
        found.ceiling,
        Interval(float(degrees[0]), float(low), float(high)),
        degrees,
        np.array([*rhos, 1.0]),
        products.mean(axis=1),
    )


def _products(y: Floats, others: Floats) -> Floats:
    """[len(rhos) + 1, S]: each subset's product with its partner, and of its own runs with one another, about the mean
    over all of them and over each target's variance between subsets; mean over targets."""
    runs = y.shape[1]
    center = np.concatenate([y.mean(axis=1), *others]).mean(axis=0)
    y, others = y - center, others - center
    mean = y.mean(axis=1)
    own = (mean**2 * runs - (y**2).mean(axis=1)) / (runs - 1)
    variance = own.mean(axis=0)
    good = variance > 0
    if not good.any():
        raise InputError("no target varies between subsets by more than the seed makes it vary")
    scale = variance[good]
    crossed = [(mean * other)[:, good] / scale for other in others]
    return np.stack([part.mean(axis=1) for part in (*crossed, own[:, good] / scale)])


# How much of a function of masks is linear follows from its covariance between masks that share ever more units
# (Saunshi et al. 2022, Understanding influence functions and datamodels via harmonic analysis, section 4). On
# independent units the covariance at correlation rho is sum_d weight_d rho^d, weight_d the Fourier weight of degree d.
# Subsets of one size have the same expansion with the spherical functions of the Johnson scheme (Hahn polynomials) for
# rho^d.
DEGREES = 4


def correlated(masks: NDArray[np.bool_], rho: float, kind: str, alpha: float, seed: int) -> NDArray[np.bool_]:
    """Masks [k, n], each rho-correlated with the one given: of a Bernoulli design every unit is drawn anew with
    probability 1 - rho; of a fixed size, `swaps` units in each are exchanged for as many that are not."""
    random = np.random.default_rng(seed)
    found = masks.copy()
    if kind == "bernoulli":
        todo = np.arange(len(masks))
        while todo.size:  # an empty mask trains nothing
            again = random.random((todo.size, masks.shape[1])) >= rho
            found[todo] = np.where(again, random.random(again.shape) < alpha, masks[todo])
            todo = todo[~found[todo].any(axis=1)]
        return found
    for row in found:
        held, free = np.flatnonzero(row), np.flatnonzero(~row)
        k = swaps(rho, row.size, held.size)
        row[random.choice(held, k, replace=False)] = False
        row[random.choice(free, k, replace=False)] = True
    return found


def swaps(rho: float, n: int, size: int) -> int:
    """Units to exchange so that two subsets of this size have correlation rho, as nearly as whole units allow."""
    return min(size, n - size, round((1.0 - rho) * size * (n - size) / n))


def decay(rho: float, kind: str, n: int, size: int) -> Floats:
    """[DEGREES]: what is left at correlation rho of the covariance that degrees 1, 2, … have at 1."""
    if kind == "bernoulli":
        return rho ** np.arange(1, DEGREES + 1.0)
    k = swaps(rho, n, size)
    return np.array([hahn(d, k, n, size) for d in range(1, DEGREES + 1)])


def hahn(degree: int, k: int, n: int, size: int) -> float:
    """The spherical function of this degree between subsets of `size` of n units that differ in k; 0 where the degree
    is more than such subsets have."""
    if degree > min(size, n - size):
        return 0.0
    terms = (
        (-1) ** i * comb(degree, i) * comb(n + 1 - degree, i) * comb(k, i) / (comb(size, i) * comb(n - size, i))
        for i in range(degree + 1)
    )
    return float(sum(terms))


def weights_by_degree(covariances: Floats, decays: Sequence[Floats], precision: Floats) -> Floats:
    """Fourier weights of degrees 1 … DEGREES, none below zero, that give these covariances [R] best; the last stands
    for all from there on. precision: [R], one over the variance of each."""
    from scipy.optimize import nnls

    root = np.sqrt(precision)
    return np.asarray(nnls(np.asarray(decays) * root[:, None], covariances * root)[0])
