"""The published datamodels, or others of the reference code: which units their weights are in, and the same in ours.

The reference solver fits on standardized masks, keeps those weights and drops the means and deviations, so that the
file alone does not say what its numbers mean. The mean output does: raw weights predict bias + sum(mean mask x weight)
on average, and standardized ones their bias alone.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import FIT
from subtrain.errors import InputError
from subtrain.study import Study
from subtrain.system.paths import local_path
from subtrain.system.types import Floats
from subtrain.system.user_warning import warn_user

RAW, STANDARDIZED = "raw", "standardized"
SAMPLE = 2000
_BLOCK = 64 << 20
_ROWS = 4096
# Mask bits up to which means and deviations of the study's own masks are taken; beyond, alpha's are as good.
_BITS = 1 << 33
_SAY = f"say which they are with units (--units {RAW} or --units {STANDARDIZED})"


@dataclass(frozen=True, eq=False)
class MaskMoments:
    """Mean and standard deviation of each unit's mask bit over the models to fit on, float64 [n]."""

    mean: Floats
    deviation: Floats

    @property
    def inverse(self) -> Floats:
        """1 / deviation, 0 for a unit that is in all masks or in none."""
        return np.divide(1.0, self.deviation, out=np.zeros_like(self.deviation), where=self.deviation > 0)


def load_published(
    path: str | Path, study: Study, output: str | None = None, units: str | None = None, sample: int = SAMPLE
) -> Datamodels:
    """Datamodels of a `.pt` file {weight, bias, lam} over the study's units, in raw-mask units.

    The file is read with weights_only=True, so that no code in it runs, and mapped rather than loaded. output: the
    output they predict; by default the only one with as many targets. units: "raw" or "standardized" if it is known,
    else found out from the mean output of `sample` of the study's models (`found_units`). Standardized weights are
    divided by the deviations of the study's own masks, which the reference's solver had multiplied them with. A target
    with a weight or bias that is not finite gets weights of 0, with a warning. Raises InputError when sizes do not
    fit, or when the units cannot be told.
    """
    found = _loaded(local_path(path))
    name = _output(found, study, output)
    if found.n != study.n:
        raise InputError(f"{path} has datamodels over {found.n} units, {study.location} has {study.n}")
    if units not in (None, RAW, STANDARDIZED):
        raise InputError(f"units are {RAW!r} or {STANDARDIZED!r}, got {units!r}")
    columns = mask_columns(study)
    shift = weighted_sums(found.weight, columns.mean)
    mean, error = _means(study, name, sample) if units is None else (np.zeros(0), np.zeros(0))
    kind = units or found_units(found.bias, shift, mean, error, str(path))
    found, lost = _without_broken(found, shift, str(path))
    meta = {
        "output": name,
        "alpha": float(np.mean(study.design.alpha)),
        "scale": "raw masks",
        "source": Path(path).name,
        "published_units": kind,
    }
    meta |= {"targets_left_out": lost} if lost else {}
    return replace(found if kind == RAW else standardized_to_raw(found, columns), meta=meta)


def standardized_to_raw(found: Datamodels, columns: MaskMoments) -> Datamodels:
    """The same functions of a mask, with weights in raw-mask units; lam stays that of the standardized problem."""
    inverse = columns.inverse
    shift = weighted_sums(found.weight, columns.mean * inverse)
    weight = found.weight * inverse.astype(found.weight.dtype)[:, None]
    return replace(found, weight=weight, bias=found.bias - shift)


def found_units(
    bias: NDArray[Any], shift: Floats, mean: Floats, error: Floats | None = None, location: str = "the file"
) -> str:
    """ "raw" or "standardized": in which units bias [T] and shift [T], the sums of mean mask x weight, give the mean
    outputs [T], whose standard errors are `error` [T].

    Targets with a number that is not finite are not asked. Raises InputError when neither units come near the means,
    for then the file is about other targets, or when both do, for then its weights add up to too little to tell.
    """
    asked = np.isfinite(bias) & np.isfinite(shift) & np.isfinite(mean)
    if not asked.any():
        raise InputError(f"no target of {location} has finite weights and outputs to tell its units by: {_SAY}")
    noise = 0.0 if error is None else float(np.median(error[asked]))
    off = bias[asked] - mean[asked]
    misses = {RAW: np.median(np.abs(off + shift[asked])), STANDARDIZED: np.median(np.abs(off))}
    best, other = sorted(misses, key=lambda kind: float(misses[kind]))
    if misses[best] > max(0.5 * float(np.std(mean[asked])), 4 * noise, 1e-3 * float(np.abs(mean[asked]).mean()), 1e-9):
        raise InputError(
            f"{location} predicts mean outputs that are off by {misses[best]:.3g} (median over targets) at "
            "best, which is "
            f"no better than guessing: is it about these targets, in this order, and this alpha? If so, {_SAY}"
        )
    # What misses by next to nothing was fitted on these very models, so that the noise is in both.
    within = misses[best] > 0.05 * noise and misses[other] < noise * (1 + 3 / np.sqrt(asked.sum()))
    if within or misses[other] < 2 * misses[best]:
        raise InputError(f"the weights of {location} add up to too little to tell their units: {_SAY}")
    return best


def mask_columns(study: Study) -> MaskMoments:
    """Means and deviations of the masks that the study's datamodels may be fitted on; alpha's where they are many."""
    rows = study.done(FIT)
    if rows.size < 2 or rows.size * study.n > _BITS:
        alpha = np.full(study.n, float(np.mean(study.design.alpha)))
        return MaskMoments(alpha, np.sqrt(alpha * (1 - alpha)))
    ones = np.zeros(study.n, np.int64)
    for first in range(0, rows.size, _ROWS):
        ones += study.masks(rows[first : first + _ROWS]).unpack().sum(axis=0)
    mean = ones / rows.size
    return MaskMoments(mean, np.sqrt(mean * (1 - mean)))


def weighted_sums(weight: NDArray[Any], factor: Floats) -> Floats:
    """Sums over units [T] of factor [n] x weights [n, T], a block of rows at a time: they may be gigabytes, mapped."""
    rows = max(1, _BLOCK // max(1, weight[:1].nbytes))
    sums = np.zeros(weight.shape[1])
    for first in range(0, len(weight), rows):
        sums += factor[first : first + rows] @ weight[first : first + rows].astype(np.float64)
    return sums


def _without_broken(found: Datamodels, shift: Floats, location: str) -> tuple[Datamodels, list[int]]:
    """The datamodels with weights of 0 for targets that have one that is not finite, and which targets those are."""
    broken = np.flatnonzero(~(np.isfinite(shift) & np.isfinite(found.bias)))
    if not broken.size:
        return found, []
    warn_user(
        f"{broken.size} of {found.targets} targets of {location} have a weight or bias that is not finite (the "
        f"first is "
        f"target {broken[0]}): their weights are set to 0, and they do not count in evaluations"
    )
    weight, bias = np.array(found.weight), np.array(found.bias)
    weight[:, broken], bias[broken] = 0, 0
    return replace(found, weight=weight, bias=bias), broken.tolist()


def _loaded(path: Path) -> Datamodels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That a foreign file has no metadata is why this module is there.
        return Datamodels.load(path)


def _output(found: Datamodels, study: Study, output: str | None) -> str:
    counts = {name: int(np.prod(spec.shape)) for name, spec in study.outputs.items()}
    if output is not None and counts.get(output) == found.targets:
        return output
    fitting = [name for name, count in counts.items() if count == found.targets]
    if output is None and len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(f"{name} ({count})" for name, count in counts.items())
    raise InputError(f"name the output that these {found.targets} datamodels predict: {study.location} has {shown}")


def _means(study: Study, output: str, sample: int) -> tuple[Floats, Floats]:
    """Mean output of each target over some models, and its standard error; what is not finite is left out."""
    done = study.done()
    if not done.size:
        raise InputError(f"{study.location} has no models to tell the units by: {_SAY}")
    rows = done[np.unique(np.linspace(0, done.size - 1, min(sample, done.size)).astype(np.int64))]
    outputs = study.read(output, rows).reshape(rows.size, -1).astype(np.float64)
    there = np.isfinite(outputs)
    count = there.sum(axis=0)
    few = np.where(count > 0, count, np.nan)
    mean = np.where(there, outputs, 0).sum(axis=0) / few
    variance = np.where(there, (outputs - mean) ** 2, 0).sum(axis=0) / np.where(count > 1, count - 1, np.nan)
    return mean, np.nan_to_num(np.sqrt(variance / few))
