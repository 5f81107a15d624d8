"""Target-major weights, and the strongest units of every target, in one streaming pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.uses.support import lost_by_level, smallest

K = 50
BLOCK_BYTES = 256 << 20
SORTED_BYTES = 16 << 20


@dataclass(frozen=True, eq=False)
class Strongest:
    """unit int32 and value float32 [T, 2K]: the K largest positive weights, largest first, then the K most negative,
    most negative first; unit -1 where there are fewer. nonzero [T]: weights that are not zero; total [T]: their sum;
    support [T]: the data support by the datamodel alone, -1 where no removal flips the prediction; unit_effect,
    unit_strength [n]: sum and absolute sum of a unit's weights over all targets."""

    unit: NDArray[np.int32]
    value: NDArray[np.float32]
    nonzero: NDArray[np.int32]
    support: NDArray[np.int32]
    total: NDArray[np.float64]
    unit_effect: NDArray[np.float64]
    unit_strength: NDArray[np.float64]

    @staticmethod
    def empty(dm: Datamodels) -> Strongest:
        t, n = dm.targets, dm.n
        return Strongest(
            np.full((t, 2 * K), -1, np.int32),
            np.zeros((t, 2 * K), np.float32),
            np.zeros(t, np.int32),
            np.zeros(t, np.int32),
            np.zeros(t),
            np.zeros(n),
            np.zeros(n),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        return dict(vars(self))


def transpose(dm: Datamodels, file: BinaryIO, strongest: Strongest, progress: Callable[[str, int, int], None]) -> None:
    """Write dm.weight [n, T] as a .npy file float32 [T, n] and fill `strongest`; at most about 300 MB in memory."""
    t, n = dm.targets, dm.n
    strongest.unit_effect[:] = strongest.unit_strength[:] = 0
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (t, n)})
    step, some = max(1, BLOCK_BYTES // (4 * n)), max(1, SORTED_BYTES // (4 * n))
    for start in range(0, t, step):
        rows = np.ascontiguousarray(dm.weight[:, start : start + step].T, dtype="<f4")
        file.write(rows.data)
        for first in range(0, len(rows), some):
            part = rows[first : first + some]
            _rank(part, dm, strongest, start + first)
            strongest.unit_effect[:] += part.sum(axis=0, dtype=np.float64)
            strongest.unit_strength[:] += np.abs(part).sum(axis=0, dtype=np.float64)
        progress("weights", min(start + step, t), t)


def _rank(rows: NDArray[np.float32], dm: Datamodels, strongest: Strongest, start: int) -> None:
    stop = start + len(rows)
    targets = range(start, stop)
    strongest.nonzero[start:stop] = np.count_nonzero(rows, axis=1)
    total = strongest.total[start:stop] = rows.sum(axis=1, dtype=np.float64)
    falling = -np.sort(-rows, axis=1).astype(np.float64)
    whole = dm.bias[start:stop] + total + dm.level_of([dm.n], targets)[0]
    strongest.support[start:stop] = smallest(whole, falling.T, lost_by_level(dm, targets))
    k = min(K, rows.shape[1])
    for side, sign in enumerate((1, -1)):
        units = _largest(sign * rows, k)
        values = np.take_along_axis(rows, units, axis=1)
        there = sign * values > 0
        place = slice(side * K, side * K + k)
        strongest.unit[start:stop, place] = np.where(there, units, -1)
        strongest.value[start:stop, place] = np.where(there, values, 0)


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of each row's k largest values, largest first; of equal ones the lower number first."""
    some = np.argpartition(-values, k - 1, axis=1)[:, :k].astype(np.int64)
    some.sort(axis=1)
    order = np.argsort(-np.take_along_axis(values, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)
