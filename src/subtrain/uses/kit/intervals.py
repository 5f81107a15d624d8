"""95 % intervals: of means of a few draws and their differences by Student's t, of shares by Wilson."""

from __future__ import annotations

from subtrain.errors import InputError
from subtrain.evaluation import Interval
from subtrain.system.types import Floats


def mean_interval(draws: Floats) -> Interval:
    """Mean of draws [r] and its interval, NaN for a single draw."""
    return _interval(*_moments(draws))


def difference_interval(after: Floats, before: Floats) -> Interval:
    """Mean of `after` [r] less that of `before` [s] with Welch's interval, NaN if either is one draw."""
    (a, var_a, df_a), (b, var_b, df_b) = _moments(after), _moments(before)
    scale = var_a**2 / max(df_a, 1) + var_b**2 / max(df_b, 1)
    freedom = min(df_a, df_b) if scale == 0 or min(df_a, df_b) < 1 else (var_a + var_b) ** 2 / scale
    return _interval(a - b, var_a + var_b, freedom)


def proportion(yes: int, of: int) -> Interval:
    """yes / of with Wilson's interval, which is right near 0 and 1 as well; NaN of none."""
    if of == 0:
        return Interval(*[float("nan")] * 3)
    from scipy.stats import binomtest

    found = binomtest(yes, of).proportion_ci(0.95, "wilson")
    return Interval(yes / of, float(found.low), float(found.high))


def signed(found: Interval) -> str:
    """An effect with its sign: "+0.12 [+0.1, +0.14]", without an interval where none is known."""
    ends = f" [{found.low:+.3g}, {found.high:+.3g}]" if found.low == found.low else ""
    return f"{found.value:+.3g}{ends}"


def at_least_one(runs: int) -> None:
    """The rule of every `verify`: one run of each training set shows an effect, two or more its interval as well.

    Raises InputError for fewer than one.
    """
    if runs < 1:
        raise InputError(f"runs must be 1 or more (2 or more tell an interval as well), got {runs}")


def told_runs(runs: int) -> str:
    """So many runs in words; of one, that it gives no interval."""
    return f"{runs} runs" if runs > 1 else "1 run, which gives no interval"


def _moments(draws: Floats) -> tuple[float, float, int]:
    """Mean, its squared standard error, degrees of freedom."""
    variance = float(draws.var(ddof=1) / draws.size) if draws.size > 1 else float("nan")
    return float(draws.mean()), variance, draws.size - 1


def _interval(mean: float, variance: float, freedom: float) -> Interval:
    from scipy.stats import t

    half = float(t.ppf(0.975, freedom)) * variance**0.5 if freedom >= 1 else float("nan")
    return Interval(mean, mean - half, mean + half)
