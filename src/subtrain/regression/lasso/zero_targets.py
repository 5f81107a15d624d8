"""Targets whose weights are all 0, and why: said once for each cause, with a count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.regression.fit_warnings import warn, warn_constant, warn_ends, warn_gaps
from subtrain.regression.lasso.problem import too_close, too_close_said
from subtrain.system.types import Floats

if TYPE_CHECKING:
    from subtrain.regression.counting.counts import Counts
    from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions

# Steps of float16 between a target's least and greatest output up to which that format is to blame for losing it.
STEPS = 4
_left_out: ContextVar[NDArray[np.int64]] = ContextVar("_left_out", default=np.zeros(0, np.int64))  # noqa: B039


def warn_of(fit: LassoFit, how: LassoOptions, train: Counts, validated: bool) -> None:
    """Everything there is to say about a fit of these options, whose paths were those of `train`."""
    if validated:
        warn_ends(fit.lambdas, fit.validation_mse, fit.best, fit.weight)
    warn_constant(fit.constant_units, len(fit.weight))
    warn_gaps(fit.gap, how.tol)
    error = fit.validation_mse if validated else None
    varying = len(fit.weight) - fit.constant_units.size
    warn_zeros_of(train, fit.weight, varying, error=error, given=how.lambdas, penalty=how.penalty)


@contextmanager
def left_out(targets: Iterable[int]) -> Iterator[None]:
    """Within, no warning names these targets' weights: an earlier one told why they have none."""
    before = _left_out.set(np.array(list(targets), np.int64))
    try:
        yield
    finally:
        _left_out.reset(before)


def left_out_among(targets: NDArray[np.int64]) -> list[int]:
    """The places in `targets` of those that `left_out` names."""
    return [int(k) for k in np.flatnonzero(np.isin(targets, _left_out.get()))]


def warn_zeros_of(counts: Counts, weight: NDArray[np.floating], units: int, **how: Any) -> None:
    """`warn_zeros` of weights that were fitted on `counts`."""
    lost = too_close(counts)
    said = too_close_said(counts) if lost.any() else ""
    warn_zeros(weight, counts.y_min, counts.y_max, units, lost=(lost, said), **how)


def warn_zeros(
    weight: NDArray[np.floating],
    low: Floats,
    high: Floats,
    units: int,
    *,
    error: Floats | None = None,
    given: ArrayLike | int | None = None,
    penalty: ArrayLike | None = None,
    lost: tuple[NDArray[np.bool_], str] | None = None,
) -> None:
    """Warn of every target whose weights [n, T] are all 0.

    low, high: [T], least and greatest output of the fitting models; units: how many vary between the models; error:
    [k, T], on validation models, NaN where there was none; given: the lambdas that were asked for, a number or values;
    penalty: a factor of lambda for each unit; lost: [T], whose outputs lie too close together, and a sentence on where.
    """
    zero = np.asarray(~weight.any(axis=0))
    known = _left_out.get()
    zero[known[known < zero.size]] = False
    if not zero.any():
        return
    some = np.zeros_like(zero)

    def say(which: NDArray[np.bool_], cause: str) -> None:
        new = zero & which & ~some
        if new.any():
            some[new] = True
            warn(f"for {np.count_nonzero(new)} of {zero.size} targets all weights are 0: {cause}")

    every = np.ones_like(zero)
    if penalty is not None and not np.isfinite(np.asarray(penalty, np.float64)).any():
        say(every, "the penalty of every unit is infinite")
    if units == 0:
        say(every, "every unit is in all models or in none")
    say(low == high, "their outputs are the same in all fitting models")
    if lost is not None:
        say(lost[0], f"{lost[1]}; subtract the means of such targets")
    say(
        coarse(low, high),
        f"their outputs take at most {STEPS + 1} values, as float16 is too coarse at their size; record float32, or "
        "outputs with a constant taken off",
    )
    if given is not None and np.ndim(given):
        say(unmoved(error, zero), "every lambda given leaves them so; give smaller ones, or a number of lambdas")
    if error is not None and error.size and not np.isnan(error).all():
        say(
            every,
            "the largest lambda validates best, so nothing that was fitted predicts them better than their mean; "
            "there is no signal in them, or there are too few models",
        )
    say(every, "nothing was found in them")


def coarse(low: Floats, high: Floats) -> NDArray[np.bool_]:
    """bool [T]: both ends are numbers of float16 with hardly any other between them."""
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [np.asarray(end, np.float64).astype(np.float16) for end in (low, high)]
        largest = np.maximum(np.abs(ends[0]), np.abs(ends[1]))
        step = np.spacing(largest).astype(np.float64)
    held = np.isfinite(largest) & (ends[0] == low) & (ends[1] == high)
    return np.asarray(held & (high - low <= STEPS * step))


def unmoved(error: Floats | None, zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool [T]: every lambda has the same validation error, or there is none: no weight ever left 0."""
    if error is None or not error.size:
        return np.ones_like(zero)
    made = ~np.isnan(error)
    least, most = (np.where(made, error, fill).T for fill in (np.inf, -np.inf))
    return np.asarray(~made.any(axis=0) | (most.max(axis=1) - least.min(axis=1) <= 1e-9 * np.abs(most.max(axis=1))))
