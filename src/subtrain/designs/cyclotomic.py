"""Sets of residues modulo a prime in which every difference occurs nearly equally often: cyclotomic classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError

# Classes at most, primes above n that are tried, and how far above n these may be: a share of n, and a few more.
MOST_CLASSES, PRIMES, WIDER, FURTHER = 12, 12, 0.1, 40


@dataclass(frozen=True, eq=False)
class DifferenceSet:
    """Residues modulo a prime.

    prime: q; held: bool [q], which residues are in the set; crosstalk: q times the mean squared correlation of two
    units over all translates of the set: 1 for as many random masks, 0 for orthogonal ones.
    """

    prime: int
    held: NDArray[np.bool_]
    crosstalk: float


@lru_cache(maxsize=16)
def difference_set(n: int, alpha: float) -> DifferenceSet:
    """The set for n units of which a mask holds a share alpha.

    At 1/2 these are 0 and the squares of the least prime q >= n with q = 3 (mod 4), whose translates are orthogonal
    (Paley 1933). At j / e they are the union of j of e cyclotomic classes of a prime near n, with or without 0, whose
    differences are most even. Raises InputError for an alpha that is no such fraction.
    """
    if alpha == 0.5:
        prime = next(q for q in range(n, 4 * n + 8) if q % 4 == 3 and is_prime(q))
        held = np.zeros(prime, np.bool_)
        held[np.arange(prime, dtype=np.int64) ** 2 % prime] = True
        return DifferenceSet(prime, held, 0.0)
    share = Fraction(repr(float(alpha))).limit_denominator(MOST_CLASSES)
    if not 0 < share < 1 or abs(float(share) - alpha) > 1e-9:
        raise InputError(
            f"a cyclotomic design takes alpha as a fraction with a denominator up to {MOST_CLASSES}, as 0.25, 0.4 or "
            f"1/3, got {alpha}; other alphas have kind='fixed'"
        )
    # 1. As j / e, 2j / 2e, …: more classes make more unions.
    finer = range(1, MOST_CLASSES // share.denominator + 1)
    found = [
        (*candidate, k * share.denominator)
        for k in finer
        for prime in _primes(n, k * share.denominator)
        for candidate in _unions(prime, k * share.numerator, k * share.denominator)
    ]
    if not found:
        raise InputError(f"there is no prime near {n} for a cyclotomic design of alpha = {alpha}: say kind='fixed'")
    # 2. The most even of them; of several, the first by prime and classes, on every machine.
    crosstalk, prime, chosen, zero, parts = min(found)
    held = np.isin(classes(prime, parts), chosen)
    held[0] = zero
    return DifferenceSet(prime, held, float(crosstalk))


def _primes(n: int, parts: int) -> list[int]:
    """Primes from n on that have this many classes, the nearest first."""
    last = math.ceil((1 + WIDER) * n) + FURTHER
    return [q for q in range(max(n, 3), last) if q % parts == 1 and is_prime(q)][:PRIMES]


def _unions(prime: int, chosen: int, parts: int) -> list[tuple[Fraction, int, tuple[int, ...], bool]]:
    """Unions of classes with their crosstalk, exact: how often a difference occurs depends on its class alone."""
    of = classes(prime, parts)
    first = [int(np.flatnonzero(of == c)[0]) for c in range(parts)]
    # together[c]: how many pairs of classes (a, b) are a difference of class c apart; class `parts` is 0 alone.
    which = np.where(of < 0, parts, of)
    together = np.zeros((parts, parts + 1, parts + 1), np.int64)
    for c, difference in enumerate(first):
        pair = which * (parts + 1) + np.roll(which, -difference)
        together[c] = np.bincount(pair, minlength=(parts + 1) ** 2).reshape(parts + 1, parts + 1)
    found = []
    # Multiplying by a generator turns one union into the next: those with class 0 stand for all.
    for some in combinations(range(parts), chosen):
        if some[0] != 0:
            continue
        for zero in (False, True):
            index = np.array([*some, *([parts] if zero else [])])
            size = chosen * ((prime - 1) // parts) + zero
            counts = together[:, index[:, None], index].sum(axis=(1, 2)).tolist()
            spread = sum((prime * count - size * size) ** 2 for count in counts)
            squared = Fraction(spread, parts * (size * (prime - size)) ** 2)
            found.append((prime * squared, prime, some, zero))
    return found


def classes(prime: int, parts: int) -> NDArray[np.int64]:
    """The cyclotomic class of each residue, 0 to parts - 1, -1 for the residue 0."""
    root, of, power = _primitive_root(prime), np.full(prime, -1, np.int64), 1
    for k in range(prime - 1):
        of[power] = k % parts
        power = power * root % prime
    return of


def _primitive_root(prime: int) -> int:
    """The least number whose powers are all residues but 0."""
    factors = _factors(prime - 1)
    return next(g for g in range(2, prime) if all(pow(g, (prime - 1) // q, prime) != 1 for q in factors))


def _factors(number: int) -> set[int]:
    """The primes that divide it."""
    found, left, divisor = set(), number, 2
    while divisor * divisor <= left:
        while left % divisor == 0:
            found.add(divisor)
            left //= divisor
        divisor += 1
    return found | ({left} if left > 1 else set())


def is_prime(number: int) -> bool:
    """Whether it is a prime."""
    return number > 1 and all(number % d for d in range(2, math.isqrt(number) + 1))
