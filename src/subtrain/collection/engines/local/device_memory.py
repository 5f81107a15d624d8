"""When a device runs out of memory: fewer workers on it, or is it one segment's own fault?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from subtrain.designs.model_rows import Span


class Remedy(Enum):
    """What becomes of a segment that ran out of memory, and of its worker's slot."""

    AGAIN = "try it again: the worker is the last on its device by now"
    RETIRE = "give the slot up, and let another worker try"
    ALONE = "keep the slot, and try it when its worker has the device for itself"


class Shortage:
    """Counts the workers on each device; not thread-safe by itself.

    The first time a segment runs out of memory its worker's slot is given up, as long as another shares the device. If
    it does so again while others went through, too many workers are not the reason: it has to wait for its turn alone.
    """

    def __init__(self, devices: Iterable[str]) -> None:
        self.slots = Counter(devices)
        self.committed = 0
        self.short_at: dict[Span, int] = {}

    def alone(self, device: str) -> bool:
        """Whether a worker has the device for itself: if memory runs out now, the models fail."""
        return self.slots[device] == 1

    def ran_out(self, span: Span, device: str) -> Remedy:
        """A worker on the device ran out of memory with this segment."""
        if self.alone(device):
            return Remedy.AGAIN
        if self.short_at.setdefault(span, self.committed) < self.committed:
            return Remedy.ALONE
        self.slots[device] -= 1
        return Remedy.RETIRE

    @property
    def last(self) -> bool:
        """Whether one worker is left in all: if the system kills it for want of memory, its model is to blame."""
        return self.slots.total() <= 1

    def killed(self, span: Span, device: str) -> Remedy:
        """The system killed a worker on the device, whose memory all devices share: one worker less."""
        again = self.short_at.setdefault(span, self.committed) < self.committed
        if again and self.slots[device] > 1:
            return Remedy.ALONE
        self.slots[device] -= 1
        return Remedy.RETIRE

    def leave(self, device: str) -> None:
        """A worker on the device has nothing left to do."""
        self.slots[device] -= 1


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
