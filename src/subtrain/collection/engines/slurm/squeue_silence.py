"""When squeue does not answer: say so, go on waiting, and give up in the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from subtrain.errors import CollectError

# Times in a row that squeue may fail before the user hears of it.
SAID_AFTER = 3
# Seconds without an answer, nor a commit that shows that jobs go on, before it is an error.
MOST = 1800.0


@dataclass
class Silence:
    """How long squeue has been silent about the jobs of the study at `location`; what to say of it joins `notes`."""

    location: str
    notes: list[str]
    unanswered: int = 0
    last: float = field(default_factory=time.monotonic)

    def heard(self, answered: bool, landed: bool) -> None:
        """squeue was asked and answered or not, segments have landed or not; CollectError once it is too long."""
        if answered and self.unanswered >= SAID_AFTER:
            self.notes.append("squeue answers again")
        self.unanswered = 0 if answered else self.unanswered + 1
        if self.unanswered == SAID_AFTER:
            self.notes.append("squeue does not answer: waiting for it, and counting what is committed meanwhile")
        if answered or landed:
            self.last = time.monotonic()
        elif self.unanswered > SAID_AFTER and time.monotonic() - self.last > MOST:
            raise CollectError(
                f"squeue has not answered for {MOST / 60:.0f} minutes, and nothing was committed: the jobs of "
                f"{self.location} may go on; collect again to pick them up"
            )
