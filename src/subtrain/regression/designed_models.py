"""A study's models as its design lets them be compared: shared seeds taken out, pairs turned into differences.

This is the one step between reading models and counting them. It streams, and what it does to the models of one set
depends on that set alone, so that counts stay additive over sets, machines and extensions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.orthogonal import SetLayout
from subtrain.masks import Masks
from subtrain.regression.row_noise import LEAST_FREEDOM, ORTHOGONAL, RowNoise
from subtrain.regression.shared_seeds import SeedEffects, effects_of_pairs, effects_of_rows
from subtrain.regression.study_models import Models
from subtrain.regression.validated_noise import noise_share
from subtrain.system.types import Floats

# Share of rows that are pairs from which on a few single models make no difference.
NEARLY_ALL = 0.9
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Adjustment:
    """What is done to the outputs of each row that is fitted, arrays of [k] in the order of `first`.

    first: number of the model whose mask the row has, ascending; second: of the model on its complement, -1 where the
    row is one model; sets: place of the row's set; seeds, partner_seeds: places of their seeds among `effects`, -1 for
    none; effects: float64 [seeds, T]; level: float64 [sets, T], the mean of a set's pairs, which is added to their
    differences; shares: part of the outputs' variance that the seeds of each set were; marks: a digest of each set;
    stretch: float64 [sets], what makes up for effects of units that went into those of seeds, about the level;
    noise: float64 [T], variance of half the sums of pairs beyond their seeds, None without pairs; freedom: of noise.
    """

    first: Ints
    second: Ints
    sets: Ints
    seeds: Ints
    partner_seeds: Ints
    effects: Floats
    level: Floats
    shares: tuple[float, ...]
    marks: tuple[str, ...]
    stretch: Floats
    noise: Floats | None = None
    freedom: int = 0

    def apply(self, models: Models, rows: Ints) -> Floats:
        """Outputs [k, T] of these rows; models that are not among `first` keep theirs."""
        outputs = models.outputs_of(rows).astype(np.float64)
        at = np.searchsorted(self.first, rows)
        known = at < self.first.size
        known[known] = self.first[at[known]] == rows[known]
        self._less_seeds(outputs, np.where(known, self.seeds[np.minimum(at, self.first.size - 1)], -1))
        paired = known.copy()
        paired[known] = self.second[at[known]] >= 0
        if paired.any():
            here = at[paired]
            others = models.outputs_of(self.second[here]).astype(np.float64)
            self._less_seeds(others, self.partner_seeds[here])
            outputs[paired] = (outputs[paired] - others) / 2 + self.level[self.sets[here]]
        some = known.copy()
        some[known] = self.stretch[self.sets[at[known]]] != 1.0
        if some.any():
            of = self.sets[at[some]]
            outputs[some] = self.level[of] + self.stretch[of][:, None] * (outputs[some] - self.level[of])
        return outputs

    def _less_seeds(self, outputs: Floats, seeds: Ints) -> None:
        shared = seeds >= 0
        outputs[shared] -= self.effects[seeds[shared]]

    @property
    def pairs(self) -> int:
        """Rows that are differences of a pair."""
        return int(np.count_nonzero(self.second >= 0))


@dataclass(frozen=True, eq=False)
class DesignedModels(Models):
    """Models of a study whose rows are pairs where both halves are there, and single models elsewhere."""

    adjustment: Adjustment | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float64)

    def read(self, rows: Ints) -> tuple[Masks, NDArray[Any]]:
        assert self.adjustment is not None
        return self.study.masks(rows), self.adjustment.apply(self, rows)

    @property
    def validation_joins(self) -> bool:
        """Not single models beside pairs, whose differences have neither even effects nor so much noise."""
        assert self.adjustment is not None
        return self.validation is None or 2 * self.adjustment.pairs < self.adjustment.first.size

    def models_in(self, rows: Ints) -> Ints:
        assert self.adjustment is not None
        second = self.adjustment.second[np.isin(self.adjustment.first, rows)]
        return np.union1d(rows, second[second >= 0])

    def row_noise(self, rows: Ints) -> RowNoise:
        assert self.adjustment is not None
        made, crosstalk = self.adjustment, self.study.design.crosstalk(rows)
        if made.noise is None:
            return RowNoise(crosstalk)
        paired = float(np.isin(rows, made.first[made.second >= 0]).mean())
        # A row that is one model has twice the noise of half a sum, or less.
        noise = made.noise * (2.0 - paired)
        if paired > NEARLY_ALL and crosstalk <= ORTHOGONAL and rows.size <= self.study.n + LEAST_FREEDOM:
            noise = noise * noise_share(self, rows, noise)
        return RowNoise(crosstalk, noise, made.freedom)

    def marks(self, rows: Ints) -> list[str]:
        assert self.adjustment is not None
        some = np.unique(self.adjustment.sets[np.isin(self.adjustment.first, rows)])
        return [self.adjustment.marks[k] for k in some.tolist()]

    def said(self, rows: Ints) -> str:
        assert self.adjustment is not None
        pairs = int(np.count_nonzero(self.adjustment.second[np.isin(self.adjustment.first, rows)] >= 0))
        if not pairs:
            return ""
        single = f" and {rows.size - pairs:,} single models" if rows.size > pairs else ""
        return f"{pairs:,} pairs of {2 * pairs:,} models{single}"

    def about(self) -> dict[str, Any]:
        assert self.adjustment is not None
        made = self.adjustment
        share = float(np.mean(made.shares)) if made.shares else 0.0
        single = int(made.first.size - made.pairs)
        return {"pairs": made.pairs, "single": single, "seeds": len(made.effects), "seed_share": round(share, 4)}


def shared_layout(models: Models) -> SetLayout | None:
    """The layout of these models where some of them share a seed, or a pair."""
    layout = models.study.design.layout(models.rows)
    if layout is None or not models.rows.size or (layout.pairs is None and layout.seeds is None):
        return None
    return layout


def as_designed(models: Models, pairs: bool = True) -> Models:
    """These models as their design lets them be compared; the same where each was drawn by itself.

    pairs: whether two halves of a pair become one row; without, only the effects of shared seeds are taken out.
    """
    rows, layout = models.rows, shared_layout(models)
    if layout is None:
        return models
    numbers, where = np.unique(layout.sets, return_inverse=True)
    found = [_of_set(models, rows[where == k], layout[where == k], pairs) for k in range(numbers.size)]
    adjustment = _joined(found)
    values = {name: getattr(models, name) for name in Models.__dataclass_fields__}
    return DesignedModels(**{**values, "rows": adjustment.first}, adjustment=adjustment)


@dataclass(frozen=True, eq=False)
class _Set:
    first: Ints
    second: Ints
    seeds: Ints
    partner_seeds: Ints
    effects: SeedEffects
    noise: Floats | None = None
    freedom: int = 0
    stretch: float = 1.0


def _of_set(models: Models, rows: Ints, layout: SetLayout, as_pairs: bool) -> _Set:
    """What is done to the models of one set.

    1. Two halves of a pair are one row, unless most models of the set have no partner. 2. Effects of seeds come from
    sums of pairs, which hold no main effect of a unit, or else from the means of each seed's models.
    """
    # 1. Pairs.
    first, second = _pairs(rows, layout)
    paired = second >= 0
    if 4 * np.count_nonzero(paired) < rows.size:
        first, second = rows, _none_of(rows)
        paired = second >= 0
    # 2. Effects of seeds.
    seeds = layout.seeds
    if seeds is None:
        level = effects_of_pairs(models, first[paired], second[paired], None) if paired.any() else _no_effects(models)
        if not as_pairs:
            first, second = rows, _none_of(rows)
        none = _none_of(first)
        noise = None if layout.same_seed else level.noise
        return _Set(first, second, none, none, level, noise, level.freedom)
    numbers, places = np.unique(seeds, return_inverse=True)
    one = places[np.searchsorted(rows, first)]
    other = np.where(paired, places[np.searchsorted(rows, second)], -1)
    if np.count_nonzero(paired) > 2 * numbers.size:
        told, stretch = (one[paired], other[paired], numbers.size), 1.0
        effects = halves = effects_of_pairs(models, first[paired], second[paired], told)
    else:
        effects, halves = effects_of_rows(models, rows, places, numbers.size), _no_effects(models)
        # The mean of a seed's models holds effects of units too: so much of them goes with the seeds.
        stretch = 1 / (1 - effects.taken)
        if paired.any():
            halves = effects_of_pairs(models, first[paired], second[paired], None)
            effects = replace(effects, level=halves.level)
    if not as_pairs:
        first, second, one, other = rows, _none_of(rows), places, _none_of(rows)
    return _Set(first, second, one, other, effects, halves.noise, halves.freedom, stretch)


def _none_of(rows: Ints) -> Ints:
    """-1 for each row: no partner, or no seed that is shared."""
    return np.full(rows.size, -1)


def _no_effects(models: Models) -> SeedEffects:
    return SeedEffects(np.zeros((0, models.targets)), np.zeros(models.targets), 0.0)


def _pairs(rows: Ints, layout: SetLayout) -> tuple[Ints, Ints]:
    """The first model of each pair, ascending, and the second, -1 where it is not there."""
    if layout.pairs is None:
        return rows, _none_of(rows)
    _, first, counts = np.unique(layout.pairs, return_index=True, return_counts=True)
    last = rows.size - 1 - np.unique(layout.pairs[::-1], return_index=True)[1]
    second = np.where(counts == 2, rows[last], -1)
    order = np.argsort(rows[first])
    return rows[first][order], second[order]


def _joined(sets: list[_Set]) -> Adjustment:
    sizes = [len(one.effects.values) for one in sets]
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    shifted = [
        tuple(np.where(some >= 0, some + start, -1) for some in (one.seeds, one.partner_seeds))
        for one, start in zip(sets, before.tolist(), strict=True)
    ]
    first = np.concatenate([one.first for one in sets])
    order = np.argsort(first)
    return Adjustment(
        first=first[order],
        second=np.concatenate([one.second for one in sets])[order],
        sets=np.repeat(np.arange(len(sets)), [one.first.size for one in sets])[order],
        seeds=np.concatenate([one for one, _ in shifted])[order],
        partner_seeds=np.concatenate([other for _, other in shifted])[order],
        effects=np.concatenate([one.effects.values for one in sets]),
        level=np.stack([one.effects.level for one in sets]),
        shares=tuple(one.effects.share for one in sets),
        marks=tuple(_mark(one) for one in sets),
        stretch=np.array([one.stretch for one in sets]),
        noise=_pooled([one for one in sets if one.noise is not None]),
        freedom=sum(one.freedom for one in sets if one.noise is not None),
    )


def _pooled(sets: list[_Set]) -> Floats | None:
    """The noise of half-sums over all sets."""
    if not sets:
        return None
    noise: Floats = np.average([one.noise for one in sets], axis=0, weights=[one.freedom for one in sets])
    return noise


def _mark(one: _Set) -> str:
    effects = one.effects
    arrays = one.first, one.second, one.seeds, one.partner_seeds, effects.values, effects.level, np.array(one.stretch)
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]
