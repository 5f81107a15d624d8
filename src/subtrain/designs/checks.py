"""What the numbers of a design may be, and whether there are as many different subsets as it asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from subtrain.designs.kind_choice import AUTO, FIXED
from subtrain.designs.model_rows import ANCHOR, whole
from subtrain.designs.orthogonal import CYCLOTOMIC, ORTHOGONAL, PAIR, PALEY, check_count, check_orthogonal
from subtrain.designs.samplers import check_not_empty, subset_size
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.designs.drawn import Design

BERNOULLI, STRATIFIED = "bernoulli", "stratified"
KINDS = FIXED, BERNOULLI, STRATIFIED, PALEY, CYCLOTOMIC
MAX_MODELS = 2**40


def check_design(design: Design) -> None:
    """InputError for a number that is out of range, or for fewer different subsets than are asked for."""
    if design.kind not in (AUTO, *KINDS):
        raise InputError(f"unknown kind of design {design.kind!r}; choose from {', '.join((AUTO, *KINDS))}")
    given = [name for name in ("n", "validation", "anchors") if getattr(design, name) is not None]
    for name in ("heldout", "seed", "replicates", *given):
        object.__setattr__(design, name, whole(name, getattr(design, name)))
    if design.kind in ORTHOGONAL:
        check_orthogonal(design.kind, design.alpha, design.n)
    if design.shared_seeds == PAIR and design.kind != PALEY and not (design.kind == AUTO and design.alpha == 0.5):
        raise InputError(f'seeds="{PAIR}" is for pairs of masks and their complements, which kind="{PALEY}" has')
    if design.models < 1:
        raise InputError("a design needs at least one model")
    if design.replicates < 1:
        raise InputError(f"replicates must be 1 or more, got {design.replicates}")
    if design.seed >= 2**64:
        raise InputError("seed must be below 2**64")
    if design.rows > MAX_MODELS:
        raise InputError(f"{design.rows} models are too many: the limit is 2**40")
    if design.n is not None:
        _check_units(design, design.n)
        check_count(design.shared_seeds, design.sharing)


def _check_units(design: Design, n: int) -> None:
    if n < 2:
        raise InputError(f"a design needs at least 2 units to choose from, got n = {n}")
    sizes = [subset_size(alpha, n) for alpha in design.alpha_list]
    check_not_empty(design.alpha_list, n, by_unit=design.kind == BERNOULLI)
    # All anchors on every unit share one subset.
    subsets = sum(block.subsets for block in design.blocks if block.role != ANCHOR)
    possible = _possible(design, n, sizes)
    if subsets > possible:
        raise InputError(
            f"{subsets} subsets were asked for, but only {possible} different {design.kind} subsets "
            f"of {n} units exist at alpha = {design.alpha}"
        )


def _possible(design: Design, n: int, sizes: Sequence[int]) -> int:
    """How many subsets there are, or some number above all that a study may have."""
    if design.kind == BERNOULLI or design.kind in ORTHOGONAL:
        return 1 << min(n, 64)
    if design.strata is not None:
        return sum(map(design.classes.possible, design.alpha_list))
    # From 40 of 80 units on there are more subsets than MAX_MODELS; the full coefficient would take seconds.
    return sum(math.comb(n, min(k, n - k, 40)) for k in sizes)
