"""Whether a file that was fetched is whole and what the bucket holds: header, values, ETag, and no bombs."""

from __future__ import annotations

import hashlib
import math
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subtrain.errors import CorruptError
from subtrain.public.catalogue import File
from subtrain.public.collections import check_header
from subtrain.public.remote.npy_header import FIRST, read_header

_PIECE = 8 << 20
_MIB = 1 << 20
# Sizes of the parts in which common tools upload, in MiB.
_PARTS = (5, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 200, 250, 256, 500, 512, 1000, 1024)
_TAG = re.compile(r'"?([0-9a-f]{32})(?:-(\d{1,5}))?"?')


@dataclass(frozen=True)
class CheckedFile:
    """sha256 of a whole file; by_tag: whether its ETag, too, was found to be that of these bytes."""

    sha256: str
    by_tag: bool


def check_whole(
    path: Path, file: File, tag: str, progress: Callable[[int], None], name: str | None = None
) -> CheckedFile:
    """Read a fetched file once and compare it with its header, the catalogue and its ETag.

    An ETag of one part is the MD5 of the file; one of several parts that of their MD5s, if they were cut as common
    tools cut them, and says nothing otherwise. Raises CorruptError where the file cannot be what was published.
    """
    size = path.stat().st_size
    location = name or str(path)
    if file.is_array:
        with open(path, "rb") as opened:
            header = read_header(opened.read(FIRST), size, location)
        check_header(header, file, location)
    else:
        check_archive(path, location)
    sha, sums = hashlib.sha256(), _sums(tag, size)
    first = header.offset if file.is_array and header.dtype == np.bool_ else size
    done = 0
    with open(path, "rb") as opened:
        while piece := opened.read(_PIECE):
            sha.update(piece)
            for each in sums:
                each.add(piece)
            if np.frombuffer(piece, np.uint8)[max(0, first - done) :].max(initial=0) > 1:
                raise CorruptError(f"{location} is damaged: it holds bytes that are neither true nor false")
            done += len(piece)
            progress(len(piece))
    fits = any(each.tag() == tag.strip('"') for each in sums)
    if not fits and (found := _TAG.fullmatch(tag)) and not found[2]:
        raise CorruptError(f"{location} is damaged: its MD5 is not that of the file in the bucket; fetch it again")
    return CheckedFile(sha.hexdigest(), fits)


def check_archive(path: Path, location: object) -> None:
    """Raise CorruptError unless a .pt file is a zip of stored entries, which cannot unpack to more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CorruptError(f"{location} is not a .pt file of this decade, or damaged: {error}") from None
    packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    total = sum(entry.file_size for entry in entries)
    if packed or total > path.stat().st_size:
        raise CorruptError(
            f"{location} unpacks to {total:,} bytes, more than it has itself: torch writes no such files, it is refused"
        )


class _Sum:
    """The ETag of a file that was uploaded in parts of one size, 0 for one part."""

    def __init__(self, part: int) -> None:
        self.part, self.left = part, part
        self.whole = hashlib.md5(usedforsecurity=False)
        self.parts: list[bytes] = []

    def add(self, data: bytes) -> None:
        view = memoryview(data)
        while self.part and len(view) >= self.left:
            self.whole.update(view[: self.left])
            self.parts.append(self.whole.digest())
            view, self.left = view[self.left :], self.part
            self.whole = hashlib.md5(usedforsecurity=False)
        self.whole.update(view)
        self.left -= len(view)

    def tag(self) -> str:
        if not self.part:
            return self.whole.hexdigest()
        parts = self.parts + ([self.whole.digest()] if self.left < self.part else [])
        return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def _sums(tag: str, size: int) -> list[_Sum]:
    """What may give this ETag."""
    found = _TAG.fullmatch(tag)
    if found is None:
        return []
    if not found[2]:
        return [_Sum(0)]
    count = int(found[2])
    even = math.ceil(size / max(1, count) / _MIB)
    sizes = {mib * unit for mib in (*_PARTS, even) for unit in (_MIB, 10**6) if mib}
    return [_Sum(part) for part in sorted(sizes) if -(-size // part) == count]
