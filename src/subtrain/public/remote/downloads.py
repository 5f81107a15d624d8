"""Whole files of a bucket: parallel ranges of one version, going on after a kill, in place only when they are whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.formatting import size
from subtrain.public.catalogue import File, read_catalogue
from subtrain.public.collections import look, rates_of
from subtrain.public.price import MAX_COST, PIECE, Network, Purse, Rates, price, whole_price
from subtrain.public.remote.download_journal import DownloadJournal, Span, rest, there
from subtrain.public.remote.file_check import CheckedFile, check_whole
from subtrain.public.remote.npy_header import FIRST
from subtrain.public.remote.parallel import Pace, at_once
from subtrain.public.remote.source import FileVersion, RemoteSource, open_source
from subtrain.store import atomic_files
from subtrain.studies.segments.npy_writer import locked, part_of, write_sha256
from subtrain.system.paths import local_path

# progress(file, what is being done, bytes, of bytes)
Progress = Callable[[str, str, int, int], None]
FETCHING, CHECKING = "fetching", "checking"
_CHUNK, _LEAST = 1 << 20, 1 << 16
# Free on the disk besides the file itself.
_SPARE = 64 << 20


@dataclass(frozen=True)
class Downloaded:
    """A file that is there now: how many of its bytes were fetched for it, its sha256, whether its ETag agrees."""

    path: Path
    size: int
    fetched: int
    sha256: str
    by_tag: bool
    dollars: float


@dataclass(frozen=True)
class _Fetch:
    """One file on its way."""

    source: RemoteSource
    file: File
    version: FileVersion
    purse: Purse
    rates: Rates
    network: Network
    pace: Pace


def download(
    folder: str | Path,
    *keys: str,
    catalogue_file: str | Path | None = None,
    address: str | RemoteSource | None = None,
    max_cost: float | None = MAX_COST,
    bandwidth: float | None = None,
    network: Network = Network(),
    restart: bool = False,
    progress: Progress | None = None,
) -> list[Downloaded]:
    """Fetch files of the catalogue into `folder`, each below it at its key, with its sha256 beside it.

    Killed, the same call goes on and fetches what is missing only; restart drops what an earlier one left of a version
    that has been replaced. bandwidth: bytes a second at most; network: how many requests at a time. A file that is
    there already is left. Nothing is asked for before all prices together are within max_cost (dollars, None for no
    limit) and the disk has room. Raises InputError for keys that are not there and for the price, MismatchError for an
    array that is not as the catalogue says or was replaced since an earlier call, CorruptError for one that changes
    meanwhile or comes damaged, StorageError for the disk and the bucket; what came until then is kept.
    """
    if bandwidth is not None and not bandwidth > 0:
        raise InputError(f"bandwidth must be positive, got {bandwidth}")
    found = read_catalogue(catalogue_file)
    source = open_source(address or found.address, found.requester_pays)
    root, purse, pace, rates = local_path(folder), Purse(max_cost), Pace(bandwidth), rates_of(found, source)
    chosen = [found.get(key) for key in keys]
    gone = {file.key: _left(root / file.key, file.size) for file in chosen if not (root / file.key).exists()}
    costs = [whole_price(left, rates, network) for left in gone.values()]
    if costs:
        purse.check(sum(costs[1:], costs[0]), f"fetching {', '.join(gone)}")
        _check_disk(root, sum(gone.values()))
    done = []
    for file in chosen:
        path = root / file.key
        with atomic_files.storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            done.append(_there(path, file, progress))
            continue
        begun = purse.spent
        purse.pay(price(FIRST, 1, rates, network), f"looking at {file.key}")
        version = look(source, file)[0] if file.is_array else source.look(file.key)[0]
        fetch = _Fetch(source, file, version, purse, rates, network, pace)
        fetched, checked = _fetched(fetch, path, restart, progress)
        cost = purse.spent - begun
        done.append(Downloaded(path, version.size, fetched, checked.sha256, checked.by_tag, cost))
    return done


def _left(path: Path, count: int) -> int:
    """Bytes to fetch, by what an earlier process left."""
    part = part_of(path)
    return max(0, count - part.stat().st_blocks * 512) if part.exists() else count


def _there(path: Path, file: File, progress: Progress | None) -> Downloaded:
    """A file that is there already, if it is whole; it is never touched."""
    checked = check_whole(path, file, "", _shown(progress, path, CHECKING, path.stat().st_size))
    beside = path.with_name(f"{path.name}.sha256")
    if beside.is_file() and beside.read_bytes()[:64].decode(errors="replace") != checked.sha256:
        raise CorruptError(f"{path} is there already, but not as {beside.name} says: remove it and fetch it again")
    return Downloaded(path, path.stat().st_size, 0, checked.sha256, False, 0.0)


def _fetched(fetch: _Fetch, path: Path, restart: bool, progress: Progress | None) -> tuple[int, CheckedFile]:
    """Bring the file into its place; how many bytes of it came now."""
    part, version = part_of(path), fetch.version
    journal = DownloadJournal(
        path.with_name(f".{path.name}.journal"),
        {"file": fetch.source.location(fetch.file.key), "size": version.size, "tag": version.tag},
    )
    with _disk(path), locked(part) as file:
        if restart:
            journal.path.unlink(missing_ok=True)
            file.truncate(0)
        noted = journal.begin()
        _check_disk(path, version.size - os.fstat(file.fileno()).st_blocks * 512)
        file.truncate(version.size)
        shown = _shown(progress, path, FETCHING, version.size)
        found = there(file, noted, lambda count: None)
        shown(sum(b - a for a, b in found))
        missing = rest(version.size, found, _piece(fetch))
        _fill(fetch, file.fileno(), missing, journal, shown)
        atomic_files.sync(file.fileno())
        try:
            show = _shown(progress, path, CHECKING, version.size)
            checked = check_whole(part, fetch.file, version.tag, show, str(path))
        except CorruptError:
            # Going on from bytes that are wrong as a whole would give them again.
            journal.path.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
            raise
        write_sha256(path, checked.sha256)
        os.replace(part, path)
        atomic_files.sync_folder(path.parent)
        journal.path.unlink(missing_ok=True)
    return sum(b - a for a, b in missing), checked


def _piece(fetch: _Fetch) -> int:
    """Bytes of one request: fewer where the bandwidth is so small that one of them would take minutes."""
    if fetch.pace.rate is None:
        return PIECE
    return int(min(PIECE, max(_CHUNK, 10 * fetch.pace.rate / fetch.network.parallel)))


def _fill(
    fetch: _Fetch, descriptor: int, spans: list[Span], journal: DownloadJournal, shown: Callable[[int], None]
) -> None:
    """Fetch these spans into the file, several at once; the first error ends the rest."""
    stop = threading.Event()
    # Small where they come slowly: what is noted is never fetched again.
    chunk = int(min(_CHUNK, max(_LEAST, (fetch.pace.rate or _CHUNK * 1e3) / fetch.network.parallel)))
    cost = price(sum(b - a for a, b in spans), len(spans), fetch.rates, fetch.network)
    fetch.purse.pay(cost, f"fetching {fetch.file.key}")

    def one(span: Span) -> None:
        at = span[0]
        for data in fetch.source.stream(fetch.file.key, *span, fetch.version, chunk):
            if stop.is_set():
                return
            os.pwrite(descriptor, data, at)
            journal.note(at, at + len(data), hashlib.sha256(data).hexdigest())
            at += len(data)
            shown(len(data))
            fetch.pace.wait(len(data))

    at_once(one, spans, fetch.network.parallel, stop.set)


def _check_disk(path: Path, more: int) -> None:
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < more + _SPARE:
        raise StorageError(
            f"{path} needs {size(more + _SPARE)} more on its disk, and {size(free)} are free: nothing was fetched; "
            "make room or choose another folder"
        )


def _shown(progress: Progress | None, path: Path, what: str, total: int) -> Callable[[int], None]:
    """A callback that adds up bytes for a progress."""
    lock, done = threading.Lock(), 0

    def add(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            if progress:
                progress(path.name, what, done, total)

    return add


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """A disk that fills up on the way as one sentence: what came is kept, unlike elsewhere, for it was paid for."""
    try:
        with atomic_files.storage_errors(path):
            yield
    except StorageError as error:
        if "no space left" in str(error):
            raise StorageError(
                f"no space left on the disk of {path}; what came is kept: free some and run the same again"
            ) from error
        raise
