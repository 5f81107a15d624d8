"""Covariances of masks on a device: exact ones made of counts a few rows at a time, and a small matrix of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from subtrain.system.types import Floats


@dataclass(frozen=True)
class Covariance:
    """C[j, k] = (gram[j, k] / models - mean[j] mean[k] + offset[j] offset[k]) inverse[j] inverse[k].

    gram: integers [n, n], on the device or on the host; mean, offset, inverse: float64 [n] on the device; offset is the
    models' mean minus the center, inverse is 1 / scale, 0 for a unit that is left out.
    """

    gram: Any
    models: float
    mean: Any
    offset: Any
    inverse: Any
    rows: int

    def parts(self) -> Iterator[tuple[slice, Any]]:
        """Every row in turn, some at a time: which, and C there, float64 [rows, n]."""
        import torch

        for first in range(0, len(self.mean), self.rows):
            here = slice(first, first + self.rows)
            part = self.gram[here].to(self.mean.device, non_blocking=True).to(torch.float64)
            part /= self.models
            part.addr_(self.mean[here], self.mean, alpha=-1.0)
            part.addr_(self.offset[here], self.offset)
            part *= self.inverse[here, None]
            part *= self.inverse
            yield here, part


@dataclass(frozen=True)
class DeviceBlock:
    """Some units: which, their covariances with one another float32 [b, b], and 1 / the largest eigenvalue of these."""

    units: slice
    inner: Any
    step: float


@dataclass(frozen=True)
class Fast:
    """C in few bits, [n, n], cut into blocks of units. It only ever multiplies changes of coefficients, so that what
    its rounding leaves undone is relative to the change and the exact C finds it afterwards."""

    matrix: Any
    blocks: list[DeviceBlock]


def covariance(
    gram: Any, models: int, mean: Floats, offset: Floats, inverse: Floats, rows: int, device: Any, resident: bool
) -> Covariance:
    """The exact covariances of a host Gram; resident: move it to the device, else send its rows at each use."""
    import torch

    counts = torch.from_numpy(np.require(gram, requirements=["C", "W"]))
    if resident:
        counts = counts.to(device)
    center, apart, factor = (torch.tensor(v, dtype=torch.float64, device=device) for v in (mean, offset, inverse))
    return Covariance(counts, float(models), center, apart, factor, rows)


def fast(exact: Covariance, block: int, dtype: Any) -> Fast:
    """The small matrix of `exact`, in blocks of at most `block` units."""
    import torch

    n = len(exact.mean)
    matrix = torch.empty((n, n), dtype=dtype, device=exact.mean.device)
    for here, part in exact.parts():
        matrix[here] = part.to(dtype)
    blocks = []
    for first in range(0, n, block):
        units = slice(first, min(first + block, n))
        inner = matrix[units, units].float().contiguous()
        largest = float(torch.linalg.eigvalsh(inner.double())[-1])
        # Rounding may have made it smaller by a little; a block of units that are left out has none.
        blocks.append(DeviceBlock(units, inner, 0.999 / largest if largest > 0 else 1.0))
    return Fast(matrix, blocks)
