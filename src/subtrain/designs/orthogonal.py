"""Orthogonal sets of masks: translates of a difference set of the residues modulo a prime, and their complements.

Random masks confound units with one another. In a set of q translates every two units meet in (nearly) as many masks as
any other two, so no weight is mistaken for another from m = q on; complements (fold-over) cancel every effect of even
order. Sources: Paley 1933; Box and Wilson 1951.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.cyclotomic import difference_set
from subtrain.designs.samplers import raw_bits
from subtrain.errors import InputError

PALEY, CYCLOTOMIC = ORTHOGONAL = "paley", "cyclotomic"
# Seeds of a pair's two models: the same, or that each model has its own.
PAIR, MODEL = "pair", "model"
Seeds = int | Literal["pair", "model"] | None
# The Philox streams that order residues: far from those of masks (0), training seeds (1, 2, …) and alphas (2**63).
_PLACES, _ORDER, _SEEDS = 2**63 + 1, 2**63 + 2, 2**63 + 3
# Shared seeds of one set, until sets of about 2,000 units, and how many afterwards: sqrt(q) over this.
FEW_SEEDS, FEW_UNITS, SEEDS_DIVISOR = 10, 2000, 2.4
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class OrthogonalSets:
    """Sets of masks over n units, numbered t = 0, 1, …, each a pure function of the seed and its number.

    n: units; seed: of the design; kind: "paley" (alpha 1/2: a set has q translates, then their q complements) or
    "cyclotomic" (other alphas: q translates); alpha: share of units in a mask, nearly exact.
    """

    n: int
    seed: int
    kind: str
    alpha: float

    @property
    def prime(self) -> int:
        """The prime q whose residues are the places of units."""
        return difference_set(self.n, self.alpha).prime

    @property
    def share(self) -> float:
        """Share of the places that a translate holds."""
        return float(difference_set(self.n, self.alpha).held.mean())

    @property
    def sides(self) -> int:
        """2 where a set has complements too, else 1."""
        return 2 if self.kind == PALEY else 1

    @property
    def models(self) -> int:
        """Models of one whole set."""
        return self.prime * self.sides

    def mask(self, number: int) -> NDArray[np.bool_]:
        """Mask t, bool [n]: units whose residue, less that of the translate, lies in the difference set."""
        # 1. Which set, side and translate it is.
        part, translate = divmod(number, self.prime)
        block, side = divmod(part, self.sides)
        # 2. Units and translates stand in an order of their own in each set.
        places = _places(self.seed, block, self.prime)[: self.n]
        order = _order(self.seed, block, self.prime)
        # 3. The translate, or its complement.
        held = difference_set(self.n, self.alpha).held
        found: NDArray[np.bool_] = np.roll(held, order[translate])[places]
        return ~found if side else found


@lru_cache(maxsize=8)
def _places(seed: int, block: int, prime: int) -> Ints:
    return np.argsort(raw_bits(seed, block, prime, _PLACES), kind="stable")


@lru_cache(maxsize=8)
def _order(seed: int, block: int, prime: int) -> Ints:
    return np.argsort(raw_bits(seed, block, prime, _ORDER), kind="stable")


@dataclass(frozen=True)
class SharedSeeds:
    """Which fit models share a training seed.

    A fit takes out the effect of each seed. No two models of a pair share one, and each set has seeds of its own, so
    that means over models stay means over seeds. count: seeds of a set; None where each pair has one seed of its own.
    translates: models of one side of a set; sides: 2 with complements.
    """

    count: int | None
    translates: int
    sides: int

    def numbers(self, fit_numbers: Ints) -> Ints:
        """The number of the seed of each of these fit models."""
        part, translate = np.divmod(fit_numbers, self.translates)
        block, side = np.divmod(part, self.sides)
        if self.count is None:
            return block * self.translates + translate
        one = translate % self.count
        # The complement's seed differs from its partner's by 1 to count - 1.
        other = (translate + 1 + translate // self.count % (self.count - 1)) % self.count
        return block * self.count + np.where(side == 0, one, other)


def sharing_of(seeds: Seeds, n: int, sets: OrthogonalSets | None) -> SharedSeeds | None:
    """Who shares a seed, by what a design says; None where each model has its own.

    Models that are drawn one by one share those of a set as long as two sides of an orthogonal one.
    """
    if seeds == MODEL or (sets is None and seeds is None):
        return None
    translates = sets.prime if sets else 2 * difference_set(n, 0.5).prime
    count = None if isinstance(seeds, str) else seeds or seeds_by_default(translates)
    return SharedSeeds(count, translates, sets.sides if sets else 1)


def seeds_by_default(translates: int) -> int:
    """How many seeds a set of pairs of so many translates shares: more where the seed's effect is told from more."""
    many = FEW_SEEDS if translates <= FEW_UNITS else round(translates**0.5 / SEEDS_DIVISOR)
    return max(2, min(many, translates // 4))


def shared_seed(seed: int, numbers: Ints) -> NDArray[np.uint32]:
    """Training seeds by their numbers, uint32."""
    return np.array([raw_bits(seed, k, 1, _SEEDS)[0] >> np.uint64(32) for k in numbers.tolist()], np.uint32)


def check_count(seeds: Seeds, sharing: SharedSeeds | None) -> None:
    """InputError where so many seeds are shared that hardly two models share one."""
    if isinstance(seeds, int) and sharing is not None and seeds > sharing.translates // 2:
        side = "models of one side of a set" if sharing.sides > 1 else "models of a set"
        raise InputError(
            f"the {side}, {sharing.translates:,}, can share at most {sharing.translates // 2:,} seeds, got {seeds:,}: "
            f'say seeds="{MODEL}" for a seed of each model'
        )


def checked_seeds(seeds: object) -> Seeds:
    """`seeds` of a design; InputError for anything else."""
    if seeds is None or (isinstance(seeds, str) and seeds in (PAIR, MODEL)):
        return seeds  # type: ignore[return-value]
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool) and seeds >= 2:
        return int(seeds)
    raise InputError(
        f'seeds must be how many training seeds a set of models shares, 2 or more, or "{PAIR}" or "{MODEL}", got '
        f"{seeds!r}"
    )


@dataclass(frozen=True, eq=False)
class SetLayout:
    """What models to fit on have in common, int64 [k] each.

    sets: the number of the set; pairs: the number of the pair of a mask and its complement, None where there are none;
    seeds: the number of the shared seed, None where no two models of different pairs share one. full: models of a whole
    set. same_seed: whether both models of a pair have one seed, so that their sum holds its effect.
    """

    sets: Ints
    pairs: Ints | None
    seeds: Ints | None
    full: int
    same_seed: bool = False

    def __getitem__(self, some: NDArray[Any]) -> SetLayout:
        pairs, seeds = (None if one is None else one[some] for one in (self.pairs, self.seeds))
        return SetLayout(self.sets[some], pairs, seeds, self.full, self.same_seed)


def layout_of(numbers: Ints, sets: OrthogonalSets | None, sharing: SharedSeeds | None) -> SetLayout | None:
    """The layout of models by their numbers among those to fit on; None where they have nothing in common."""
    if sets is None and sharing is None:
        return None
    full = sets.models if sets else sharing.translates  # type: ignore[union-attr]
    block = numbers // full
    pairs = block * sets.prime + numbers % full % sets.prime if sets is not None and sets.sides == 2 else None
    own = sharing is None or sharing.count is None
    same = sharing is not None and sharing.count is None
    return SetLayout(block, pairs, None if own else sharing.numbers(numbers), full, same)  # type: ignore[union-attr]


def crosstalk_of(numbers: Ints, sets: OrthogonalSets | None) -> float:
    """Mean squared correlation of two units over masks, over that of as many random ones, which are 1.

    numbers: of the models to fit on, -1 for a random mask. Translates are drawn from their set without replacement, so
    what a whole set lacks in crosstalk its part lacks by its share.
    """
    if sets is None or not numbers.size:
        return 1.0
    random = np.count_nonzero(numbers < 0)
    translates = np.unique(numbers[numbers >= 0] // sets.prime, return_counts=True)[1]
    share = translates / sets.prime
    whole = difference_set(sets.n, sets.alpha).crosstalk
    return float(random + (translates * (1 - share * (1 - whole))).sum()) / numbers.size


def check_orthogonal(kind: str, alpha: float | tuple[float, ...], n: int | None) -> None:
    """InputError unless there is such a design."""
    if isinstance(alpha, tuple):
        raise InputError(
            f"a {kind} design has one alpha, got {list(alpha)}: several go with kind='fixed' or 'bernoulli'"
        )
    if kind == PALEY and alpha != 0.5:
        raise InputError(f"a paley design has alpha = 0.5, got {alpha}: for other alphas there is kind='cyclotomic'")
    if n is not None and n >= 2:
        difference_set(n, alpha)
