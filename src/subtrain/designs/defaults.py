"""What most kinds of design answer alike; a new kind inherits it and says what differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.store.protocol import Store

if TYPE_CHECKING:
    from subtrain.designs.drawn import Design
    from subtrain.designs.model_rows import Rows
    from subtrain.designs.orthogonal import SetLayout


class DesignDefaults:
    """The answers of a design whose models are trained here, and may be more later."""

    trained_elsewhere = False
    can_extend = True
    may_repeat = False
    # Fields that were not given, and have another default in other versions: a study that is there has its own.
    left_open: frozenset[str] = frozenset()
    unfilled: tuple[tuple[int, int], ...] = ()
    groups: tuple[int, ...] | None
    alpha: Any
    n: Any

    @property
    def drawn(self) -> Design | None:
        """This design as draws of a known distribution; None where nothing here knows its law."""
        return None

    @property
    def orthogonal(self) -> bool:
        """Whether no model to fit on tells anything that the others could predict, so that none may choose lambda."""
        return False

    @property
    def kind_reason(self) -> str | None:
        """One sentence: its kind, why it is of that kind, and what a set of its models is; None where nobody chose."""
        return None

    def layout(self, rows: Rows) -> SetLayout | None:
        """The set, pair and shared seed of these models to fit on; None where models have nothing in common."""
        return None

    def crosstalk(self, rows: Rows) -> float:
        """Mean squared correlation of two units over these models' masks, over that of as many random masks."""
        return 1.0

    @property
    def wants_strata(self) -> bool:
        """Whether it lacks the class of each unit, which `with_strata` gives it."""
        return False

    @property
    def percent(self) -> str:
        """Alpha in percent, as the names of exported files have it."""
        return "-".join(f"{alpha * 100:g}" for alpha in np.atleast_1d(self.alpha))

    @property
    def files(self) -> Mapping[str, tuple[Path, str | None]]:
        """Files outside the store that it reads, each with its sha256 if that is known."""
        return {}

    def for_units(self, n: int) -> Self:
        """This design over n units; InputError where it is over another number of them."""
        if self.n != n:
            raise InputError(f"the design is over {self.n} units, but the task has {n}")
        return self

    def with_strata(self, labels: tuple[int | str, ...]) -> Self:
        """This design with the class of each unit, for a kind that `wants_strata`."""
        raise InputError(f"{type(self).__name__} has no strata")

    def examples(self, masks: Masks) -> NDArray[np.bool_]:
        """Which training examples each mask holds, bool [m, N]: its units, or all members of its groups."""
        units = masks.unpack()
        return units if self.groups is None else units[:, np.asarray(self.groups)]

    def save(self, store: Store) -> None:
        """Put what study.json does not hold into the store of a new study."""
