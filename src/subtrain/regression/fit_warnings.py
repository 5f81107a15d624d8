"""What a fit could not do, said once for all targets, at the line that asked for it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

from subtrain.system.user_warning import warn_user

# Share of the targets that may validate best at the smallest lambda before that is worth a word, and how much of its
# validation error a target must gain over the path's last factor of two: less is what chance does once m >> n.
SHARE = 0.05
FALL = 0.01
# Targets that are named one by one.
NAMED = 10
_heard: ContextVar[tuple[list[str], bool] | None] = ContextVar("_heard", default=None)


class FitWarning(UserWarning):
    """Something about a fit that its user should know: units or targets it could do nothing for."""


@contextmanager
def heard(aloud: bool = True) -> Iterator[list[str]]:
    """What `warn` says within, as a list that fills; aloud: whether to warn as well, or only to keep it."""
    kept: list[str] = []
    before = _heard.set((kept, aloud))
    try:
        yield kept
    finally:
        _heard.reset(before)


def warn(message: str) -> None:
    """A FitWarning that points at the first caller outside this package."""
    listener = _heard.get()
    if listener is not None:
        listener[0].append(message)
        if not listener[1]:
            return
    warn_user(message, FitWarning)


@contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """The sentences of the FitWarnings of a block, there once it ends; each is then warned of once, like all others."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        yield said
    for one in caught:
        if not issubclass(one.category, FitWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif str(one.message) not in said:
            said.append(str(one.message))
    for sentence in said:
        warn(sentence)


def warn_ends(
    lambdas: NDArray[np.float64],
    error: NDArray[np.float64],
    best: NDArray[np.int64],
    weight: NDArray[np.floating],
) -> None:
    """Warn of targets whose best lambda is an end of the path; lambdas, validation error: [k, T], best: [T].

    Those whose weights [n, T] are all 0 are left to `warn_zeros`.
    """
    k, count = lambdas.shape
    free = (lambdas[0] > 0) & weight.any(axis=0)
    first = int(np.count_nonzero(free & (best == 0)))
    if k > 1 and first:
        warn(f"for {first} of {count} targets the largest lambda validates best: nothing that was fitted predicts them")
    last = int(np.count_nonzero(free & still_falling(lambdas, error)))
    if k > 1 and last > SHARE * count:
        warn(f"for {last} of {count} targets the smallest lambda validates best: a smaller eps may predict them better")


def still_falling(lambdas: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool [T]: the least validation error [k, T] is the last, and 1 % below that of twice the last lambda."""
    twice = np.minimum((lambdas >= 2 * lambdas[-1]).sum(axis=0), len(lambdas) - 1) - 1
    before = error[np.maximum(twice, 0), np.arange(error.shape[1])]
    with np.errstate(invalid="ignore"):
        least = error[-1] <= np.nanmin(np.where(np.isnan(error), np.inf, error), axis=0)
        falling: NDArray[np.bool_] = least & (error[-1] < (1 - FALL) * before)
    return falling


def warn_constant(constant: NDArray[np.int64], n: int) -> None:
    """Warn of units that are in every mask or in none."""
    if constant.size:
        warn(
            f"{constant.size} of {n} units are in every mask or in none; their weight is 0 "
            f"(the first is unit {constant[0]})"
        )


def warn_gaps(gap: NDArray[np.float64], tol: float) -> None:
    """Warn of targets whose relative duality gap [T] is above tol, by number."""
    short = np.flatnonzero(gap > tol)
    if not short.size:
        return
    worst = int(np.argmax(gap))
    named = ", ".join(str(t) for t in short[:NAMED]) + (", ..." if short.size > NAMED else "")
    warn(
        f"for {short.size} of {gap.size} targets the relative duality gap stays above tol = {tol:g} (targets "
        f"{named}); the worst is target {worst} with {gap[worst]:.2g}. Raise max_iter or tol"
    )
