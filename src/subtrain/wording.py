"""Bytes and durations as a person writes them."""

from __future__ import annotations


def size(count: float) -> str:
    """A number of bytes: 12 B, 3.4 kB, 5.1 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """A duration, also a short one: 12 µs, 3.4 ms, 5.1 s, 2 min 3 s."""
    for unit, name in ((1e-3, "µs"), (1.0, "ms")):
        if 0 < seconds < unit:
            return f"{seconds / unit * 1000:.3g} {name}"
    return f"{seconds:.2g} s" if seconds < 10 else clock(seconds)


def clock(seconds: float) -> str:
    """A duration in whole seconds or longer units: 8 s, 3 min 20 s, 5 h 10 min, 2 d 4 h."""
    s = round(seconds)
    for length, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if s >= length:
            return f"{s // length} {unit} {s % length // below} {small}"
    return f"{s} s"
