"""What the control groups of Linux allow this process: CPU time and memory, in containers, jobs and services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
# From here on a number of bytes is version 1's way to say that there is no limit.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Room:
    """A limit of memory in bytes, and what of it is in use; files that are only cached are not counted as used."""

    limit: int
    used: int


def cpu_limit(root: Path = ROOT) -> float | None:
    """Processors' worth of time that this process may use, 1.5 for one and a half; None without a limit.

    root: where /proc and /sys are found.
    """
    found = [share for folder in _folders("cpu", root) if (share := _share(folder)) is not None]
    return min(found, default=None)


def memory_rooms(root: Path = ROOT) -> list[Room]:
    """Every limit of memory that holds for this process, its own group's and those above it."""
    return [room for folder in _folders("memory", root) if (room := _room(folder)) is not None]


def _share(folder: Path) -> float | None:
    both = _text(folder / "cpu.max").split()
    if not both:
        both = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
    try:
        quota, period = int(both[0]), int(both[1])
    except (ValueError, IndexError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _room(folder: Path) -> Room | None:
    limits = [_number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    limit = min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)
    if limit is None:
        return None
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
    stat = {words[0]: words[1] for words in lines if len(words) == 2}
    cached = stat.get("total_inactive_file", stat.get("inactive_file", "0"))
    return Room(limit, max(0, used - int(cached if cached.isdecimal() else 0)))


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's group for a controller, of both versions, and of all groups above that are seen."""
    groups = _groups(_text(root / "proc/self/cgroup"))
    for line in _text(root / "proc/self/mountinfo").splitlines():
        words, _, about = line.partition(" - ")
        fields, (kind, _, options) = words.split(), [*about.split(" ", 2), "", ""][:3]
        first = kind == "cgroup" and controller in options.split(",")
        group = groups.get(controller if first else "")
        if len(fields) < 5 or group is None or not (first or kind == "cgroup2"):
            continue
        top = root / _plain(fields[4]).lstrip("/")
        inner = _below(_plain(fields[3]), group)
        folder = top / inner
        yield from (part for part in (folder, *folder.parents) if part == top or top in part.parents)


def _groups(text: str) -> dict[str, str]:
    """The group's path by controller, "" for version 2's."""
    found = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon:
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _below(mounted: str, group: str) -> str:
    """A group's path within a mount of the group `mounted`; the mount itself where the one does not hold the other."""
    inside = group == mounted or group.startswith(mounted.rstrip("/") + "/")
    path = group[len(mounted.rstrip("/")) :].strip("/") if inside else ""
    return "" if ".." in path.split("/") else path


def _plain(path: str) -> str:
    """A path of mountinfo, where blanks are written as \\040."""
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, letter)
    return path


def _number(file: Path) -> int | None:
    with suppress(ValueError):
        return int(_text(file))
    return None


def _text(file: Path) -> str:
    with suppress(OSError, ValueError):
        return file.read_text(encoding="utf-8", errors="replace").strip()
    return ""
