"""The published datamodels, or others of the reference code: which units their weights are in, and the same in ours.

The reference solver fits on standardised masks, keeps those weights and drops the means and deviations, so that the
file alone does not say what its numbers mean. The mean output does: over masks with a share alpha of the units, raw
weights predict bias + alpha sum(weight) on average, and standardised ones their bias alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.store.study import Study

RAW, STANDARDIZED = "raw", "standardized"
SAMPLE = 2000
_BLOCK = 64 << 20


def load_published(
    path: str | Path, study: Study, output: str | None = None, units: str | None = None, sample: int = SAMPLE
) -> Datamodels:
    """Datamodels of a `.pt` file {weight, bias, lam} over the study's units, in raw-mask units.

    The file is read with weights_only=True, so that no code in it runs, and mapped rather than loaded. output: the
    output they predict; by default the only one with as many targets. units: "raw" or "standardized" if it is known,
    else found out from the mean output of `sample` of the study's models (`found_units`). Standardised weights are
    divided by sqrt(alpha (1 - alpha)), the deviation of a mask's column. Raises InputError when sizes do not fit, or
    when the units cannot be told.
    """
    found = _loaded(Path(path))
    name = _output(found, study, output)
    if found.n != study.n:
        raise InputError(f"{path} has datamodels over {found.n} units, {study.where} has {study.n}")
    alpha = float(np.mean(study.design.alpha))
    sums = column_sums(found.weight)
    kind = units or found_units(found.bias, sums, _means(study, name, sample), alpha, str(path))
    if kind not in (RAW, STANDARDIZED):
        raise InputError(f"units are {RAW!r} or {STANDARDIZED!r}, got {kind!r}")
    meta = {"output": name, "alpha": alpha, "scale": "raw masks", "source": Path(path).name, "published_units": kind}
    if kind == RAW:
        return replace(found, meta=meta)
    return replace(standardized_to_raw(found, alpha, sums), meta=meta)


def standardized_to_raw(found: Datamodels, alpha: float, sums: NDArray[np.float64] | None = None) -> Datamodels:
    """The same functions of a mask, with weights in raw-mask units; lam stays that of the standardised problem."""
    sums = column_sums(found.weight) if sums is None else sums
    deviation = np.sqrt(alpha * (1 - alpha))
    weight = found.weight * found.weight.dtype.type(1 / deviation)
    return replace(found, weight=weight, bias=found.bias - alpha / deviation * sums)


def found_units(
    bias: NDArray[Any], sums: NDArray[np.float64], mean: NDArray[np.float64], alpha: float, where: str = "the file"
) -> str:
    """ "raw" or "standardized": in which units bias [T] and sum(weight) [T] give the mean outputs [T].

    Raises InputError when neither or both come near them: then the file is about other targets, or its weights add up
    to nothing.
    """
    misses = {
        RAW: np.median(np.abs(bias + alpha * sums - mean)),
        STANDARDIZED: np.median(np.abs(bias - mean)),
    }
    best, other = sorted(misses, key=lambda kind: float(misses[kind]))
    spread = max(float(np.std(mean)), 1e-12)
    if misses[best] > 0.5 * spread:
        raise InputError(
            f"{where} predicts mean outputs that are off by {misses[best]:.3g} (median over targets) at best, which is "
            "no better than guessing: is it about these targets, in this order, and this alpha?"
        )
    if misses[other] < 2 * misses[best]:
        raise InputError(
            f"the weights of {where} add up to too little to tell their units: say units={RAW!r} or {STANDARDIZED!r}"
        )
    return best


def column_sums(weight: NDArray[Any]) -> NDArray[np.float64]:
    """Sums over units [T] of weights [n, T], a block of rows at a time: they may be a mapped file of gigabytes."""
    rows = max(1, _BLOCK // max(1, weight[:1].nbytes))
    sums = np.zeros(weight.shape[1])
    for first in range(0, len(weight), rows):
        sums += weight[first : first + rows].sum(axis=0, dtype=np.float64)
    return sums


def _loaded(path: Path) -> Datamodels:
    import warnings

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
    raise InputError(f"say which output these {found.targets} datamodels predict: {study.where} has {shown}")


def _means(study: Study, output: str, sample: int) -> NDArray[np.float64]:
    done = study.done()
    if not done.size:
        raise InputError(f"{study.where} has no models to tell the units by: say which they are")
    rows = done[np.unique(np.linspace(0, done.size - 1, min(sample, done.size)).astype(np.int64))]
    outputs = study.read(output, rows).reshape(rows.size, -1).astype(np.float64)
    return np.asarray(np.where(np.isfinite(outputs), outputs, np.nan).mean(axis=0))
