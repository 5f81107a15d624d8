"""A result as a table, as JSON or as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from subtrain.cli.shared.app import out, print_json
from subtrain.errors import InputError
from subtrain.store import atomic_files
from subtrain.system.paths import local_path
from subtrain.uses.kit.result import Result, table_json


def show(result: Result, to: Path | None, as_json: bool, rows: int = 20) -> None:
    """Print a result, its repr and the first rows of its table, or all of it as JSON; write it where asked.

    The line about a weak fit comes last, and in JSON by itself.
    """
    weak = result.weak
    summary = repr(result).removesuffix(f"; {weak}")
    if to is not None:
        write(result, to)
    if as_json:
        print_json({"summary": summary, "table": table_json(result.table())} | ({"weak": weak} if weak else {}))
        return
    out.print(summary, soft_wrap=True, markup=False)
    columns = result.table()
    table = Table(box=None, pad_edge=False)
    for name, column in columns.items():
        table.add_column(name, justify="left" if np.asarray(column).dtype.kind == "U" else "right")
    for row in list(zip(*columns.values(), strict=True))[:rows]:
        table.add_row(*map(_cell, row))
    out.print(table)
    length = len(next(iter(columns.values()), []))
    if length > rows:
        whole = to is not None and to.suffix != ".png"
        out.print(f"… and {length - rows:,} more rows{'' if whole else ': --out FILE.csv writes all'}", style="dim")
    if weak:
        out.print(weak, style="yellow", soft_wrap=True, markup=False)
    if to is not None:
        out.print(f"Written to {to}", soft_wrap=True)


def write(result: Result, path: Path) -> None:
    """The table as .csv or .json, or the figure as .png; InputError for another ending."""
    path = local_path(path)
    if path.suffix == ".png":
        figure = result.figure()
        atomic_files.replace(path, lambda file: figure.savefig(file, format="png", dpi=110))
    elif path.suffix == ".json":
        atomic_files.replace(path, lambda file: file.write(atomic_files.json_bytes(table_json(result.table()))))
    elif path.suffix == ".csv":
        atomic_files.replace(path, lambda file: file.write(_csv(result)))
    else:
        raise InputError(f"--out must end in .csv, .json or .png, got {path}")


def _csv(result: Result) -> bytes:
    import csv
    import io

    columns = {name: ["" if v is None else v for v in column] for name, column in table_json(result.table()).items()}
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    return f"{value + 0.0:.3g}" if isinstance(value, (float, np.floating)) else str(value)
