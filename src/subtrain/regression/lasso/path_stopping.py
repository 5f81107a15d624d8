"""When a path of lambdas may end before its last one: one rule for all that follow a path with its validation error.

With few validation models the error rises by chance before it falls, and where models are few for their units it may
fall, rise and fall again. So a path never ends above `FLOOR` of its largest lambda; and then only with many validation
models and many fitting models a unit, or where the error is far above the least and stays there. What the rule loses
and saves against whole paths: benchmarks/early_stop.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError

# Share of the largest lambda above which no path ends.
FLOOR = 0.1
# The least error so far is believed with this many validation models and this many fitting models a unit; or, of many
# units, with many validation models, for what chance does to one unit it undoes with others.
VALIDATING, PER_UNIT = 100, 3
MANY_VALIDATING, MANY_UNITS = 300, 1000
# With fewer, a path ends where the error is this many times the least, twice as many lambdas after it, if there are
# this many validation models.
HOPELESS, SOME_VALIDATING = 1.5, 20
# Part of the name under which finished paths are kept, so that those of another rule are not taken for this one's.
RULE = f"{FLOOR}, {VALIDATING} x {PER_UNIT}, {MANY_VALIDATING} x {MANY_UNITS}, {HOPELESS} x {SOME_VALIDATING}"


class Stop(NamedTuple):
    """patience: lambdas to go on after the least error, 0 for all of them; believed: whether that is enough by itself;
    hopeless: whether an error far above the least is."""

    patience: int
    believed: bool
    hopeless: bool


NEVER = Stop(0, False, False)


def stopping(early_stop: int | None, fitting: int, units: int, validating: int) -> Stop:
    """The rule of `early_stop` for so many models that fit weights of so many units, and this many that validate.

    Raises InputError for an early_stop below 1.
    """
    check_early_stop(early_stop)
    if early_stop is None or validating == 0:
        return NEVER
    believed = validating >= VALIDATING and fitting >= PER_UNIT * units
    believed |= validating >= MANY_VALIDATING and units >= MANY_UNITS
    return Stop(int(early_stop), bool(believed), validating >= SOME_VALIDATING)


def check_early_stop(early_stop: int | None) -> None:
    """Refuse what is no number of lambdas."""
    if early_stop is not None and early_stop < 1:
        raise InputError(f"early_stop must be at least 1 lambda, or None, got {early_stop}")


def ended(stop: Stop, since: Any, error: Any, least: Any) -> Any:
    """Whether a path ends with an error, `since` lambdas after the least one or after the first at the floor.

    since, error, least: numbers, or arrays of many targets (of numpy or PyTorch).
    """
    enough = (since >= stop.patience) & stop.believed
    hopeless = (since >= 2 * stop.patience) & (error > HOPELESS * least) & stop.hopeless
    return (enough | hopeless) & (stop.patience > 0)


def floors(lambdas: NDArray[np.float64], largest: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64 [T], the place of the first lambda [T, k] that is at most `FLOOR` of the largest [T]; k where none is."""
    found: NDArray[np.int64] = np.count_nonzero(lambdas > FLOOR * largest[:, None], axis=1).astype(np.int64)
    return found
