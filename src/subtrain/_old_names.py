"""Public names of version 0.1: for one release they still work, and say what replaces them."""

from __future__ import annotations

import warnings
from importlib import import_module

# Name: where what it was is found today, and what to write instead.
OLD = {
    "export": ("studies.export:export", "study.export(folder)"),
    "import_arrays": ("study:Study.from_arrays", "Study.from_arrays(…)"),
    "import_folder": ("study:Study.from_folder", "Study.from_folder(…)"),
    "import_reference": ("study:Study.from_reference", "Study.from_reference(…)"),
    "pairs_of": ("regression.estimators.kit.pairs:pairs_of", "Pairs.of(…)"),
    "status": ("collection.status:status", "study.status()"),
}


def old_name(name: str) -> object:
    """What the old name stands for, with a FutureWarning; AttributeError if it was never there."""
    if name not in OLD:
        raise AttributeError(f"module 'subtrain' has no attribute {name!r}")
    place, instead = OLD[name]
    module, _, path = place.partition(":")
    found: object = import_module(f"subtrain.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    warnings.warn(f"subtrain.{name} goes with the next release: write {instead}", FutureWarning, stacklevel=3)
    return found
