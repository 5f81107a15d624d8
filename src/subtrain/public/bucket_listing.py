"""Which files of the catalogue a bucket really has, from its listing."""

from __future__ import annotations

from collections.abc import Sequence

from subtrain.public.catalogue import Catalogue, File
from subtrain.public.collections import rates_of
from subtrain.public.price import MAX_COST, Purse, price
from subtrain.public.remote.source import RemoteSource, open_source

# Files in one LIST answer.
_PAGE = 1000


def present(
    found: Catalogue,
    files: Sequence[File],
    address: str | RemoteSource | None = None,
    max_cost: float | None = MAX_COST,
) -> dict[str, int | None]:
    """The size in the bucket of each of these files by key, None for one that is not there.

    Every folder with such files is listed once, at the price of a LIST request for every thousand files in it. Raises
    InputError when that would pass max_cost dollars, StorageError for a bucket that lets nobody list it.
    """
    source, purse = open_source(address or found.address, found.requester_pays), Purse(max_cost)
    folders = dict.fromkeys(file.key.rpartition("/")[0] for file in files)
    there: dict[str, int] = {}
    for folder in folders:
        for nth, entry in enumerate(source.entries(folder)):
            if nth % _PAGE == 0:
                purse.pay(price(0, 0, rates_of(found, source), lists=1), "listing the bucket")
            there[entry.name] = entry.size
    return {file.key: there.get(file.key) for file in files}
