"""`subtrain public list`, `price`, `show`, `cite`, `download`: what was published, what it costs, and parts of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from subtrain.cli.shared.app import app, err, out, print_json
from subtrain.cli.shared.options import AsJson
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.public.catalogue import Catalogue, File
    from subtrain.public.price import Network

group = typer.Typer(
    no_args_is_help=True,
    help="""Read the published four million models: see the files, their price, and fetch the parts that you need.

    The reader of their bucket pays. list and price make no request. show --rows, show --check and download make
    requests, and refuse to spend more than --max-cost.""",
)
app.add_typer(group, name="public")

Keys = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]…", help="Keys of files, or one of the words: all, all but logits.")
]
DatasetName = Annotated[str | None, typer.Option("--dataset", "-d", help="cifar or fmow.")]
Kind = Annotated[str | None, typer.Option("--kind", "-k", help="train_masks, test_margins, test_datamodels, …")]
Alpha = Annotated[float | None, typer.Option("--alpha", "-a", help="0.1, 0.2, 0.5, 0.75, or 10, 20, 50, 75.")]
CatalogueFile = Annotated[
    Path | None, typer.Option("--catalogue", help="A catalogue of your own, JSON of the same form.")
]
Address = Annotated[str | None, typer.Option(help="Another place of these files: s3://bucket/prefix or a folder.")]
Rows = Annotated[str | None, typer.Option(help="Rows of the arrays: 5, 100:200 or 0:1000:10.")]
Columns = Annotated[str | None, typer.Option(help="Columns of the arrays, as rows.")]
Bandwidth = Annotated[float, typer.Option(help="Your bandwidth in megabytes a second, for the time.")]
Latency = Annotated[float, typer.Option(help="Seconds from a request to its first byte.")]
Parallel = Annotated[int, typer.Option(help="Number of requests at a time.")]
MaxCost = Annotated[float, typer.Option(help="Largest cost in dollars.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Accept any cost.")]


@group.command(name="list")
def list_(
    dataset: DatasetName = None,
    kind: Kind = None,
    alpha: Alpha = None,
    missing: Annotated[bool, typer.Option("--missing", help="List only advertised files that are missing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the listing of the bucket; this makes some LIST requests.")
    ] = False,
    max_cost: MaxCost = 1.0,
    catalogue: CatalogueFile = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """List the files with shape, dtype, size and price, also the files that are known to be missing.

    Only --check makes requests.
    """
    from subtrain.formatting import size
    from subtrain.public.catalogue import percent
    from subtrain.public.catalogue import read_catalogue as read
    from subtrain.public.price import dollars, whole_price

    found = read(catalogue)
    files = found.find(dataset, kind, alpha and percent(alpha), missing=True if missing else None)
    there: dict[str, int | None] = {}
    if check:
        from subtrain.public.collections import present

        there = present(found, files, address, max_cost)
    if as_json:
        told = [file.to_json() | ({"bytes_there": there[file.key]} if check else {}) for file in files]
        print_json({"address": found.address, "files": told})
        return
    table = Table(
        title=f"{escape(found.name)}, {escape(found.address)}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("file", no_wrap=True, min_width=max((len(file.key) for file in files), default=0))
    for name in ("shape", "size", "price"):
        table.add_column(name, justify="right")
    if check:
        table.add_column("in the bucket")
    for file in files:
        shape = "×".join(f"{length:,}" for length in file.shape)
        cost = dollars(whole_price(file.size, found.rates).dollars)
        shown = ("", "missing") if file.missing else (size(file.size), cost)
        listed = (_compared(file, there[file.key]),) if check else ()
        table.add_row(escape(file.key), shape, *shown, *listed, style="dim" if file.missing else "")
    out.print(table)
    sizes = [file.size for file in files if not file.missing]
    total = sum(whole_price(each, found.rates).dollars for each in sizes)
    out.print(f"{len(sizes)} files, {size(sum(sizes))}, {dollars(total)} for all of them")
    for name in dict.fromkeys(file.dataset for file in files):
        about = found.datasets[name]
        for note in about.notes:
            out.print(f"{name}: {escape(note)}", soft_wrap=True)
        if about.sources:
            out.print(f"{name}, sources: {escape('; '.join(found.cited(about.sources)))}", soft_wrap=True)


def _compared(file: File, there: int | None) -> str:
    if there is None:
        return "no"
    # What torch writes besides the values is some kB.
    same = there == file.size or (not file.is_array and 0 <= there - file.size < 1 << 20)
    return "yes" if same else f"yes, but of {there:,} bytes"


@group.command()
def price(
    keys: Keys = None,
    dataset: DatasetName = None,
    kind: Kind = None,
    alpha: Alpha = None,
    rows: Rows = None,
    columns: Columns = None,
    bandwidth: Bandwidth = 12.5,
    latency: Latency = 0.1,
    parallel: Parallel = 16,
    catalogue: CatalogueFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the price and time of files, or of their rows and columns, and how best to read them. Makes no request."""
    from subtrain.formatting import duration
    from subtrain.public.catalogue import group_name
    from subtrain.public.catalogue import read_catalogue as read
    from subtrain.public.price import Network, dollars

    found = read(catalogue)
    files = chosen(found, keys, dataset, kind, alpha)
    network = Network(bandwidth * 1e6, latency, parallel)
    offers = [_offer(found, file, rows, columns, network) for file in files]
    if as_json:
        print_json(offers)
        return
    for offer in offers:
        out.print(f"[bold]{escape(offer['key'])}[/bold]: {offer['text']}", soft_wrap=True)
    total, seconds = (sum(offer[name] for offer in offers) for name in ("dollars", "seconds"))
    out.print(f"In all {dollars(total)}, {duration(seconds)} at {bandwidth:g} MB/s. The bucket got no request.")
    quoted = found.quoted.get(group_name(keys or ())) if rows is None and columns is None else None
    if quoted is not None:
        said = f"The data's own page says around ${quoted:g}; ours is the sum of the files that are there."
        out.print(said, soft_wrap=True)


@group.command()
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A file by its key.")],
    rows: Rows = None,
    columns: Columns = None,
    check: Annotated[bool, typer.Option("--check", help="Read the header of the file; one request.")] = False,
    max_cost: MaxCost = 1.0,
    yes: Yes = False,
    catalogue: CatalogueFile = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show one file: its contents and their sources. --rows reads only the values of these rows."""
    from subtrain.public.catalogue import read_catalogue as read
    from subtrain.public.price import whole_price

    found = read(catalogue)
    file = found.get(key)
    told: dict[str, Any] = file.to_json() | {"sources": found.cited(file.sources)}
    if check or rows or columns:
        told |= _read(found, file, rows, columns, None if yes else max_cost, address)
    if as_json:
        print_json(told)
        return
    values = told.pop("values", None)
    told["price"] = str(whole_price(file.size, found.rates))
    for name, value in told.items():
        if value in ("", []):
            continue
        out.print(
            f"{name:10} {escape('; '.join(map(str, value)) if name == 'sources' else str(value))}", soft_wrap=True
        )
    if values is not None:
        import numpy as np

        out.print(escape(str(np.array(values))))


@group.command()
def cite() -> None:
    """Print the BibTeX entries of the paper and of its published data."""
    from subtrain.public.citation import bibtex

    print(bibtex(), end="")


def _read(
    found: Catalogue, file: File, rows: str | None, columns: str | None, limit: float | None, address: str | None
) -> dict[str, Any]:
    """What the file itself says, and some of its values."""
    from subtrain.public.collections import open_file
    from subtrain.public.price import Purse

    if not file.is_array:
        raise InputError(f"{file.key} holds datamodels, not an array: download it to look into it")
    purse = Purse(limit)
    array = open_file(found, file, purse, address)
    told: dict[str, Any] = {"etag": array.file.version.tag, "found": f"{list(array.shape)} {array.dtype}"}
    if rows or columns:
        part = array.part(span(rows), span(columns)) if array.ndim > 1 else array.part(span(rows))
        told["why"] = part.price().words
        told["values"] = part[...].tolist()
    return told | {"dollars": purse.spent}


def _offer(found: Catalogue, file: File, rows: str | None, columns: str | None, network: Network) -> dict[str, Any]:
    from subtrain.public.collections import priced
    from subtrain.public.price import whole_price

    if rows is None and columns is None:
        cost = whole_price(file.size, found.rates, network)
        return {"key": file.key, "text": str(cost), **cost.to_json()}
    choice = priced(found, file, span(rows), span(columns), network)
    return {"key": file.key, "text": choice.words, **choice.taken.price.to_json(), "choice": choice.to_json()}


def chosen(
    found: Catalogue, keys: list[str] | None, dataset: str | None, kind: str | None, alpha: float | None
) -> list[File]:
    """Files by key, by a word for many ("all but logits"), or by what they are; never all of them unasked."""
    from subtrain.public.catalogue import percent

    if keys:
        return found.group(keys) or [found.get(key) for key in keys]
    if dataset is None and kind is None and alpha is None:
        raise InputError("name the files: keys, or --dataset, --kind and --alpha; `subtrain public list` shows all")
    files = found.find(dataset, kind, alpha and percent(alpha))
    if not files:
        raise InputError("no published file is of this data set, kind and alpha; `subtrain public list` shows all")
    return files


def span(text: str | None) -> slice:
    """The slice that 5, 100:200 or 0:1000:10 stands for; all for None."""
    if text is None:
        return slice(None)
    if not re.fullmatch(r"\d+|(-?\d+)?(:(-?\d+)?){1,2}", text):
        raise InputError(f"rows and columns are written 5, 100:200 or 0:1000:10, got {text!r}")
    numbers = [int(part) if part else None for part in text.split(":")]
    if len(numbers) == 1:
        first = numbers[0] or 0
        return slice(first, first + 1)
    if len(numbers) == 3 and numbers[2] is not None and numbers[2] < 1:
        raise InputError(f"a step must be at least 1, got {text!r}")
    return slice(*numbers)


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
    """Download whole files into FOLDER, check them, and write the sha256 of each beside it.

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
