"""The decorator of every question: where its datamodels and study come, and what its result remembers of them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.studies.stored_study import StoredStudy
from subtrain.uses.kit.result import Result
from subtrain.uses.kit.weak_fit import weak_fit

P = ParamSpec("P")
R = TypeVar("R", bound=Result)
KINDS = {"dm": Datamodels, "other": Datamodels, "study": StoredStudy, "other_study": StoredStudy}
FITS = (("dm", "study"), ("other", "other_study"))
# Questions that retrained as well in version 0.1, as often as runs= said.
RETRAINED_AT_ONCE = ("support", "counterfactuals", "brittleness")


def question(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator for functions (dm, study, …), or (study, …) where no datamodels are needed, that return a Result.

    The result remembers both, and says where a fit is weak. Raises InputError where something else is given for them.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def asked(*args: P.args, **given: P.kwargs) -> R:
        if function.__name__ in RETRAINED_AT_ONCE and "runs" in given:
            verified: R = _asked_and_verified(asked, signature, *args, **given)
            return verified
        named = signature.bind(*args, **given).arguments
        for name, kind in KINDS.items():
            if not isinstance(named.get(name), kind | None):
                order = ", ".join(part for part in signature.parameters if part in KINDS)
                wanted = "a study" if kind is StoredStudy else "datamodels"
                raise InputError(
                    f"{function.__name__}({order}, …): {name} must be {wanted}, got {type(named[name]).__name__}"
                )
        found = function(*args, **given)
        lines = dict.fromkeys(
            weak_fit(named[dm], named[study]) for dm, study in FITS if named.get(dm) and named.get(study)
        )
        found.about(named.get("dm"), named.get("study"), "; ".join(line for line in lines if line))
        return found

    return asked


def _asked_and_verified(asked: Callable[..., Any], signature: inspect.Signature, *args: Any, **given: Any) -> Any:
    """The question as version 0.1 asked it: its result verified, if runs is not 0."""
    warnings.warn(
        f"{asked.__name__}(runs=…) goes with the next release: write {asked.__name__}(…).verify(runs=…)",
        FutureWarning,
        stacklevel=3,
    )
    runs = given.pop("runs")
    own = {name: value for name, value in given.items() if name in signature.parameters}
    options = {name: value for name, value in given.items() if name not in own}
    if own.get("calibrate"):
        own["calibrate"] = runs
    found = asked(*args, **own)
    return found.verify(runs, **options) if runs else found
