"""Checks of a folder in the published layout: do its margins follow from its logits?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.quantities import MARGINS, margins
from subtrain.store.study import Study


def check_margins(study: Study, labels: ArrayLike, split: str = "test", sample: int = 64) -> str:
    """Which margin `{split}_margins` holds, from `{split}_logits` of some models: "max" or "logsumexp".

    labels: int [N], the correct class of each target. float16 outputs must agree within their rounding. Raises
    CorruptError, naming the first model and target that do not, when neither definition fits.
    """
    names = [f"{split}_margins", f"{split}_logits"]
    for name in names:
        if name not in study.outputs:
            raise InputError(f"{study.where} has no {name}: margins can be compared with logits only where both are")
    done = study.done()
    rows = done[np.unique(np.linspace(0, done.size - 1, min(sample, done.size)).astype(np.int64))]
    given, logits = (study.read(name, rows).astype(np.float64) for name in names)
    truth = np.asarray(labels)
    if truth.shape != logits.shape[1:2]:
        raise InputError(f"labels must be [{logits.shape[1]}], one a target, got {list(truth.shape)}")
    # Both were rounded to float16: the margin by half a unit in its last place, the two logits it comes from each too.
    allowed = 2.0**-9 * (np.abs(logits).max(axis=-1) + np.abs(given)) + 1e-6
    off = {kind: np.abs(margins(logits, truth, kind) - given) / allowed for kind in MARGINS}
    best = min(off, key=lambda kind: float(off[kind].mean()))
    if off[best].max() > 1:
        model, target = _first(off[best] > 1)
        raise CorruptError(
            f"{names[0]} of {study.where} does not follow from {names[1]}: model {rows[model]}, target {target} has "
            f"margin {given[model, target]:.4g}, its logits give {margins(logits, truth, best)[model, target]:.4g}"
        )
    return best


def _first(wrong: NDArray[np.bool_]) -> tuple[int, int]:
    model, target = np.argwhere(wrong)[0]
    return int(model), int(target)
