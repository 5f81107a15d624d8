"""What every use returns: a table, a figure, and one line that says what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from subtrain.system import plotting
from subtrain.system.notebook import html_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = Mapping[str, NDArray[Any]]


class Result(Protocol):
    """A use's result. Its repr is one line: the finding, with n, what was averaged and what was held out."""

    def table(self) -> Table:
        """Columns of one length by name, for `pandas.DataFrame(result.table())`."""
        ...

    def figure(self) -> Figure:
        """The finding as a picture; its title or caption says pooled or per target, runs, held out, ceiling, n."""
        ...


class OfAFit:
    """A result that hangs on a fit: where that is weak, its repr ends with a line that says so, `weak`."""

    weak: str = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        plain = cls.__repr__

        def said(self: OfAFit) -> str:
            return f"{plain(self)}; {self.weak}" if self.weak else plain(self)

        cls.__repr__ = said  # type: ignore[assignment]


def new_figure(width: float = 6.5, height: float = 4.0) -> Figure:
    """A figure that belongs to no window, so that it can be drawn anywhere and needs no closing."""
    figure: Figure = plotting.new_figure(width, height, layout="constrained")
    return figure


def result_html(result: Result) -> str:
    """What a notebook shows of a result: its line and the first rows of its table. A result says
    `_repr_html_ = result_html`."""
    return html_table(repr(result), {name: np.asarray(column) for name, column in result.table().items()})


def to_json(result: Result) -> dict[str, list[Any]]:
    """A result's table as JSON has it: lists, figures that do not exist as null, and no -0."""
    return {name: [_plain(value) for value in np.asarray(column).tolist()] for name, column in result.table().items()}


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return value + 0.0 if np.isfinite(value) else None
