"""When a device runs out of memory: fewer workers on it, or the models' own fault?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from subtrain.store.segment import Range


class Shortage:
    """Counts the workers on each device; not thread-safe by itself.

    A segment that runs out of memory costs its worker the slot, as long as another shares the device. A segment that
    did so before, while others went through since, is itself to blame: it is trained once more with nothing given up
    for it, as it is on a device with one worker left.
    """

    def __init__(self, devices: Iterable[str]) -> None:
        self.slots = Counter(devices)
        self.committed = 0
        self.short_at: dict[Range, int] = {}
        self.final: set[Range] = set()

    def last_try(self, where: Range, device: str) -> bool:
        """Whether running out of memory now fails the segment's models."""
        return where in self.final or self.slots[device] == 1

    def retire(self, where: Range, device: str) -> bool:
        """The segment ran out of memory; True if its worker should give up its slot."""
        if self.short_at.get(where, self.committed) < self.committed:
            self.final.add(where)
        self.short_at[where] = self.committed
        if where in self.final or self.slots[device] == 1:
            return False
        self.slots[device] -= 1
        return True

    def leave(self, device: str) -> None:
        """A worker on the device has nothing left to do."""
        self.slots[device] -= 1
