"""Small tables for notebooks: plain HTML, with everything escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 10


def html_table(caption: str, columns: Mapping[str, Sequence[Any] | NDArray[Any]], rows: int = ROWS) -> str:
    """Columns of one length under their names: the first `rows` of them, below a caption, and how many there are."""
    total = max((len(column) for column in columns.values()), default=0)
    shown = min(rows, total)
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell(column[row]))}</td>' for column in columns.values())}</tr>"
        for row in range(shown)
    )
    more = f"<p>the first {shown} of {total:,} rows</p>" if total > shown else ""
    return f"<p>{escape(caption)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def cell(value: Any) -> str:
    """A value as a table shows it: floats to four digits, those that do not exist as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "") == "f":
        return "–" if value != value else f"{value + 0.0:.4g}"
    return str(value)
