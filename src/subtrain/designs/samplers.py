"""How one subset is drawn from random bits: of a fixed size, unit by unit, or with every class at its share."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError

Label = int | str
# Share of empty subsets above which a design of units drawn one by one is refused.
MOSTLY = 0.5


def raw_bits(seed: int, subset: int, count: int, stream: int = 0) -> NDArray[np.uint64]:
    """Raw Philox output: the bit stream numpy keeps across releases, unlike what Generator makes of it."""
    key = np.array([seed, subset], np.uint64)
    raw: NDArray[np.uint64] = np.random.Philox(key=key, counter=[0, 0, 0, stream]).random_raw(count)
    return raw


def training_seeds(seed: int, subsets: NDArray[np.int64], replicates: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Training seeds, uint32, of replicates of subsets; streams 1, 2, … of the generator that draws the mask at 0."""
    pairs = zip(subsets.tolist(), replicates.tolist(), strict=True)
    return np.array([raw_bits(seed, s, 1, 1 + r)[0] >> np.uint64(32) for s, r in pairs], np.uint32)


def shapley_alphas(count: int) -> tuple[float, ...]:
    """The alphas whose design makes `shapley` exact for interactions of up to 2 x count units (Gauss-Legendre)."""
    if count < 1:
        raise InputError(f"a design needs at least one alpha, got {count}")
    return tuple(((1 + np.polynomial.legendre.leggauss(count)[0]) / 2).tolist())


@lru_cache(maxsize=256)
def subset_size(alpha: float, n: int) -> int:
    """floor(alpha * n), with alpha taken as the decimal it is written as (0.29 * 100 is 29)."""
    return math.floor(Fraction(repr(float(alpha))) * n)


def fixed_size(raw: NDArray[np.uint64], alpha: float) -> NDArray[np.bool_]:
    """The floor(alpha * n) units with the smallest values; ties go to the smaller index."""
    size = subset_size(alpha, raw.size)
    threshold = np.partition(raw, size - 1)[size - 1]
    mask = np.asarray(raw < threshold)
    mask[np.flatnonzero(raw == threshold)[: size - np.count_nonzero(mask)]] = True
    return mask


def bernoulli(raw: NDArray[np.uint64], alpha: float) -> NDArray[np.bool_]:
    """Each unit by itself, with probability alpha."""
    return np.asarray(raw < np.uint64(math.floor(Fraction(repr(float(alpha))) * 2**64)))


@dataclass(frozen=True, eq=False)
class Strata:
    """Units by class: names of the classes, sorted; of: the number of each unit's class, int64 [n]."""

    names: tuple[Label, ...]
    of: NDArray[np.int64]

    @staticmethod
    def of_labels(labels: Sequence[Label]) -> Strata:
        names, of = np.unique(np.asarray(labels), return_inverse=True)
        return Strata(tuple(names.tolist()), of.reshape(-1))

    @property
    def sizes(self) -> list[int]:
        """Units of each class."""
        counted: list[int] = np.bincount(self.of, minlength=len(self.names)).tolist()
        return counted

    def counts(self, alpha: float) -> list[int]:
        """Units of each class in a subset: its share alpha, rounded so that all are floor(alpha * n), at least 1.

        The largest remainders are rounded up; what small classes get beyond their share, large ones give. InputError
        if there are more classes than units in a subset.
        """
        sizes, n = self.sizes, self.of.size
        total = subset_size(alpha, n)
        if total < len(sizes):
            raise InputError(
                f"a subset of {total} units (alpha = {alpha} of {n}) cannot hold one of each of {len(sizes)} strata: "
                f"raise alpha to at least {math.ceil(1000 * len(sizes) / n) / 1000:g}, or join strata"
            )
        share = Fraction(repr(float(alpha)))
        counts = [max(1, math.floor(share * size)) for size in sizes]
        step = 1 if sum(counts) < total else -1
        free = [c < size if step > 0 else c > 1 for c, size in zip(counts, sizes, strict=True)]
        heap = [(step * (counts[k] - share * sizes[k]), k) for k in range(len(sizes)) if free[k]]
        heapq.heapify(heap)
        for _ in range(abs(total - sum(counts))):
            apart, k = heapq.heappop(heap)
            counts[k] += step
            if counts[k] < sizes[k] if step > 0 else counts[k] > 1:
                heapq.heappush(heap, (apart + 1, k))
        return counts

    def possible(self, alpha: float) -> int:
        """How many subsets there are, up to some number far above what anybody trains."""
        found = 1
        for size, k in zip(self.sizes, self.counts(alpha), strict=True):
            found *= math.comb(size, min(k, size - k, 40))
            if found > 2**64:
                break
        return found

    def draw(self, raw: NDArray[np.uint64], counts: Sequence[int]) -> NDArray[np.bool_]:
        """Of each class the units with the smallest values, as many as `counts` says; ties go to the smaller index."""
        order = np.lexsort((raw, self.of))
        sizes = np.asarray(self.sizes)
        place = np.arange(raw.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        mask = np.zeros(raw.size, np.bool_)
        mask[order[place < np.repeat(counts, sizes)]] = True
        return mask


def checked_strata(strata: Any) -> tuple[Label, ...]:
    """The class of each unit as plain integers or texts; InputError for anything else."""
    found = np.asarray(strata)
    if found.ndim == 1 and found.dtype.hasobject:
        found = np.asarray(found.tolist())
    mixed = found.dtype.kind == "U" and not all(isinstance(label, str) for label in strata)
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iuU" or mixed:
        raise InputError("strata must be a list of integers or a list of texts, the class of each unit")
    return tuple(found.tolist())


def strata_json(strata: Sequence[Label]) -> dict[str, Any]:
    """Every class once, and its number for each unit."""
    found = Strata.of_labels(strata)
    return {"names": list(found.names), "units": found.of.tolist()}


def strata_from_json(data: Mapping[str, Any]) -> tuple[Label, ...]:
    names, units = list(data["names"]), data["units"]
    if not all(isinstance(k, int) and not isinstance(k, bool) and 0 <= k < len(names) for k in units):
        raise InputError("the strata of the design name classes that it does not have")
    return checked_strata([names[k] for k in units])


def checked_alphas(alpha: Any) -> float | tuple[float, ...]:
    """One alpha as it is, several as an ascending tuple; InputError unless all lie between 0 and 1 and differ."""
    values = list(alpha) if isinstance(alpha, (list, tuple, np.ndarray)) else [alpha]
    for value in values or [alpha]:
        if not (isinstance(value, (int, float)) and 0 < value < 1):
            raise InputError(f"alpha must be a number strictly between 0 and 1, or a list of such, got {value!r}")
    if len(set(values)) < len(values):
        raise InputError(f"every alpha of a list has the same chance, so none may be there twice: got {values}")
    return tuple(sorted(map(float, values))) if len(values) > 1 else values[0]


def checked_groups(groups: Sequence[int], n: int | None) -> tuple[int, ...]:
    """The unit of each example as plain ints; InputError unless they number `n` units, or any, without gaps."""
    ids = np.asarray(groups)
    if ids.ndim != 1 or ids.size == 0 or ids.dtype.kind not in "iu":
        raise InputError("groups must be a list of integers, the unit of each training example")
    present = np.unique(ids)
    if present[0] != 0 or present[-1] != present.size - 1:
        raise InputError(f"groups must be numbered 0, 1, 2, … without gaps; found {present[:8].tolist()}…")
    if n not in (None, present.size):
        raise InputError(f"groups name {present.size} units, but n = {n}")
    return tuple(ids.tolist())


def check_not_empty(alphas: Sequence[float], n: int, by_unit: bool) -> None:
    """Refuse subsets of which all, or of units that are drawn one by one most, hold nothing. alphas: ascending."""
    lowest, highest = alphas[0], alphas[-1]
    if not by_unit and subset_size(lowest, n) < 1:
        raise InputError(
            f"alpha * n = {lowest} * {n} < 1: every subset would be empty; raise alpha to at least {1 / n:.3g}"
        )
    # With several alphas the lowest may leave many subsets empty: a Shapley value wants them.
    empty = (1 - highest) ** n
    if by_unit and empty > MOSTLY:
        raise InputError(
            f"alpha = {highest} of {n} units leaves {empty:.0%} of the subsets empty; raise alpha to at least "
            f"{1 - MOSTLY ** (1 / n):.2g}"
        )
