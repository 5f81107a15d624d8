"""Designs: which units each model is trained on, as a pure function of (design, model number).

Mask i depends only on the design's seed and on i, so any slice of it can be made again at any time, on any machine
and in any order; nothing but the few numbers of the design is ever stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import concat
from subtrain.designs.anchors import anchor_alpha, usual_anchors
from subtrain.designs.checks import BERNOULLI, STRATIFIED, check_design
from subtrain.designs.defaults import DesignDefaults
from subtrain.designs.kind_choice import AUTO, automatic_kind, explained, whole_sizes
from subtrain.designs.model_rows import (
    ANCHOR,
    EVALUATION,
    FIT,
    ROLES,
    VALIDATION,
    Block,
    Rows,
    blocks_of,
    numbers_among,
    row_numbers,
    subsets_and_replicates,
    whole,
)
from subtrain.designs.orthogonal import (
    ORTHOGONAL,
    OrthogonalSets,
    Seeds,
    SetLayout,
    SharedSeeds,
    checked_seeds,
    crosstalk_of,
    layout_of,
    shared_seed,
    sharing_of,
)
from subtrain.designs.samplers import (
    Label,
    Strata,
    bernoulli,
    checked_alphas,
    checked_groups,
    checked_strata,
    fixed_size,
    raw_bits,
    shapley_alphas,
    strata_from_json,
    strata_json,
    training_seeds,
)
from subtrain.errors import InputError
from subtrain.masks import Masks, pack, row_bytes
from subtrain.store.protocol import Store

# Fields that designs of 0.1.0 lack.
ADDED = "validation", "shared_seeds", "anchors"
_CHUNK, _CHUNK_BYTES = 1024, 128 << 20
# The Philox stream that draws a subset's alpha: far from those of masks (0) and of training seeds (1, 2, …).
_ALPHA_STREAM = 2**63


@dataclass(frozen=True, init=False)
class Design(DesignDefaults):
    """A rule that gives each model its mask and its training seed (paper, section 2: subsets S' of size alpha * n).

    Args:
        alpha: share of the units in each subset, 0 < alpha < 1; default 0.5. Of several, each subset's is drawn with
            equal chances, as average marginal effects need it (Lin et al. 2022, section 3).
        models: distinct subsets to fit datamodels on, one model each; default 1000.
        seed: whole number below 2**64; everything random about the design follows from it; default 0.
        kind: "auto" (default): "paley" where alpha is 0.5 and there are 100 units or more, else "fixed". "paley": sets
            of q masks that confound no two units, q a prime just above n, and their complements (fold-over).
            "cyclotomic": nearly the same at other alphas, without complements. "fixed": exactly floor(alpha * n) units
            at random. "bernoulli": each unit by itself with probability alpha. "stratified": fixed, with every class at
            its share, alpha of its units, rounded, at least one.
        heldout: further subsets, for evaluation alone; by default a twentieth of `models`, within 20..300.
        replicates: models on each held-out subset, with other training seeds; two or more, the default, give a noise
            ceiling.
        seeds: training seeds of the models to fit on. How many a set of them shares, "pair" (a mask and its complement
            share one of their own), or "model" (each model has its own). Default None: for a paley or cyclotomic
            design 10, or more from 2,000 units on; else "model". Held-out models always have their own.
        validation: further random subsets with seeds of their own, one model each, which choose lambda: rows of a paley
            or cyclotomic design cannot. Default None: for such a design of 20 models or more a twentieth of `models`,
            within 20..100; else 0, where a tenth of the models to fit on choose.
        anchors: further models, each with a seed of its own, that tell the level of outputs: on all units, and on
            random subsets half and four fifths of the way from alpha to 1, in turn. Default None: 24, or a tenth of
            `models` below 240; 0 below 100, and for several alphas.
        n: number of units; by default the task's.
        groups: integers [N], the unit of each example, when units are groups (classes, writers, sources) of examples.
        extensions: what `extend` has added.
        strata: integers or texts [n], the class of each unit of a stratified design; by default the task's labels.

    Raises:
        InputError: a number is out of range, or there are fewer different subsets than are asked for.

    Example:
        >>> Design(alpha=0.5, models=3, n=8, heldout=0).masks([0, 2]).unpack().sum(axis=1)
        array([4, 4])
    """

    alpha: float | tuple[float, ...] = 0.5
    models: int = 1000
    seed: int = 0
    kind: str = AUTO
    heldout: int | None = None
    replicates: int = 2
    n: int | None = None
    groups: tuple[int, ...] | None = field(default=None, repr=False)
    extensions: tuple[tuple[str, int, int], ...] = ()
    strata: tuple[Label, ...] | None = field(default=None, repr=False)
    validation: int | None = None
    shared_seeds: Seeds = None
    anchors: int | None = None

    @classmethod
    def for_shapley(cls, alphas: int = 5, **given: Any) -> Design:
        """A design of so many alphas for `shapley`, exact for interactions of up to twice as many units.

        given: the other fields; kind is "bernoulli" unless it is among them.
        """
        return cls(**{"alpha": shapley_alphas(alphas), "kind": BERNOULLI, **given})

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.5,
        models: int = 1000,
        seed: int = 0,
        kind: str = AUTO,
        heldout: int | None = None,
        replicates: int = 2,
        n: int | None = None,
        groups: Sequence[int] | None = None,
        extensions: Sequence[tuple[str, int, int]] = (),
        strata: Sequence[Label] | None = None,
        validation: int | None = None,
        seeds: Seeds = None,
        shared_seeds: Seeds = None,
        anchors: int | None = None,
    ) -> None:
        """`seeds` is kept as shared_seeds, for `seeds(rows)` are the training seeds of models."""
        given = {name: value for name, value in locals().items() if name not in ("self", "seeds")}
        if seeds is not None and shared_seeds is not None:
            raise InputError("seeds and shared_seeds are one thing: give seeds")
        given["shared_seeds"] = checked_seeds(shared_seeds if seeds is None else seeds)
        for name, value in given.items():
            object.__setattr__(self, name, value)
        unsaid = [name for name in ADDED if given[name] is None] + (["kind"] if kind == AUTO else [])
        object.__setattr__(self, "left_open", frozenset(unsaid))
        self._settle()

    def _settle(self) -> None:
        """Fill in what was not given, and check what was."""
        object.__setattr__(self, "models", whole("models", self.models))
        if self.groups is not None:
            groups = checked_groups(self.groups, self.n)
            object.__setattr__(self, "groups", groups)
            object.__setattr__(self, "n", max(groups) + 1)
        if self.strata is not None:
            self._adopt_strata(self.strata)
        if self.heldout is None:
            object.__setattr__(self, "heldout", min(300, max(20, self.models // 20)))
        object.__setattr__(self, "extensions", tuple(_extension(*entry) for entry in self.extensions))
        object.__setattr__(self, "alpha", checked_alphas(self.alpha))
        if self.kind == AUTO and self.n is not None:
            object.__setattr__(self, "kind", automatic_kind(self.alpha, self.n))
        if self.validation is None and self.kind != AUTO:
            few = min(100, max(20, self.models // 20)) if self.kind in ORTHOGONAL and self.models >= 20 else 0
            object.__setattr__(self, "validation", few)
        if self.anchors is None and self.n is not None:
            object.__setattr__(self, "anchors", usual_anchors(self.models, self.alpha))
        check_design(self)

    def _adopt_strata(self, strata: Sequence[Label]) -> None:
        if self.kind == BERNOULLI:
            raise InputError(f"strata are for kind={STRATIFIED!r}: a {BERNOULLI} design draws each unit by itself")
        labels = checked_strata(strata)
        if self.n not in (None, len(labels)):
            raise InputError(f"strata name the class of {len(labels)} units, but there are {self.n}")
        for name, value in (("kind", STRATIFIED), ("strata", labels), ("n", len(labels))):
            object.__setattr__(self, name, value)

    @cached_property
    def classes(self) -> Strata:
        """The units of each class; InputError for a stratified design that has none yet."""
        if self.strata is None:
            raise InputError(f"this {STRATIFIED} design has no strata yet: give strata, the class of each unit")
        return Strata.of_labels(self.strata)

    @property
    def alpha_list(self) -> tuple[float, ...]:
        """Every alpha that a subset may have, ascending."""
        return self.alpha if isinstance(self.alpha, tuple) else (self.alpha,)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The runs of models with one role, in row order; every extension adds at the end."""
        plan = [
            (FIT, self.models, 1),
            (EVALUATION, self.heldout or 0, self.replicates),
            (VALIDATION, self.validation or 0, 1),
            (ANCHOR, self.anchors or 0, 1),
            *self.extensions,
        ]
        return blocks_of(plan)

    @property
    def rows(self) -> int:
        """Models in all, replicates and held-out ones included."""
        return self.blocks[-1].last_row

    @property
    def drawn(self) -> Design:
        """This design: its law is known."""
        return self

    @property
    def wants_strata(self) -> bool:
        """Whether it is stratified, and lacks the class of each unit."""
        return self.kind == STRATIFIED and self.strata is None

    def for_units(self, n: int) -> Design:
        """This design over n units; n must agree if the design already has one."""
        return replace(self, n=n) if self.n is None else super().for_units(n)

    def with_strata(self, labels: tuple[Label, ...]) -> Design:
        """This design with the class of each unit."""
        return replace(self, strata=labels)

    def extend(
        self,
        models: int = 0,
        heldout: int = 0,
        replicates: int | None = None,
        validation: int = 0,
        anchors: int = 0,
    ) -> Design:
        """The same design with more models at the end; rows that exist keep their numbers, masks and seeds."""
        judged = self.replicates if replicates is None else replicates
        new = [(FIT, models, 1), (EVALUATION, heldout, judged), (VALIDATION, validation, 1), (ANCHOR, anchors, 1)]
        added = tuple(entry for entry in new if entry[1])
        if not added and replicates is not None:
            raise InputError("replicates are of held-out subsets to add: give heldout, too (--heldout)")
        if not added:
            raise InputError("nothing to add: give more models, held-out subsets, validation models or anchors")
        return replace(self, extensions=self.extensions + added)

    def role_rows(self, role: str) -> NDArray[np.int64]:
        """Row numbers with this role ("fit", "validation", "evaluation" or "anchor"), ascending."""
        return concat([np.arange(b.first_row, b.last_row) for b in self.blocks if b.role == role])

    def subsets(self, rows: Rows | None = None) -> NDArray[np.int64]:
        """The subset number of each row, int64; replicates share one."""
        return self._locate(rows)[0]

    def _locate(self, rows: Rows | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return subsets_and_replicates(self.blocks, row_numbers(rows, self.rows))

    def masks(self, rows: Rows | None = None) -> Masks:
        """Packed masks of these rows (all by default): row i is a pure function of (design, i)."""
        if self.n is None:
            raise InputError("this design has no n yet: give n, or bind it to a task's units with for_units(n)")
        subsets, numbers, alphas = self.subsets(rows), self.fit_numbers(rows), self.alphas(rows)
        out = np.zeros((subsets.size, row_bytes(self.n)), np.uint8)
        stratified = self.kind == STRATIFIED
        counts = {alpha: self.classes.counts(alpha) for alpha in np.unique(alphas).tolist()} if stratified else {}
        chunk = max(1, min(_CHUNK, _CHUNK_BYTES // self.n))
        for start in range(0, subsets.size, chunk):
            some = slice(start, start + chunk)
            each = zip(subsets[some].tolist(), numbers[some].tolist(), alphas[some].tolist(), strict=True)
            out[some] = pack(np.stack([self._mask(*one, counts) for one in each])).data
        return Masks(out, self.n)

    def fit_numbers(self, rows: Rows | None = None) -> NDArray[np.int64]:
        """The number of each row among the models to fit on, 0, 1, …; -1 for others."""
        return numbers_among(self.blocks, FIT, row_numbers(rows, self.rows))

    @cached_property
    def sets(self) -> OrthogonalSets | None:
        """The orthogonal sets of its masks; None for a design that draws every mask by itself."""
        if self.kind not in ORTHOGONAL or self.n is None or not isinstance(self.alpha, float):
            return None
        return OrthogonalSets(self.n, self.seed, self.kind, self.alpha)

    @cached_property
    def sharing(self) -> SharedSeeds | None:
        """Which models to fit on share a seed; None where each has its own."""
        return None if self.n is None else sharing_of(self.shared_seeds, self.n, self.sets)

    @property
    def orthogonal(self) -> bool:
        return self.kind in ORTHOGONAL

    @property
    def kind_reason(self) -> str | None:
        return None if self.n is None else explained(self.kind, self.alpha, self.n, self.sets, self.sharing)

    @property
    def suitable_sizes(self) -> tuple[int, ...]:
        """The numbers of models nearest to `models` that make whole sets; () where `models` does, or it has no sets."""
        return whole_sizes(self.models, self.sets)

    def layout(self, rows: Rows) -> SetLayout | None:
        return layout_of(self.fit_numbers(rows), self.sets, self.sharing)

    def crosstalk(self, rows: Rows) -> float:
        return crosstalk_of(self.fit_numbers(rows), self.sets)

    def _mask(self, subset: int, number: int, alpha: float, counts: Mapping[float, Sequence[int]]) -> NDArray[np.bool_]:
        if number >= 0 and self.sets is not None:
            return self.sets.mask(number)
        assert self.n is not None
        raw = raw_bits(self.seed, subset, self.n)
        if self.kind == STRATIFIED:
            return self.classes.draw(raw, counts[alpha])
        # An anchor has its size exactly, of every kind.
        by_unit = self.kind == BERNOULLI and alpha in self.alpha_list
        return bernoulli(raw, alpha) if by_unit else fixed_size(raw, alpha)

    def alphas(self, rows: Rows | None = None) -> NDArray[np.float64]:
        """The alpha of each of these rows, float64: a function of its subset, so replicates share one."""
        index = row_numbers(rows, self.rows)
        found = np.array([self._alpha_of(s) for s in self.subsets(index).tolist()], np.float64)
        anchors = numbers_among(self.blocks, ANCHOR, index)
        for at in np.flatnonzero(anchors >= 0).tolist():
            assert self.n is not None
            found[at] = anchor_alpha(int(anchors[at]), self.alpha, self.n)
        return found

    def _alpha_of(self, subset: int) -> float:
        some = self.alpha_list
        if len(some) == 1:
            return some[0]
        return some[int(raw_bits(self.seed, subset, 1, _ALPHA_STREAM)[0]) * len(some) >> 64]

    def seeds(self, rows: Rows | None = None) -> NDArray[np.uint32]:
        """Training seeds of these rows, uint32: a function of subset and replicate, or shared as `seeds` says."""
        if self.n is None and (self.kind == AUTO or self.shared_seeds is not None):
            raise InputError("this design has no n yet: give n, or bind it to a task's units with for_units(n)")
        index = row_numbers(rows, self.rows)
        numbers = self.fit_numbers(index) if self.sharing else np.full(index.size, -1)
        fresh, found = numbers < 0, np.zeros(index.size, np.uint32)
        found[fresh] = training_seeds(self.seed, *self._locate(index[fresh]))
        if self.sharing:
            found[~fresh] = shared_seed(self.seed, self.sharing.numbers(numbers[~fresh]))
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings that `from_json` turns back into this design."""
        # What 0.1.0 did not have is left out where it is as it was there: the study keeps its identity.
        empty = {name for name in ADDED if not getattr(self, name)}
        unsaid = {"strata"} | (empty & {"anchors"} if self.kind in ORTHOGONAL else empty)
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in unsaid}
        return plain if self.strata is None else plain | {"strata": strata_json(self.strata)}

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], store: Store) -> Design:
        """The design that study.json holds."""
        return Design.from_json(manifest["design"])

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Design:
        known = {f.name for f in fields(Design)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise InputError(f"a design has no field named {', '.join(unknown)}")
        if data.get("strata") is not None:
            data = {**data, "strata": strata_from_json(data["strata"])}
        return Design(**{"anchors": 0, **data})


def _extension(role: str, subsets: int, replicates: int) -> tuple[str, int, int]:
    if role not in ROLES:
        raise InputError(f"an extension adds models with one of the roles {', '.join(ROLES)}, not {role!r}")
    names = {FIT: "models", VALIDATION: "validation models", EVALUATION: "heldout subsets", ANCHOR: "anchors"}
    return role, whole(f"{names[role]} to add", subsets, 1), whole("replicates", replicates, 1)
