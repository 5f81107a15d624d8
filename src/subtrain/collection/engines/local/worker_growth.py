"""Memory that a worker holds: does it grow from segment to segment?"""

from __future__ import annotations

from dataclasses import dataclass

# What a worker may add to what it held after its first segment, before it counts as growing.
MORE = 1.5


@dataclass
class Growth:
    """What a worker held after its first segment, and now, in bytes."""

    first: int = 0
    now: int = 0

    def held(self, count: int) -> None:
        """It holds so much after a segment."""
        self.now = count
        self.first = self.first or count

    def beyond(self, limit: float | None) -> bool:
        """Whether it has grown, and beyond the limit; one that has always held that much is as it must be."""
        return limit is not None and self.now > limit and self.now > MORE * self.first
