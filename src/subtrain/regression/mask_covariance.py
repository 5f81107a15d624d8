"""The covariance of masks over units of which the design prefers none: two numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.checks import BERNOULLI
from subtrain.designs.drawn import Design
from subtrain.designs.samplers import subset_size
from subtrain.errors import InputError
from subtrain.system.types import Floats

# How far the variance of pairs' covariances may be from what it should be, relative to that of random masks.
APART = 0.4
# Share of the variance of Bernoulli masks' sizes below which sizes tell too little.
NEARLY = 0.1


@dataclass(frozen=True)
class MaskCovariance:
    """Covariance p I + q 11ᵀ of masks over n units, none of which the design prefers.

    fixed size alpha n: p = alpha (1 - alpha) n / (n - 1), q = -p / n, so that p + n q = 0: the sum of a mask never
    varies, and no outcome tells how it acts. Bernoulli: p = alpha (1 - alpha), q = 0. Of several alphas: p is their
    mean, and q also holds the variance of alpha. A paley or cyclotomic design holds a fixed share of as many places as
    its prime, which are few more than the units: as fixed size, over the places.
    """

    n: int
    p: float
    q: float

    @property
    def singular(self) -> bool:
        """Whether all masks are of one size, or nearly: weights are then known up to a common constant."""
        return self.p + self.n * self.q < NEARLY * self.p

    @property
    def shared(self) -> float:
        """What the precision takes off along 11ᵀ: it is (I - shared 11ᵀ) / p, a pseudo-inverse if singular."""
        return 1.0 / self.n if self.singular else self.q / (self.p + self.n * self.q)

    @property
    def precision(self) -> float:
        """Every diagonal entry of the precision matrix."""
        return (1.0 - self.shared) / self.p

    def solve(self, values: Floats) -> Floats:
        """The precision matrix times `values` [n, T]."""
        solved: Floats = (values - self.shared * values.sum(axis=0)) / self.p
        return solved


def design_covariance(design: Design) -> MaskCovariance:
    """What the masks of this design covary by, exactly."""
    assert design.n is not None
    n = design.n
    if design.sets is not None:
        places, share = design.sets.prime, np.array([design.sets.share])
    elif design.kind == BERNOULLI:
        places, share = 0, np.array(design.alpha_list)
    else:
        places, share = n, np.array([subset_size(alpha, n) / n for alpha in design.alpha_list])
    within, between = float(np.mean(share * (1 - share))), float(share.var())
    tie = within / (places - 1) if places else 0.0  # Of fixed-size masks a unit that is in keeps others out.
    return MaskCovariance(n, within + tie, between - tie)


def observed_covariance(sizes: NDArray[np.int64], ones: NDArray[np.int64]) -> MaskCovariance:
    """The same for masks made elsewhere, from their sizes [m] and how many hold each unit, `ones` [n].

    Exchangeable units leave two numbers to know, and the mean and variance of the sizes give both. Raises InputError
    where some units are plainly held more often than others.
    """
    m, n = sizes.size, ones.size
    share = float(sizes.mean()) / n
    variance = share * (1 - share)
    q = (float(sizes.var()) - n * variance) / (n * (n - 1))
    p = variance - q
    if uneven(ones / m, m, p):
        raise InputError(
            "some units are held by more models than others, so the covariance of these masks is not known from their "
            "sizes: use method='exact', which needs more models than units"
        )
    return MaskCovariance(n, p, q)


def covariance_of(moments: Floats, shares: Floats, models: int, crosstalk: float = 1.0) -> MaskCovariance | None:
    """The same from covariances of masks, float64 [n, n], and the share of the models that hold each unit, [n].

    Units that all models hold, or none, are left out. None where some units are plainly held more often than others,
    and where masks are not drawn as they should be, independently or (crosstalk, of `RowNoise`) in orthogonal sets:
    covariances of pairs vary by p² / m times the crosstalk, of masks and their complements by more.
    """
    live = np.diag(moments) > 0
    n = int(live.sum())
    if n < 2:
        return None
    within = float(np.diag(moments).sum())
    q = (float(moments.sum()) - within) / (n * (n - 1))
    p = within / n - q
    # Units that always come together have no precision.
    if p <= 1e-12 * within / n or uneven(shares[live], models, p):
        return None
    # Squares of the covariances, summed, without what all units have in common.
    sums = moments.sum(axis=1)
    square = float(np.vdot(moments, moments)) - 2 * float(sums @ sums) / n + float(sums.sum()) ** 2 / n**2
    apart = models * (square / p**2 - (n - 1)) / (n - 1) ** 2
    return MaskCovariance(n, p, q) if abs(apart - crosstalk) < APART + 4 / n else None


def uneven(shares: Floats, models: int, p: float) -> bool:
    """Whether some units are held by more models than chance would have it.

    m times the variance over units of their shares is about chi-squared with n - 1 degrees over n - 1, times p.
    """
    return bool(models * float(shares.var()) > p * (1 + 8 * np.sqrt(2 / shares.size)))
