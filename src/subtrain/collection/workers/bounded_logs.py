"""Logs of what training prints: their beginning and their end are kept, so that no disk is filled with the rest."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MOST = 8 << 20
# Kept of a log that has grown beyond that: the beginning and the end, a quarter of it each.
_PART = MOST // 4


def bound(path: Path, most: int = MOST) -> None:
    """Cut the middle out of a log that has grown beyond `most` bytes, also while it is written to (by appending)."""
    with suppress(OSError):
        size = os.stat(path).st_size
        if size <= most:
            return
        part = min(_PART, most // 4)
        with open(path, "r+b") as file:
            file.seek(size - part)
            tail = file.read()
            file.truncate(part)
            file.seek(part)
            gone = size - 2 * part
            file.write(f"\n[... {gone:,} bytes left out: a log keeps its beginning and its end ...]\n".encode() + tail)
