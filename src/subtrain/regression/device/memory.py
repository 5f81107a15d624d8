"""What fits on a device, worked out before anything is put there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from subtrain.errors import InputError
from subtrain.formatting import size

# Of what `experimental` warns.
UNPROVEN = "the path of a CUDA device is tested on CPU tensors only and has never run on a GPU"
# Of the free memory, for what the allocator and the product library take beside the arrays counted here.
SHARE = 0.92
# Models a piece of counts: enough to outweigh a pass over the Gram, down to what small memories hold.
MODELS = (32_768, 16_384, 8_192, 4_096, 2_048, 1_024, 256)
TILE = 4_096
PANEL = 1_024
# Units a block of descent: large enough for full-speed products, small enough that a block is nearly orthogonal.
BLOCK = 1_024
# Bytes a unit of a target: six float64 arrays of a path, copies of four for those that go on, and their changes.
TARGET = 8 * 6 + 8 * 4 + 8
SCRATCH = 1 << 31


@dataclass(frozen=True)
class CountPlan:
    """models: how many a piece, tile: rows of the Gram a product, panel: targets a product; resident: whether X^T Y
    stays on the device (else its panels go to the host after each piece); bytes: what this takes."""

    models: int
    tile: int
    panel: int
    resident: bool
    bytes: int


@dataclass(frozen=True)
class PathPlan:
    """targets: how many are solved together; block: units a block of descent; rows: of a covariance made at a time;
    resident: whether the exact Grams stay on the device (else their rows are sent at each use); bytes: what it takes"""

    targets: int
    block: int
    rows: int
    resident: bool
    bytes: int


def open_device(device: str) -> Any:
    """The torch device. Raises InputError when torch or the device is missing."""
    try:
        import torch
    except ImportError as error:
        raise InputError(f"device={device!r} needs PyTorch: pip install 'subtrain[torch]'") from error
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"device must be cpu or cuda, got {device!r}")
    opened = torch.device(device)
    if opened.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device={device!r} needs a CUDA GPU, and PyTorch {torch.__version__} finds none here")
    return opened


def free_bytes(device: Any, limit: int | None = None) -> int:
    """Bytes that may be used: the device's free memory less a margin, and at most `limit`."""
    import torch

    if device.type == "cuda":
        # What PyTorch keeps of freed arrays would count as taken.
        torch.cuda.empty_cache()
        free = int(torch.cuda.mem_get_info(device)[0])
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(int(SHARE * free), limit or free)


def plan_counts(n: int, targets: int, itemsize: int, free: int) -> CountPlan:
    """The largest pieces that fit into `free` bytes; n and the panels are padded. Raises InputError if none does."""
    tile, panel = min(TILE, n), min(PANEL, targets)
    gram, sums = 4 * n * n, 8 * n * targets
    for models in MODELS:
        # Two pieces under way; a piece's bits as bytes, twice while they are unpacked; a panel's integers and digits.
        piece = models * (2 * (n // 8 + targets * itemsize) + 2 * n + 64 * panel)
        # Products and what becomes of them before they are added.
        product = max(12 * tile * n, 28 * n * panel)
        for resident in (True, False):
            need = gram + piece + product + (sums if resident else 0)
            if need <= free:
                return CountPlan(models, tile, panel, resident, need)
    raise InputError(
        f"counting {n:,} units and {targets:,} targets needs {size(need)} on the device ({size(gram)} of it for the "
        f"Gram), and {size(free)} may be used"
    )


def plan_path(n: int, targets: int, fast: int, grams: int, free: int) -> PathPlan:
    """The most targets together that fit into `free` bytes; grams: bytes of the exact Grams, fast: of one entry of the
    approximate covariance. Raises InputError if not one target fits."""
    rows = max(1, min(n, SCRATCH // (32 * n)))
    block = min(BLOCK, n)
    # What a block of units needs for each target while it is solved.
    column = TARGET * n + 8 * 12 * max(rows, block)
    fixed = fast * n * n + 32 * rows * n + 4 * block * n
    for resident in (True, False):
        left = free - fixed - (grams if resident else 0)
        together = min(targets, left // column)
        # Sending the Grams at each use is worth it only when far more targets share each sending.
        if together >= min(targets, 256) or (not resident and together >= 1):
            need = free - left + together * column
            return PathPlan(int(together), block, rows, resident, need)
    raise InputError(
        f"solving paths over {n:,} units needs {size(fixed + column)} on the device ({size(fast * n * n)} of it for "
        f"the covariances), and {size(free)} may be used"
    )
