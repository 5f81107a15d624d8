"""`subtrain public download`: whole files, at a price that is known first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from subtrain.cli.shared.app import err, out
from subtrain.cli.verbs.public import (
    Address,
    Alpha,
    CatalogueFile,
    DatasetName,
    Keys,
    Kind,
    MaxCost,
    Parallel,
    Yes,
    chosen,
    group,
)


@group.command()
def download(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write to.")],
    keys: Keys = None,
    dataset: DatasetName = None,
    kind: Kind = None,
    alpha: Alpha = None,
    max_cost: MaxCost = 1.0,
    yes: Yes = False,
    limit_rate: Annotated[float | None, typer.Option(help="Largest total rate in megabytes a second.")] = None,
    parallel: Parallel = 16,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop the parts of a version that has been replaced.")
    ] = False,
    catalogue: CatalogueFile = None,
    address: Address = None,
) -> None:
    """Fetch whole files into FOLDER, each at its key, verified, with its sha256 beside it.

    The price is shown before the first request. You can kill it at any time: the same command fetches only the rest.
    """
    from subtrain.formatting import size
    from subtrain.public.catalogue import read_catalogue as read
    from subtrain.public.price import Network, dollars, whole_price
    from subtrain.public.remote.downloads import download as fetch

    found = read(catalogue)
    files = chosen(found, keys, dataset, kind, alpha)
    network = Network(parallel=parallel) if limit_rate is None else Network(limit_rate * 1e6, parallel=parallel)
    for file in files:
        out.print(f"{escape(file.key)}: {whole_price(file.size, found.rates, network)}", soft_wrap=True)
    with _bars() as progress:
        done = fetch(
            folder,
            *(file.key for file in files),
            catalogue_file=catalogue,
            address=address,
            max_cost=None if yes else max_cost,
            bandwidth=None if limit_rate is None else limit_rate * 1e6,
            network=network,
            restart=restart,
            progress=progress,
        )
    for one in done:
        agrees = "its ETag agrees" if one.by_tag else "its ETag could not be compared" if one.fetched else "unchanged"
        came = f"{size(one.fetched)} fetched now, {dollars(one.dollars)}" if one.fetched else "there already"
        out.print(f"{one.path}  {size(one.size)}, {came}; sha256 {one.sha256[:12]}…, {agrees}", soft_wrap=True)


@contextmanager
def _bars() -> Iterator[Callable[[str, str, int, int], None]]:
    """A bar with bytes, rate and time left for each file and what is done with it."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Rate

    tasks: dict[tuple[str, str], TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as shown:

        def update(name: str, what: str, done: int, total: int) -> None:
            if (name, what) not in tasks:
                tasks[name, what] = shown.add_task(escape(f"{what} {name}"), total=total, completed=done)
            shown.update(tasks[name, what], completed=done)

        yield update
