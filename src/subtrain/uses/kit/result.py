"""What every question returns: one line that says what was found, a table, a figure, and a check by retraining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.system import plotting
from subtrain.system.notebook import html_table

if TYPE_CHECKING:
    import matplotlib.figure

    from subtrain.datamodels import Datamodels
    from subtrain.study import Study

Table = Mapping[str, NDArray[Any]]
Figure: TypeAlias = "matplotlib.figure.Figure"
R = TypeVar("R", bound="Result")


class Result:
    """The answer to a question.

    It remembers the datamodels and the study that the question was about (None where it was about none), so that
    `verify` can retrain. `weak` is one line about a fit that predicts badly, "" for other fits; it ends the repr.
    """

    dm: Datamodels | None = None
    study: Study | None = None
    weak: str = ""

    def finding(self) -> str:
        """The answer in one line, with n, what was averaged and what was held out."""
        raise self._lacks("finding")

    def table(self) -> Table:
        """Columns of one length by name, for `pandas.DataFrame(result.table())`."""
        raise self._lacks("table")

    def figure(self) -> Figure:
        """The answer as a picture; its title says pooled or per target, runs, held out, ceiling, n."""
        raise self._lacks("figure")

    def verify(self, runs: int = 10, **_options: Any) -> Result:
        """Retrain `runs` models of each training set that the answer is about, and compare.

        Raises InputError where an answer makes no claim that retraining could check.
        """
        raise InputError(f"{type(self).__name__} makes no claim that retraining could check")

    def to_json(self) -> dict[str, Any]:
        """The table as JSON has it: lists, null for figures that do not exist, and no -0."""
        return table_json(self.table())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.finding()})" + (f"; {self.weak}" if self.weak else "")

    def _repr_html_(self) -> str:
        return html_table(repr(self), {name: np.asarray(column) for name, column in self.table().items()})

    def _lacks(self, part: str) -> InputError:
        return InputError(f"{type(self).__name__}, the answer to a question, has no {part}: give its class {part}()")

    def about(self, dm: Datamodels | None, study: Study | None, weak: str) -> None:
        """Remember what the question was about."""
        for name, value in (("dm", dm), ("study", study), ("weak", weak)):
            object.__setattr__(self, name, value)

    def followed_by(self, found: R) -> R:
        """`found`, about the same datamodels and study as this answer, which it checks."""
        found.about(self.dm, self.study, self.weak)
        return found

    def asked_study(self) -> Study:
        """The study that the question was about; InputError where there was none to retrain from."""
        if self.study is None:
            raise InputError(
                "nothing can be retrained without a study: give the question its study (study=…), and decorate the "
                "function of a question of your own with @question, which hands the study on"
            )
        return self.study


def new_figure(width: float = 6.5, height: float = 4.0) -> Figure:
    """A figure that belongs to no window, so that it can be drawn anywhere and needs no closing."""
    figure: Figure = plotting.new_figure(width, height, layout="constrained")
    return figure


def new_axes(width: float = 6.5, height: float = 4.0) -> tuple[Figure, Any]:
    """Such a figure, and axes that fill it."""
    figure = new_figure(width, height)
    return figure, figure.add_subplot()


def table_json(table: Table) -> dict[str, list[Any]]:
    """A table as JSON has it: lists, null for figures that do not exist, and no -0."""
    return {name: [_plain(value) for value in np.asarray(column).tolist()] for name, column in table.items()}


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return value + 0.0 if np.isfinite(value) else None
