"""`Quantity`: what one number of an output measures, and all that the rest of the package knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError

Float = NDArray[np.floating[Any]]
HIGHER, LOWER, NEITHER = "higher", "lower", "neither"


def check_better(better: str | None) -> None:
    """InputError unless it is a direction, or None."""
    if better not in (HIGHER, LOWER, NEITHER, None):
        raise InputError(f"better must be {HIGHER}, {LOWER} or {NEITHER}, got {better!r}")


@dataclass(frozen=True)
class Quantity:
    """What one number of an output measures, and all that the rest of the package knows of it.

    Args:
        called: its name in a sentence, as in "correct-class margin".
        short: its name in a word.
        about: a remark for a reader of the page; "" for none.
        better: "higher", "lower", or None where neither is.
        right_above: from where on a model is right about the target; None where that cannot be told.
        of: makes it of logits [..., N, classes] and labels [N]; of a regression of predictions [..., N] and values [N].
            None for an output whose name says too little.
        tail: the last axes of one model's output, after that of the targets: numbers, or "classes".
        regression: whether it is of predicted values, and not of classes.
        from_classes: whether the predicted class of each target is enough to know it.
        of_logits: whether it is of the size of logits, so that values within 0 and 1 look wrong.
        variants: the definitions of it that a task can choose from by `margin=`, and what each subtracts; such an `of`
            takes the name of one as third argument.
        recorded: what study.json says that the output means, with `{variant}` where that differs; by default its name.
    """

    called: str = ""
    short: str = "output"
    about: str = ""
    better: str | None = None
    right_above: float | None = None
    of: Callable[..., Float] | None = None
    tail: tuple[int | str, ...] = ()
    regression: bool = False
    from_classes: bool = False
    of_logits: bool = False
    variants: Mapping[str, str] = field(default_factory=dict)
    recorded: str = ""

    def __call__(self, logits: ArrayLike, labels: ArrayLike, variant: str | None = None) -> Float:
        """It of these logits and labels; `variant` is for those that have several."""
        if self.of is None:
            raise InputError(f"{self.called} is not made of logits")
        return self.of(logits, labels, variant) if self.variants and variant else self.of(logits, labels)

    def shape(self, targets: int, classes: int | None) -> tuple[int, ...]:
        """The shape of one model's output."""
        return (targets, *(int(classes or 0) if part == "classes" else int(part) for part in self.tail))

    def meaning(self, name: str, variant: str) -> str:
        """What study.json says that an output of this quantity, registered as `name`, means."""
        return (self.recorded or name).format(variant=self.variants.get(variant, ""))

    @property
    def known(self) -> bool:
        """Whether it is a registered one, and not guessed from an output's name."""
        return self.of is not None

    @property
    def sign(self) -> int:
        """-1 where lower is better, else 1: weights times this help where they are positive."""
        return -1 if self.better == LOWER else 1

    @property
    def sides(self) -> tuple[str, str]:
        """What units of positive and of negative weight times `sign` are called."""
        return ("raises", "lowers") if self.better is None else ("helpful", "harmful")

    @property
    def headings(self) -> tuple[str, str]:
        """What the page writes above the units of either side."""
        if self.better is None:
            return "Raise it most", "Lower it most"
        if self.better == HIGHER:
            return "Most helpful", "Most harmful"
        return f"Most helpful (lower the {self.short})", f"Most harmful (raise the {self.short})"


def as_given(values: ArrayLike, labels: ArrayLike) -> Float:
    """An `of` of what is recorded as the model puts it out."""
    return np.asarray(values)
