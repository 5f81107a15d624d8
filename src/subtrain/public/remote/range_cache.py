"""Ranges of remote files that were read before, on this machine: within a limit, the ones unused longest go first."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from subtrain.errors import StorageError
from subtrain.public.remote.source import FileVersion
from subtrain.store import atomic_files

LIMIT = 4 << 30
_NAME = re.compile(r"(\d+)-(\d+)")
_DIGEST = hashlib.sha256().digest_size

Fetch = Callable[[int, int], bytes]


@dataclass(eq=False)
class RangeCache:
    """A folder of ranges, at most `limit` bytes of them in all.

    A range lies in a folder named after the file's address, size and ETag: what was read of a file that has changed
    since is never found again. It is stored with its sha256, and one that is damaged is fetched again.
    """

    folder: Path
    limit: int = LIMIT
    _used: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def of(self, address: str, version: FileVersion) -> KeptFile:
        """What is kept of one version of a file."""
        name = hashlib.sha256(f"{address}\n{version.size}\n{version.tag}".encode()).hexdigest()
        return KeptFile(self, self.folder / name[:40])

    def make_room(self, count: int) -> None:
        """Remove what was not used for longest until `count` more bytes fit."""
        with self._lock:
            if self._used is None or self._used + count > self.limit:
                self._used = self._swept(count)
            self._used += count

    def _swept(self, count: int) -> int:
        found = []
        for path in self.folder.glob("*/*-*"):
            with suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        used = sum(size for _, size, _ in found)
        # Down to nine tenths, so that not every range that comes searches the folder.
        goal = self.limit if used + count <= self.limit else self.limit * 9 // 10
        for _, size, path in sorted(found):
            if used + count <= goal:
                break
            path.unlink(missing_ok=True)
            used -= size
        return used


@dataclass(eq=False)
class KeptFile:
    """Ranges of one version of one file."""

    kept: RangeCache
    folder: Path
    _known: list[tuple[int, int]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self, start: int, stop: int, fetch: Fetch) -> bytes:
        """Bytes start..stop-1: what is kept, and the rest by fetch(start, stop), which is kept as well."""
        parts = []
        while start < stop:
            found = self._at(start, stop)
            if found is None:
                end = min((a for a, _ in self.ranges() if start < a < stop), default=stop)
                found = fetch(start, end)
                self._keep(start, end, found)
            parts.append(found)
            start += len(found)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def missing(self, start: int, stop: int) -> int:
        """Bytes of start..stop-1 that are not kept."""
        gone = 0
        for a, b in self.ranges():
            if b > start and a < stop:
                gone += max(0, a - start)
                start = max(start, min(b, stop))
        return gone + stop - start

    def ranges(self) -> list[tuple[int, int]]:
        """Every range that is there, ascending."""
        with self._lock:
            if self._known is None:
                names = [_NAME.fullmatch(path.name) for path in self.folder.glob("*-*")]
                self._known = sorted((int(m[1]), int(m[2])) for m in names if m)
            return list(self._known)

    def _at(self, start: int, stop: int) -> bytes | None:
        """What is kept from `start` on, at most to `stop`."""
        known = self.ranges()
        k = bisect_right(known, (start, 1 << 63)) - 1
        if k < 0 or known[k][1] <= start:
            return None
        first, last = known[k]
        path = self.folder / f"{first}-{last}"
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            data = b""
        body = data[_DIGEST:]
        if len(body) != last - first or hashlib.sha256(body).digest() != data[:_DIGEST]:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            self._note(set(), {(first, last)})
            return None
        return body[start - first : stop - first]

    def _keep(self, start: int, stop: int, data: bytes) -> None:
        if len(data) + _DIGEST > self.kept.limit // 4:
            return
        self.kept.make_room(len(data) + _DIGEST)
        digest = hashlib.sha256(data).digest()
        # A cache that cannot be written is no reason to fail: the data are here.
        with suppress(OSError, StorageError):
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_files.replace(
                self.folder / f"{start}-{stop}", lambda file: file.writelines((digest, data)), durable=False
            )
            self._note({(start, stop)}, set())

    def _note(self, new: set[tuple[int, int]], gone: set[tuple[int, int]]) -> None:
        with self._lock:
            self._known = sorted({*(self._known or ()), *new} - gone)
