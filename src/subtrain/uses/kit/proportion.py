"""A share of yes among few: with an interval that is right near 0 and 1 as well."""

from __future__ import annotations

from subtrain.evaluation import Interval


def proportion(yes: int, of: int) -> Interval:
    """yes / of with Wilson's 95 % interval; NaN of none."""
    if of == 0:
        return Interval(*[float("nan")] * 3)
    from scipy.stats import binomtest

    found = binomtest(yes, of).proportion_ci(0.95, "wilson")
    return Interval(yes / of, float(found.low), float(found.high))
