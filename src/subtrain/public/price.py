"""What reading paid files costs, in dollars and in time, and a limit that no reading may pass."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from subtrain.errors import InputError
from subtrain.formatting import duration, size

GIB = 2**30
MAX_COST = 1.0
# Bytes asked for at once: the least that makes the time to the first byte small beside the rest.
PIECE = 16 << 20


@dataclass(frozen=True)
class Rates:
    """What the requester pays, in dollars: for 2^30 bytes transferred, a GET or HEAD request, a LIST request."""

    per_gib: float = 0.09
    per_request: float = 4e-7
    per_list: float = 5e-6


FREE = Rates(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Network:
    """bandwidth: bytes a second in all; latency: seconds to the first byte; parallel: requests at a time."""

    bandwidth: float = 12.5e6
    latency: float = 0.1
    parallel: int = 16

    def __post_init__(self) -> None:
        if not (self.bandwidth > 0 and self.latency >= 0 and self.parallel >= 1):
            raise InputError(f"a network needs a positive bandwidth, a latency and parallel requests, got {self}")

    def seconds(self, count: int, requests: int) -> float:
        """Seconds that so many bytes take in so many requests."""
        return max(count / self.bandwidth, requests * self.latency / self.parallel) + self.latency * (requests > 0)


@dataclass(frozen=True)
class Price:
    """bytes transferred, GET and HEAD requests, LIST requests; what they cost in dollars and take in seconds."""

    bytes: int
    requests: int
    lists: int
    dollars: float
    seconds: float

    def __add__(self, other: Price) -> Price:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Price(*(a + b for a, b in pairs))

    def __str__(self) -> str:
        many = "1 request" if self.requests == 1 else f"{self.requests:,} requests"
        return f"{size(self.bytes)} in {many}: {dollars(self.dollars)}, {duration(self.seconds)}"

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def price(count: int, requests: int, rates: Rates, network: Network = Network(), lists: int = 0) -> Price:
    """The price of `count` bytes in so many GET or HEAD requests, and of listing in `lists` more."""
    cost = count / GIB * rates.per_gib + requests * rates.per_request + lists * rates.per_list
    return Price(count, requests, lists, cost, network.seconds(count, requests + lists))


def whole_price(count: int, rates: Rates, network: Network = Network()) -> Price:
    """The price of a whole file of `count` bytes, with the request that looks at it first."""
    return price(count, 1 + -(-count // PIECE), rates, network)


@dataclass
class Purse:
    """What may be spent, in dollars, None for no limit, and what has been."""

    limit: float | None = MAX_COST
    spent: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def check(self, cost: Price, what: str) -> None:
        """Raise InputError, before anything of it is read, for a reading that would pass the limit."""
        # A reading that is cut otherwise than was foreseen takes some requests more.
        if self.limit is None or cost.dollars == 0 or self.spent + cost.dollars <= 1.01 * self.limit:
            return
        beside = f" beside the {dollars(self.spent)} before it" if self.spent else ""
        raise InputError(
            f"{what} takes {cost}{beside}; that passes the limit of {dollars(self.limit)}: allow it with a higher "
            "max_cost (--max-cost, or --yes), or read less"
        )

    def pay(self, cost: Price, what: str) -> None:
        """Account for what is about to be asked for, or refuse it as `check` does."""
        with self._lock:
            self.check(cost, what)
            self.spent += cost.dollars


def dollars(amount: float) -> str:
    """An amount as a person writes it; never "$0.00" for what is not free."""
    if amount == 0:
        return "free"
    return f"${amount:,.2f}" if amount >= 0.01 else "under $0.01"
