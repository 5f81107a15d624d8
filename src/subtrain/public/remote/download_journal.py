"""How far a download is: which bytes of the unfinished file came, and their digests."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from subtrain.errors import MismatchError

Span = tuple[int, int]
_PIECE = 8 << 20


@dataclass(frozen=True)
class DownloadJournal:
    """A file with a line of JSON for every chunk that was written: from where to where, and its sha256.

    Its first line says of which version of which file. Lines are appended whole by one write; the last one of a process
    that was killed may be torn, and counts for nothing. Nothing is synced: what a crash of the machine takes from
    either file is found out by the digests when the download goes on.
    """

    path: Path
    of: dict[str, Any]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def begin(self) -> list[tuple[int, int, str]]:
        """Chunks of an earlier process, MismatchError if they are of another version; else none, in a new journal."""
        lines = _lines(self.path)
        if lines and lines[0].get("of") != self.of:
            raise MismatchError(
                f"{self.path} is of another version of the file, which has been replaced meanwhile, or of another "
                "place: drop what came of it (--restart) to begin again"
            )
        # A line of its own, should the last one be torn.
        self._append(b"\n" + (b"" if lines else _line({"of": self.of})))
        return [(line["at"], line["to"], line["sha256"]) for line in lines[1:] if line.keys() == {"at", "to", "sha256"}]

    def note(self, start: int, stop: int, sha256: str) -> None:
        self._append(_line({"at": start, "to": stop, "sha256": sha256}))

    def _append(self, data: bytes) -> None:
        with self._lock:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)


def there(file: BinaryIO, noted: list[tuple[int, int, str]], progress: Callable[[int], None]) -> list[Span]:
    """Which of the noted chunks are in the file as they were noted, ascending and joined."""
    found: list[Span] = []
    for start, stop, sha256 in sorted(noted):
        if found and start < found[-1][1]:
            continue
        if _digest(file, start, stop) == sha256:
            joined = bool(found) and found[-1][1] == start
            found[-1 if joined else len(found) :] = [(found[-1][0] if joined else start, stop)]
        progress(stop - start)
    return found


def rest(size: int, found: list[Span], most: int) -> list[Span]:
    """What is missing of a file of `size` bytes, in spans of at most `most` bytes."""
    edges = [(0, 0), *found, (size, size)]
    holes = [(a[1], b[0]) for a, b in pairwise(edges)]
    return [(at, min(at + most, stop)) for start, stop in holes for at in range(start, stop, most)]


def _digest(file: BinaryIO, start: int, stop: int) -> str:
    sha = hashlib.sha256()
    file.seek(start)
    while start < stop and (piece := file.read(min(_PIECE, stop - start))):
        sha.update(piece)
        start += len(piece)
    return sha.hexdigest() if start == stop else ""


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict):
            found.append(data)
    return found


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"
