"""Models that are read once and passed over many times: held in memory if they fit a budget, else in files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks, row_bytes
from subtrain.regression.counting.model_stream import Block
from subtrain.regression.large.mask_passes import Source
from subtrain.store.atomic_files import storage_errors

# Shares of the memory that masks, outputs and a block that is being read may take.
MASKS, OUTPUTS, READ = 3, 8, 32
FEWEST, MOST = 64, 8192


@dataclass(frozen=True, eq=False)
class Many:
    """Models as often as they are asked for. outputs: parts [k, T], one below the other."""

    source: Source
    outputs: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        return sum(map(len, self.outputs))

    @property
    def targets(self) -> int:
        return int(self.outputs[0].shape[1])

    def columns(self, some: slice) -> NDArray[np.float64]:
        """float64 [m, k] of some targets."""
        return np.concatenate([part[:, some].astype(np.float64) for part in self.outputs])

    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[T], the least and the greatest output of each target."""
        low = np.min([part.min(axis=0) for part in self.outputs], axis=0)
        return low.astype(np.float64), np.max([part.max(axis=0) for part in self.outputs], axis=0).astype(np.float64)

    def __add__(self, other: Many) -> Many:
        both = self.source, other.source

        def read() -> Iterator[Masks]:
            return chain(*([part] if isinstance(part, Masks) else part() for part in both))

        return Many(read, self.outputs + other.outputs)


@dataclass(frozen=True)
class SpoolRoom:
    """How `models` models over n units with T outputs of `itemsize` bytes are held within `memory` bytes.

    masks, outputs: whether they stay in memory; rows: models of a block; left: bytes for the rest of the work; disk:
    bytes of the files.
    """

    masks: bool
    outputs: bool
    rows: int
    left: int
    disk: int


def room(models: int, n: int, targets: int, itemsize: int, memory: int) -> SpoolRoom:
    """What goes where."""
    bits, values = row_bytes(n), targets * itemsize
    masks, outputs = models * bits <= memory // MASKS, models * values <= memory // OUTPUTS
    rows = int(np.clip(memory // READ // (bits + values), FEWEST, MOST)) // FEWEST * FEWEST
    held = models * (bits * masks + values * outputs)
    files = models * (bits * (not masks) + values * (not outputs))
    # Two blocks: one at work, the next one read or made.
    return SpoolRoom(masks, outputs, rows, memory - held - 2 * min(rows, models) * (bits + values), files)


def spooled(blocks: Iterable[Block], models: int, plan: SpoolRoom, folder: Path) -> Many:
    """These models in memory, or in the folder, as `plan` says: in files without a name, which no crash can leave."""
    stream = iter(blocks)
    first = next(stream, None)
    if first is None or not models:
        raise InputError("there are no models to fit")
    n, y = first[0].n, first[1]
    with storage_errors(folder):
        file = None if plan.masks else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        bits = np.empty((models if plan.masks else 0, row_bytes(n)), np.uint8)
        outputs = _outputs(plan.outputs, (models, y.shape[1]), y.dtype.newbyteorder("="), folder)
        at = 0
        for masks, some in chain([first], stream):
            outputs[at : at + len(some)] = some
            if file is None:
                bits[at : at + len(some)] = masks.data
            else:
                file.write(np.ascontiguousarray(masks.data).data)
            at += len(some)
    if file is None:
        return Many(Masks(bits, n), (outputs,))
    file.flush()
    return Many(_Reader(file, n, plan.rows), (outputs,))


@dataclass(frozen=True)
class _Reader:
    """Reads packed masks, some rows at a time: pages of a memory map would count as the process's own memory."""

    file: Any
    n: int
    rows: int

    def __call__(self) -> Iterator[Masks]:
        width = row_bytes(self.n)
        block, at = self.rows * width, 0
        while some := os.pread(self.file.fileno(), block, at):
            yield Masks(np.frombuffer(some, np.uint8).reshape(-1, width), self.n)
            at += len(some)


def _outputs(resident: bool, shape: tuple[int, int], dtype: np.dtype[Any], folder: Path) -> Any:
    if resident:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype, "w+", shape=shape)
