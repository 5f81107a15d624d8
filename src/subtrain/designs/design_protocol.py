"""What every kind of design offers, whoever made its masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.drawn import Design
from subtrain.designs.model_rows import Block, Rows, Span
from subtrain.designs.orthogonal import SetLayout
from subtrain.masks import Masks
from subtrain.store.protocol import Store


class AnyDesign(Protocol):
    """Masks and training seeds by model number.

    A design is a value: nothing in it changes after it was made. Row i is a pure function of the design and of i, for
    every process and machine and in any order, because workers draw only the rows that they train, and a segment that
    is trained twice must be the same twice. An extension adds rows at the end, and leaves those that exist as they are.
    `to_json` holds plain values, one of them `kind`, the name in `DESIGNS`; what is too large for study.json `save`
    puts into the store, once, before study.json is committed. `from_manifest` gives an equal design back, or raises
    CorruptError or InputError. Rows out of range raise InputError.

    Attributes:
        kind: the name in `DESIGNS`.
        alpha: share of the units in a subset; several where subsets differ in it.
        n: units; None until `for_units` has bound it to a task.
        groups: the unit of each training example; None where units are examples.
        rows: models in all.
        replicates: models on each subset that is held out.
        trained_elsewhere: its models exist already: there is nothing to collect.
        can_extend: it can have more rows.
        may_repeat: two of its subsets may be the same for another reason than chance.
        kind_reason: one sentence on why it is of its kind; None where nobody chose.
        orthogonal: no model to fit on tells anything that the others could predict, so that none may choose lambda.
        unfilled: rows of a design whose models were trained elsewhere that nobody ever filled.
        wants_strata: it lacks the class of each unit, which `with_strata` gives it.
    """

    @property
    def kind(self) -> str: ...

    @property
    def alpha(self) -> float | tuple[float, ...]: ...

    @property
    def n(self) -> int | None: ...

    @property
    def groups(self) -> tuple[int, ...] | None: ...

    @property
    def rows(self) -> int: ...

    @property
    def replicates(self) -> int: ...

    @property
    def trained_elsewhere(self) -> bool: ...

    @property
    def can_extend(self) -> bool: ...

    @property
    def may_repeat(self) -> bool: ...

    @property
    def left_open(self) -> frozenset[str]: ...

    @property
    def orthogonal(self) -> bool: ...

    @property
    def kind_reason(self) -> str | None: ...

    @property
    def unfilled(self) -> tuple[Span, ...]: ...

    @property
    def wants_strata(self) -> bool: ...

    @property
    def drawn(self) -> Design | None:
        """This design as draws of a known distribution, for what follows from its law; None where there is none."""
        ...

    @property
    def percent(self) -> str:
        """Alpha in percent, as the names of exported files have it."""
        ...

    @property
    def files(self) -> Mapping[str, tuple[Path, str | None]]:
        """Files outside the store that it reads, each with its sha256 if that is known."""
        ...

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The runs of models with one role, in row order."""
        ...

    def layout(self, rows: Rows) -> SetLayout | None:
        """The set, pair and shared seed of these models to fit on; None where models have nothing in common."""
        ...

    def crosstalk(self, rows: Rows) -> float:
        """Mean squared correlation of two units over these models' masks, over that of as many random masks."""
        ...

    def role_rows(self, role: str) -> NDArray[np.int64]:
        """Row numbers with this role ("fit", "validation", "evaluation" or "anchor"), ascending."""
        ...

    def subsets(self, rows: Rows | None = None) -> NDArray[np.int64]:
        """The subset number of each row, int64; models on one subset share it."""
        ...

    def masks(self, rows: Rows | None = None) -> Masks:
        """Packed masks of these rows, by default of all."""
        ...

    def alphas(self, rows: Rows | None = None) -> NDArray[np.float64]:
        """The alpha of each row; InputError where it is not known."""
        ...

    def seeds(self, rows: Rows | None = None) -> NDArray[np.uint32]:
        """The training seed of each row; InputError for a design whose models were trained elsewhere."""
        ...

    def examples(self, masks: Masks) -> NDArray[np.bool_]:
        """Which training examples each mask holds, bool [m, N]."""
        ...

    def for_units(self, n: int) -> Self:
        """This design over n units; InputError where it is over another number of them."""
        ...

    def with_strata(self, labels: tuple[int | str, ...]) -> Self:
        """This design with the class of each unit."""
        ...

    def extend(
        self, models: int = 0, heldout: int = 0, replicates: int | None = None, validation: int = 0, anchors: int = 0
    ) -> Self:
        """The same design with more rows at the end; InputError where `can_extend` is False."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, texts and lists for study.json; what comes with extensions is not among them."""
        ...

    def save(self, store: Store) -> None:
        """Put what study.json does not hold into the store of a new study; may be called twice."""
        ...

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], store: Store) -> Self:
        """The design of the study in this store, whose study.json this is, without its extensions."""
        ...
