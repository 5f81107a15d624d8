"""Common mistakes in a training function, seen from what a few models return, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.outputs import Output
from subtrain.quantities import quantity_of

Arrays = Mapping[str, NDArray[Any]]
FLOAT16_MAX = float(np.finfo(np.float16).max)


def same(a: Arrays, b: Arrays) -> bool:
    """Whether all outputs agree bit for bit."""
    return all(a[name].tobytes() == b[name].tobytes() for name in a)


def mask_ignored(model: Arrays, other_mask: Arrays) -> str:
    """Of two models that differ in their subset only."""
    if not same(model, other_mask):
        return ""
    return "two different subsets give identical outputs: the training code does not use its mask (its indices)"


def too_coarse(outputs: Mapping[str, Output], model: Arrays, other_mask: Arrays, raw: Arrays, raw_mask: Arrays) -> str:
    """Of the same two models, and what they returned before it was cast: whether the dtype made them alike."""
    if not same(model, other_mask) or same(raw, raw_mask):
        return ""
    name = max(raw, key=lambda key: float(np.abs(raw[key] - raw_mask[key]).max()))
    coarse = _steps(name, outputs[name], raw, raw_mask)
    return f"two different subsets give identical outputs once they are stored: {coarse}"


def _steps(name: str, spec: Output, raw: Arrays, raw_mask: Arrays) -> str:
    """How coarse the dtype is beside what another subset changes."""
    size, moved = float(np.abs(raw[name]).max()), float(np.abs(raw[name] - raw_mask[name]).std() or np.nan)
    moved = float(np.abs(raw[name] - raw_mask[name]).max()) if moved != moved else moved
    step = float(np.spacing(np.asarray(size, spec.dtype))) if np.dtype(spec.dtype).kind == "f" else 1.0
    return (
        f"{name} reaches {size:,.4g}, where {spec.dtype} keeps steps of {step:.2g}, and another subset moves it by "
        f'{moved:.2g}; declare a wider dtype, st.Output({list(spec.shape)}, "float32") or dtype="float32" of a helper'
    )


def coarse(outputs: Mapping[str, Output], raw: Arrays, raw_mask: Arrays) -> list[str]:
    """Outputs whose dtype rounds away a good part of what another subset changes, in words."""
    found = []
    for name, spec in outputs.items():
        change = np.abs(raw[name] - raw_mask[name])
        if spec.dtype != "float16" or not change.any():
            continue
        largest = np.minimum(np.abs(raw[name]), FLOAT16_MAX)
        step = np.spacing(largest.astype(np.float16)).astype(np.float64)
        if np.median(step) > 0.25 * np.median(change[change > 0]):
            found.append(_steps(name, spec, raw, raw_mask))
    return found


def seed_ignored(model: Arrays, other_seed: Arrays) -> str:
    """Of two models that differ in their seed only."""
    if not same(model, other_seed):
        return ""
    return (
        "two different seeds give identical outputs: if training has anything random, seed it with the seed it gets; "
        "if it has not, one replicate a held-out subset is enough"
    )


def oddities(outputs: Mapping[str, Output], model: Arrays, other_mask: Arrays) -> list[str]:
    """What is strange about the values of two models [*shape] trained on different subsets."""
    found = []
    for name, spec in outputs.items():
        a, b = (np.asarray(arrays[name], np.float64) for arrays in (model, other_mask))
        found += [said for said in (_constant(name, a, b), _not_margins(name, a, b), _large(name, spec, a, b)) if said]
    return found


def _constant(name: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    if a.size > 1 and np.ptp(a) == 0:
        return f"{name} has the same value, {a.flat[0]:g}, for every target"
    unchanged = float(np.mean(a == b))
    if unchanged > 0.5 and not _two_values(a):
        return f"{unchanged:.0%} of the targets of {name} are the same for two different subsets"
    return ""


def _not_margins(name: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    both = np.concatenate([a.ravel(), b.ravel()])
    if not quantity_of(name).of_logits or both.min() < 0 or both.max() > 1 or both.size < 4:
        return ""
    if _two_values(both):
        return f"{name} holds only 0 and 1, as correctness does; st.margins(logits, labels) makes margins"
    return f"{name} lies within 0 and 1, as probabilities do; margins are st.margins(logits, labels), of logits"


def _two_values(values: NDArray[np.float64]) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _large(name: str, spec: Output, a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    largest = float(max(np.abs(a).max(), np.abs(b).max()))
    if spec.dtype != "float16" or largest < FLOAT16_MAX / 8:
        return ""
    return (
        f"{name} reaches {largest:,.0f}; float16 ends at {FLOAT16_MAX:,.0f} and keeps three digits: "
        f'declare it as st.Output({list(spec.shape)}, "float32")'
    )
