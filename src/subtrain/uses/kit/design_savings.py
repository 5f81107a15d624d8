"""What a design saves: the noise of one model under it, and how many random models tell as much.

Ridge regression misses the share noise / (noise + models * linear / n) of the linear variance where masks confound no
two units. Where masks are random, what it misses is noise, too: every unit hides behind what is not yet known of the
others. So a design does with `models` what takes models * (noise of random masks + missed) / (its noise) random ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from subtrain.designs.cyclotomic import difference_set
from subtrain.designs.kind_choice import FIXED, LEAST_UNITS
from subtrain.designs.orthogonal import CYCLOTOMIC, MODEL, PAIR, PALEY, seeds_by_default
from subtrain.errors import InputError
from subtrain.uses.kit.variance_shares import VarianceShares

# The share of the masks' variance that is not linear, where a pilot has no complements to measure it.
NONLINEAR = 0.1
# A study has models enough where it misses this share of the linear variance.
ENOUGH = 0.1
# Sharing seeds is worth it from this share of the noise on.
WORTH = 0.02


@dataclass(frozen=True)
class Planned:
    """A design for a task.

    kind, seeds: as `Design` takes them; noise: variance of one model's output that is noise to the weights, where one
    model's variance is 1; crosstalk: share of the linear variance not yet known that is noise, too; whole: models of a
    whole set.
    """

    kind: str
    seeds: int | str
    noise: float
    crosstalk: float
    whole: int

    def missed(self, models: int, linear: float, n: int) -> float:
        """The share of the linear variance that ridge regression misses after so many models."""
        # missed * linear = error solves error = linear * t / (t + models * linear / n), t = noise + crosstalk * error.
        have, c = models * linear / n, self.crosstalk
        b = self.noise + have - c * linear
        root = math.sqrt(b * b + 4 * c * self.noise * linear)
        error = (root - b) / (2 * c) if b < 0 else 2 * self.noise * linear / max(b + root, 1e-300)
        return error / linear

    def models_for(self, missed: float, linear: float, n: int) -> float:
        """The number of models after which ridge regression misses no more than this share of the linear variance."""
        noise = self.noise + self.crosstalk * missed * linear
        return n * noise * (1 - missed) / (linear * missed)


def orders(shares: VarianceShares) -> tuple[float, float, float]:
    """Variances of the mask's effects: linear ones, those of even order, and those of odd orders from 3 on.

    Each order is taken to have the same fraction of the variance of the order before. That fraction is even / odd.
    """
    if shares.even is None:
        return (1 - NONLINEAR) * shares.odd, NONLINEAR * shares.odd, 0.0
    higher = shares.even * min(shares.even / max(shares.odd, 1e-12), 1.0)
    return shares.odd - min(higher, shares.odd), shares.even, min(higher, shares.odd)


def linear_variance(shares: VarianceShares) -> float:
    """Variance of one model's output that is linear in its mask; InputError where there is none."""
    linear = orders(shares)[0]
    if not linear > 1e-6:
        raise InputError("no effect of single units is seen: a pilot of more models may tell (models=256)")
    return linear


def planned(shares: VarianceShares, n: int, alpha: float) -> list[Planned]:
    """Every design that suits the task, random masks with seeds of their own first."""
    _, even, higher = orders(shares)
    seed, both = shares.seed, shares.interaction
    rest = even + higher + both
    many = 2 * difference_set(n, 0.5).prime
    found = [
        Planned(FIXED, MODEL, rest + seed, 1.0, 1),
        Planned(FIXED, seeds_by_default(many), rest, 1.0, 1),
    ]
    if n < LEAST_UNITS:
        return found
    if alpha == 0.5:
        # Half the difference of a pair holds each odd effect whole, and half the variance of its models' own noise.
        prime, pair = many // 2, 2 * higher
        return [
            *found,
            Planned(PALEY, MODEL, pair + seed + both, 0.0, 2 * prime),
            Planned(PALEY, PAIR, pair + 2 * shares.interaction_odd, 0.0, 2 * prime),
            Planned(PALEY, seeds_by_default(prime), pair + both, 0.0, 2 * prime),
        ]
    try:
        made = difference_set(n, alpha)
    except InputError:  # there is no such design at this alpha
        return found
    own = Planned(CYCLOTOMIC, MODEL, rest + seed, made.crosstalk, made.prime)
    return [*found, own, Planned(CYCLOTOMIC, seeds_by_default(made.prime), rest, made.crosstalk, made.prime)]


def best_of(designs: list[Planned], shares: VarianceShares, shared: bool) -> Planned:
    """The design with the least noise of the last kind, which is the best; seeds are shared where that is worth it.

    shared: whether an effect of the seed was seen that is the same for every mask.
    """
    kind = designs[-1].kind
    by_seeds = {one.seeds if isinstance(one.seeds, str) else "shared": one for one in designs if one.kind == kind}
    own, some, pair = (by_seeds.get(name) for name in (MODEL, "shared", PAIR))
    assert own is not None
    assert some is not None
    if not shared or own.noise - some.noise <= WORTH * own.noise:
        return own
    return pair if pair is not None and pair.noise < (1 - WORTH) * some.noise else some


def enough(design: Planned, linear: float, n: int) -> int:
    """Models in whole sets, or in hundreds, after which little of the linear variance is missed."""
    need = design.models_for(ENOUGH, linear, n)
    step = design.whole if design.whole > 1 else 100
    return max(1, math.ceil(need / step)) * step
