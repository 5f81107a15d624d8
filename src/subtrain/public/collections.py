"""The published models of one data set and alpha, opened where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from subtrain.errors import InputError, MismatchError
from subtrain.public.catalogue import NPY_HEADER, Catalogue, Dataset, File, percent, read_catalogue
from subtrain.public.price import FREE, MAX_COST, Network, Purse, Rates, price
from subtrain.public.remote.arrays import Opened, RemoteArray
from subtrain.public.remote.byte_ranges import Choice, choose, runs_of
from subtrain.public.remote.npy_header import FIRST, Header, read_header
from subtrain.public.remote.range_cache import LIMIT, RangeCache
from subtrain.public.remote.source import FileVersion, RemoteSource, open_source
from subtrain.store.addresses import cache
from subtrain.system.user_warning import warn_user

FITTING, EVALUATION = "fitting", "evaluation"


@dataclass(frozen=True, eq=False)
class Published:
    """Arrays of one data set and alpha, by the names of their kinds: `train_masks`, `test_margins`, …, RemoteArrays.

    `fitting` and `evaluation` are the same with only the models that datamodels may be fitted on, and only those that
    judge: the last `heldout`, as the catalogue says. `spent` is what was paid so far, in dollars.
    """

    catalogue: Catalogue
    source: RemoteSource
    dataset: str
    pct: float
    heldout: int
    network: Network
    purse: Purse
    kept: RangeCache | None
    split: str = ""
    _opened: dict[str, RemoteArray] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        split = f", {self.split} models" if self.split else ""
        return f"Published({self.dataset} at {self.pct:g} %{split}: {', '.join(self.kinds)})"

    @property
    def about(self) -> Dataset:
        """What the catalogue says of the data set."""
        return self.catalogue.datasets[self.dataset]

    @property
    def files(self) -> dict[str, File]:
        """The arrays that were published, by kind."""
        return {file.kind: file for file in self.catalogue.find(self.dataset, pct=self.pct) if file.is_array}

    @property
    def kinds(self) -> tuple[str, ...]:
        """What there is: train_masks, test_margins, …"""
        return tuple(self.files)

    @property
    def fitting(self) -> Published:
        """The models that datamodels may be fitted on."""
        return replace(self, split=FITTING)

    @property
    def evaluation(self) -> Published:
        """The models that judge, the last `heldout`."""
        return replace(self, split=EVALUATION)

    @property
    def spent(self) -> float:
        """Dollars paid so far, by what the catalogue says of prices."""
        return self.purse.spent

    def __getattr__(self, kind: str) -> RemoteArray:
        if kind.startswith("_") or "catalogue" not in self.__dict__:
            raise AttributeError(kind)
        if kind not in self.files:
            raise AttributeError(f"{self!r} has no {kind!r}")
        return self.array(kind)

    def array(self, kind: str) -> RemoteArray:
        """The array of this kind; looking at its header is one request, the first time."""
        files = self.files
        if kind not in files:
            raise InputError(f"there is no {kind} of {self.dataset} at {self.pct:g} %; there are {', '.join(files)}")
        if kind not in self._opened:
            self._opened[kind] = self._open(files[kind])
        whole = self._opened[kind]
        judged = len(whole) - self.heldout
        if (self.split and judged < 1) or (self.split == EVALUATION and not self.heldout):
            raise InputError(f"{kind} has {len(whole)} models, {self.heldout} of them for evaluation alone")
        return whole.part({"": slice(None), FITTING: slice(judged), EVALUATION: slice(judged, None)}[self.split])

    def _open(self, file: File) -> RemoteArray:
        rates = rates_of(self.catalogue, self.source)
        return _opened(self.source, file, rates, self.network, self.purse, self.kept)


def open(
    dataset: str,
    alpha: float,
    *,
    catalogue_file: str | Path | None = None,
    address: str | RemoteSource | None = None,
    max_cost: float | None = MAX_COST,
    heldout: int | None = None,
    network: Network = Network(),
    cache_bytes: int = LIMIT,
) -> Published:
    """The published models of a data set ("cifar", "fmow") at one alpha (0.5 or 50); nothing is asked for or paid.

    catalogue_file: another catalogue than the published data's; address: another place for the same files, a mirror's
    bucket, a folder, or a `RemoteSource`. max_cost: what all reading through this may cost, in dollars, None for no
    limit.
    heldout: how many of the last models are for evaluation, by default as the catalogue says. cache_bytes: how much of
    what is read is kept on this machine, 0 for none. Raises InputError for what the catalogue does not have.
    """
    found = read_catalogue(catalogue_file)
    pct = percent(alpha)
    if not found.find(dataset, pct=pct):
        alphas = ", ".join(f"{p / 100:g}" for p in sorted({f.pct for f in found.find(dataset)}))
        raise InputError(f"nothing of {dataset} was published at alpha = {pct / 100:g}, only at {alphas}")
    if heldout is not None and heldout < 0:
        raise InputError(f"heldout must be at least 0, got {heldout}")
    return Published(
        catalogue=found,
        source=open_source(address or found.address, found.requester_pays),
        dataset=dataset,
        pct=pct,
        heldout=found.datasets[dataset].heldout if heldout is None else heldout,
        network=network,
        purse=Purse(max_cost),
        kept=RangeCache(cache() / "public", cache_bytes) if cache_bytes else None,
    )


def open_file(found: Catalogue, file: File, purse: Purse, address: str | None = None) -> RemoteArray:
    """One array of a catalogue, looked at with one request; nothing of it is kept on this machine."""
    source = open_source(address or found.address, found.requester_pays)
    return _opened(source, file, rates_of(found, source), Network(), purse, None)


def _opened(
    source: RemoteSource, file: File, rates: Rates, network: Network, purse: Purse, keep: RangeCache | None
) -> RemoteArray:
    purse.pay(price(FIRST, 1, rates, network), f"looking at {file.key}")
    version, header = look(source, file)
    kept = keep.of(source.location(file.key), version) if keep else None
    return RemoteArray.of(Opened(source, file.key, version, header, rates, network, purse, kept))


def priced(found: Catalogue, file: File, rows: slice, columns: slice, network: Network) -> Choice:
    """How these rows and columns would be read, and their price, by what the catalogue says; nothing is asked for."""
    if not file.is_array:
        raise InputError(f"{file.key} holds datamodels, not an array: it can be had only whole")
    header = Header(file.shape, np.dtype(file.dtype), False, NPY_HEADER)
    parts = [rows, columns][: len(file.shape)] + [slice(None)] * (len(file.shape) - 2)
    chosen = [np.arange(*part.indices(length)) for part, length in zip(parts, file.shape, strict=True)]
    return choose(runs_of(header, chosen), file.size, found.rates, network)


def rates_of(found: Catalogue, source: RemoteSource) -> Rates:
    """What reading from this source costs: nothing from a folder."""
    return found.rates if source.address.startswith("s3://") else FREE


def look(source: RemoteSource, file: File) -> tuple[FileVersion, Header]:
    """The version of an array that is there, and its header, once they are as the catalogue says; one request.

    Raises CorruptError for a file that is not a whole plain array, MismatchError for one of another dtype or shape. A
    shape that the catalogue is not certain of only warns.
    """
    version, start = source.look(file.key)
    header = read_header(start, version.size, source.location(file.key))
    check_header(header, file, source.location(file.key))
    return version, header


def check_header(header: Header, file: File, location: object) -> None:
    """Raise MismatchError where a header is not what the catalogue says."""
    wrong = [f"dtype {header.dtype}, not {file.dtype}"] if header.dtype.newbyteorder("=").name != file.dtype else []
    if header.shape != file.shape:
        said = f"shape {list(header.shape)}, not {list(file.shape)}"
        if file.shape_certain or len(header.shape) != len(file.shape):
            wrong.append(said)
        else:
            warn_user(f"{location} has {said}; the catalogue was not certain, the file decides")
    if wrong:
        raise MismatchError(
            f"{location} has {' and '.join(wrong)} as in the catalogue; if that is right, describe it in a "
            "catalogue of "
            "your own (--catalogue)"
        )


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
