"""The outputs of an imported study: arrays that are read where they lie, if they are those that were imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.design_protocol import AnyDesign
from subtrain.errors import MismatchError
from subtrain.fingerprint import fingerprint
from subtrain.store.npy_files import opened
from subtrain.studies.segments.output_rows import ArrayRows


def imported_rows(
    root: Path, arrays: Mapping[str, str], design: AnyDesign, seen: str, digests: Mapping[str, str]
) -> ArrayRows:
    """The outputs of an imported study in folder `root`, from what study.json says of them.

    A name in it may lead out of the folder, for arrays are read where they lie; but it opens a file only if that
    holds what was imported (`seen`, the task's fingerprint), so that a study made by somebody else shows nobody a file
    that its maker did not have. Raises MismatchError otherwise.
    """
    places = {"masks": design.files["masks"][0], **{name: root / file for name, file in arrays.items()}}
    inside = os.path.join(os.path.realpath(root), "")
    outside = [place for place in places.values() if not os.path.realpath(place).startswith(inside)]
    if outside and array_fingerprint(places) != seen:
        raise MismatchError(
            f"{root} refers to arrays outside of it ({', '.join(map(str, outside))}), and they are not those that were "
            "imported: put the right files there, or import again"
        )
    known = {name: digests[file] for name, file in arrays.items() if file in digests}
    return ArrayRows({name: root / file for name, file in arrays.items()}, design.rows, design.unfilled, known)


def array_fingerprint(given: Mapping[str, Any]) -> str:
    """What tells the arrays of one imported study, masks first, from another's: some rows, spread over each."""
    return fingerprint(list(given), *map(_sample, given.values()))


def _sample(value: Any) -> NDArray[Any]:
    array = np.asarray(opened(value))
    return np.asarray(array[np.unique(np.linspace(0, len(array) - 1, 64).astype(np.int64))])
