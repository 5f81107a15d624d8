"""Parts that work as far as they were tried, and warn once of what is unproven about them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from subtrain.system.user_warning import warn_user

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_warned: set[str] = set()


class ExperimentalWarning(UserWarning):
    """A part that may change, or whose promise was not measured everywhere it is meant for."""


def experimental(unproven: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A function that warns when it is first called.

    Args:
        unproven: What nobody has shown yet, in a sentence. Functions with the same sentence warn once together.

    Example:
        >>> @experimental("it was never run at night")
        ... def double(x):
        ...     return 2 * x
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     double(1), double(2)
        (2, 4)
        >>> print(*(warning.message for warning in said))
        double is experimental: it was never run at night
    """

    def decorated(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            if unproven not in _warned:
                _warned.add(unproven)
                message = f"{function.__name__} is experimental: {unproven}"
                warn_user(message, ExperimentalWarning)
            return function(*args, **kwargs)

        return called

    return decorated
