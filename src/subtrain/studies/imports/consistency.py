"""Whether arrays that are to become a study belong together: targets, margins and logits, rows never filled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.outputs import Output
from subtrain.quantities import MARGINS, margins, split_of

# Numbers of logits up to which all models are compared; beyond, `SAMPLE` of them.
_WHOLE = 1 << 28
SAMPLE = 64
_BLOCK = 64


def check_targets(schema: Mapping[str, Output], units: int | None = None) -> None:
    """InputError where two outputs of a split are about different numbers of targets.

    units: how many training examples the masks are over, where train targets must be those.
    """
    first: dict[str, tuple[str, int]] = {} if units is None else {"train": ("train_masks", units)}
    for name, spec in schema.items():
        split = split_of(name)
        if not split:
            continue
        other, count = first.setdefault(split, (name, spec.shape[0]))
        if count != spec.shape[0]:
            raise InputError(
                f"{name} has {spec.shape[0]:,} targets, but {other} has {count:,}: both must be of the same examples"
            )


def compare_margins(
    given: Any, logits: Any, labels: ArrayLike, rows: NDArray[np.int64], names: tuple[str, str], location: object
) -> tuple[str, str]:
    """Which margin `given` [M, N] holds, from logits [M, N, C] of these rows: "max" or "logsumexp"; and a sentence.

    labels: int [N], the correct class of each target. Numbers must agree within what float16 rounds. A target whose
    logits are not all finite is not compared, and counted. Raises CorruptError, naming the first model and target that
    do not agree, when neither definition fits.
    """
    truth = np.asarray(labels)
    if len(logits.shape) != 3 or truth.shape != logits.shape[1:2]:
        raise InputError(f"labels must be [{logits.shape[1]}], one a target, got {list(truth.shape)}")
    total, some = rows.size, rows
    if rows.size * int(np.prod(logits.shape[1:], dtype=np.int64)) > _WHOLE:
        some = rows[np.unique(np.linspace(0, rows.size - 1, SAMPLE).astype(np.int64))]
    wrong: dict[str, tuple[int, int, float, float] | None] = dict.fromkeys(MARGINS)
    amount, skipped = dict.fromkeys(MARGINS, 0), 0
    for first in range(0, some.size, _BLOCK):
        block = some[first : first + _BLOCK]
        said, scores = np.asarray(given[block], np.float64), np.asarray(logits[block], np.float64)
        known = np.asarray(np.isfinite(scores).all(axis=-1))
        skipped += int(np.count_nonzero(~known))
        scores = np.where(known[..., None], scores, 0)
        # Both were rounded to float16: the margin by half its last place, the two logits it comes from each too.
        allowed = 2.0**-9 * (np.abs(scores).max(axis=-1) + np.abs(said)) + 1e-6
        for kind in MARGINS:
            found = margins(scores, truth, kind)
            off = known & ~(np.abs(found - said) <= allowed)
            amount[kind] += int(np.count_nonzero(off))
            if wrong[kind] is None and off.any():
                k, t = (int(v) for v in np.argwhere(off)[0])
                wrong[kind] = (int(block[k]), t, float(said[k, t]), float(found[k, t]))
    best = min(amount, key=lambda kind: amount[kind])
    first_wrong = wrong[best]
    if first_wrong is not None:
        model, target, is_, right = first_wrong
        raise CorruptError(
            f"{names[0]} of {location} does not follow from {names[1]}: model {model}, target {target} has "
            f"margin {is_:.4g}, its logits give {right:.4g}; {amount[best]:,} numbers of {some.size:,} models differ"
        )
    return best, _told(best, names, some.size, total, skipped)


def _told(kind: str, names: tuple[str, str], looked: int, total: int, skipped: int) -> str:
    models = f"all {total:,} models" if looked == total else f"the {looked:,} of {total:,} models that were looked at"
    inf = f"; {skipped:,} numbers were not compared, as their logits are not finite" if skipped else ""
    kind = f"that of the correct class minus the {MARGINS[kind]}"
    return f"The {names[0]} of {models} follow from the {names[1]}: {kind}{inf}"


def never_filled(empty: NDArray[np.int64], outputs: Mapping[str, Any]) -> NDArray[np.int64]:
    """Those of the rows whose mask is `empty` that have nothing but zeros or NaN in every output."""
    left = empty
    for value in outputs.values():
        kept = []
        for first in range(0, left.size, 1024):
            rows = left[first : first + 1024]
            array = np.asarray(value[rows]).reshape(rows.size, -1)
            kept.append(rows[((array == 0) | (array != array)).all(axis=1)])
        left = np.concatenate(kept) if kept else left
    return left
