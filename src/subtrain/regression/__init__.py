"""Regression: exact counts of masks and outputs, and the datamodels that they determine.

The public names stand in __init__.pyi, and each is imported when it is first asked for.
"""

from typing import Any

import lazy_loader

from subtrain.system.user_warning import warn_user

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
# Names of version 0.1, for one release, and what replaces them.
_OLD = {"Judges": "ValidationModels", "pairs_of": "Pairs.of"}


def __getattr__(name: str) -> Any:
    if name not in _OLD:
        return _load(name)
    first, _, rest = _OLD[name].partition(".")
    message = f"subtrain.regression.{name} is removed in the next release: write {_OLD[name]}"
    warn_user(message, FutureWarning)
    found = _load(first)
    return getattr(found, rest) if rest else found
