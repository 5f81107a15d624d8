"""The decorator of every question: where its datamodels and study come, and what its result says of a weak fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import EVALUATION, FIT
from subtrain.errors import InputError, SubtrainError
from subtrain.evaluation import score, weakness
from subtrain.evaluation_models import even_replicates, held_out, refuse_seen
from subtrain.studies.stored_study import StoredStudy
from subtrain.study import Study
from subtrain.system.user_warning import warn_user
from subtrain.uses.kit.result import Result

# Of many evaluation subsets and targets, these many tell whether a fit is weak.
SUBSETS, TARGETS = 200, 200
_known: WeakKeyDictionary[Datamodels, dict[str, str]] = WeakKeyDictionary()
P = ParamSpec("P")
R = TypeVar("R", bound=Result)
KINDS = {"dm": Datamodels, "other": Datamodels, "study": StoredStudy, "other_study": StoredStudy}
FITS = (("dm", "study"), ("other", "other_study"))
# Questions that retrained as well in version 0.1, as often as runs= said.
OLD_KEYWORDS = {"judge": "others", "what": "targets"}
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
        for old, new in OLD_KEYWORDS.items():
            if old in given and new in signature.parameters:
                given[new] = given.pop(old)
                warn_user(f"{old}=… is removed in the next release: write {new}=…", FutureWarning)
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
    warn_user(
        f"{asked.__name__}(runs=…) is removed in the next release: write {asked.__name__}(…).verify(runs=…)",
        FutureWarning,
    )
    runs = given.pop("runs")
    own = {name: value for name, value in given.items() if name in signature.parameters}
    options = {name: value for name, value in given.items() if name not in own}
    if own.get("calibrate"):
        own["calibrate"] = runs
    found = asked(*args, **own)
    return found.verify(runs, **options) if runs else found


def weak_fit(dm: Datamodels, study: Study) -> str:
    """The line; "" where the fit is not weak, or no evaluation models tell."""
    known = _known.setdefault(dm, {})
    key = f"{study.identity} {study.models}"
    if key not in known:
        try:
            known[key] = _line(dm, study)
        except SubtrainError:
            known[key] = ""
    return known[key]


def _line(dm: Datamodels, study: Study) -> str:
    output = str(dm.meta.get("output") or next(iter(study.outputs)))
    index = study.done(EVALUATION)
    if output not in study.outputs or dm.n != study.n or not index.size:
        return ""
    refuse_seen(dm, study, index)
    index, subsets, runs = even_replicates(study, index)
    heldout = held_out(dm, study, index[: min(subsets, SUBSETS) * runs], output)
    targets = np.setdiff1d(np.linspace(0, dm.targets - 1, min(TARGETS, dm.targets)).astype(np.int64), heldout.left_out)
    predicted = dm.predict(study.masks(heldout.rows[:: heldout.replicates]), targets.tolist())
    found = score(predicted, heldout.outputs[..., targets], bootstrap=0)
    return weakness(found.lds.value, found.lds_ceiling, study.location, study.done(FIT).size)
