"""Counting models that arrive in blocks, each read once, into arrays that are updated in place."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting import counting_pass
from subtrain.regression.counting.compact_gram import CompactGram, empty_gram
from subtrain.regression.counting.counting_pass import BAND
from subtrain.regression.counting.counts import OF_OUTPUTS, Counts
from subtrain.regression.counting.model_stream import Tail, cut
from subtrain.regression.counting.threads import Progress, thread_count
from subtrain.store import atomic_files
from subtrain.system.paths import local_path

# Models a pass: enough that a tile's popcounts outweigh its write-back, few enough that the turned bits stay small.
BLOCK = 32_768
# The fewest worth a pass over the whole Gram.
LEAST = 2_048
GRAMS = ("dense", "compact", "none")


def count_blocks(
    blocks: Iterable[tuple[Masks, ArrayLike]],
    models: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    *,
    gram: str = "dense",
    start: Counts | None = None,
    in_place: bool = False,
    resume: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 300.0,
    memory: int | None = None,
) -> Counts:
    """Counts of models that come in blocks of any size, each read once and dropped; `models` is for the progress.

    gram: "dense" (int32 [n, n], int64 from 2^31 models on), "compact" (`CompactGram`, two bytes a pair) or "none" (an
    empty [0, 0]: outputs only); outputs [m, 0] leave X^T Y out. start: counts that the models are added to; they stay
    as they are, unless in_place gives their arrays up. resume: a folder that keeps the counts so far, saved every
    checkpoint_seconds and at the end. If it holds any, the stream must begin with the models it has counted: they are
    skipped (unread, where the blocks are memory maps), and only those after them are counted. memory: bytes that
    `peak_bytes` must not pass.

    Raises InputError as `count` does, naming a model by its position in the stream, when there are no blocks, when the
    memory does not suffice and when the stream does not begin with the models of `resume`; CorruptError when those are
    damaged.
    """
    from subtrain.regression.counting.saved_counts import save

    if gram not in GRAMS:
        raise InputError(f"gram must be one of {', '.join(GRAMS)}, got {gram!r}")
    if start is not None and resume is not None:
        raise InputError("give counts to start from or a folder to resume from, not both")
    workers = thread_count(threads)
    total, skip, tail, saved = start if in_place else _own(start), 0, Tail(), True
    folder = local_path(resume) if resume is not None else None
    if folder is not None:
        total, tail = _resumed(folder, gram)
        skip = total.m if total else 0
    last = time.monotonic()
    for masks, y in cut(blocks, lambda masks, y: _rows(masks, y, gram, workers, memory), skip, tail):
        total = total or empty_counts(masks.n, y.shape[1], gram)
        total = counting_pass.add(total, masks, y, workers)
        tail, saved = tail.after(masks, y), False
        if progress:
            progress("counts", total.m, max(models or 0, total.m))
        if folder is not None and time.monotonic() - last >= checkpoint_seconds:
            save(folder, total, False, tail)
            last, saved = time.monotonic(), True
    if total is None:
        raise InputError("there are no models to count")
    counting_pass.finish(total, workers)
    if folder is not None and not saved:
        save(folder, total, True, tail)
    return total


def peak_bytes(
    n: int, targets: int, gram: str = "dense", rows: int = BLOCK, itemsize: int = 2, threads: int | None = None
) -> int:
    """Bytes that counting n units and T targets takes at most, when blocks of at most `rows` models come in.

    itemsize: bytes of an output as it comes. What the caller holds besides the block at hand is not in it.
    """
    held = {"dense": 4, "compact": 2, "none": 0}[gram] * n * n + 8 * n * (targets + 3) + 64 * targets
    turned = rows * n // 8 * (bool(targets) + (gram != "none"))
    arriving = 2 * rows * (n // 8 + targets * itemsize)
    each_thread = BAND * n * 4 * (gram == "compact") + counting_pass.panel_bytes(rows) * bool(targets)
    return held + turned + arriving + each_thread * thread_count(threads)


def _rows(masks: Masks, y: NDArray[Any], gram: str, threads: int, memory: int | None) -> int:
    """Models a pass: as many as the memory allows."""
    if memory is None:
        return BLOCK
    n, targets, size = masks.n, y.shape[1], y.dtype.itemsize
    rows = BLOCK
    while rows > LEAST and peak_bytes(n, targets, gram, rows, size, threads) > memory:
        rows //= 2
    needed = peak_bytes(n, targets, gram, rows, size, threads)
    if needed > memory:
        other = "; a compact Gram takes half" if gram == "dense" else ""
        raise InputError(
            f"counting {n} units and {targets} targets takes {needed / 1e9:.2f} GB, {rows} models at a time, more than "
            f"the {memory / 1e9:.2f} GB allowed{other}"
        )
    return rows


def empty_counts(n: int, targets: int, gram: str) -> Counts:
    """Counts of no models."""
    held: Any = empty_gram(n) if gram == "compact" else np.zeros((n, n) if gram == "dense" else (0, 0), np.int32)
    return Counts(
        m=0,
        n=n,
        gram=held,
        ones=np.zeros(n, np.int64),
        xty=np.zeros((n, targets)),
        y_sum=np.zeros(targets),
        y_sq=np.zeros(targets),
        y_min=np.full(targets, np.inf),
        y_max=np.full(targets, -np.inf),
        y_dev=np.zeros(targets),
    )


def _own(start: Counts | None) -> Counts | None:
    """A copy of the arrays that are updated in place."""
    if start is None:
        return None
    held = start.gram
    gram = replace(held, deviation=held.deviation.copy()) if isinstance(held, CompactGram) else held.copy()
    arrays = {name: getattr(start, name).copy() for name in ("ones", "xty", *OF_OUTPUTS)}
    return replace(start, gram=gram, **arrays)


def _resumed(folder: Path, gram: str) -> tuple[Counts | None, Tail]:
    from subtrain.regression.counting import saved_counts as saved

    with atomic_files.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    found = saved.load(folder)
    if found is None:
        return None, Tail()
    if found.kind != gram:
        raise InputError(f"{folder} holds counts with a {found.kind} Gram; asked for is a {gram} one")
    if found.tail is None:
        raise InputError(f"{folder} holds finished counts of no stream; add to them with start=load_counts(...)")
    return found.counts, found.tail


def count(
    masks: Any,
    outputs: Any = None,
    threads: int | None = None,
    progress: Progress | None = None,
    *,
    gram: str = "dense",
    memory: int | None = None,
    drop_nonfinite: bool = False,
) -> Counts:
    """Counts of masks and outputs; memory maps and files are read block by block.

    Args:
        masks: [m, n] of bool, 0/1 or `Masks`, the path of a .npy file, or a list of such parts.
        outputs: [m, T] or [m] of any float type, or a path or list as for masks. Default None: masks is a list of
            pairs, masks and their outputs.
        threads: Default None, all cores.
        progress: Called with "counts", models done and models in all.
        gram: "dense" (default, int32 [n, n]), "compact" (two bytes a pair of units) or "none".
        memory: Bytes that `peak_bytes` must not pass. Default None, no limit.
        drop_nonfinite: Whether models with an output that is inf or NaN are left out. Default False.

    Returns:
        The counts, exact where `Counts` says so.

    Raises:
        InputError: before any work, for masks and outputs of different lengths, masks that are not 0/1, an output that
            is inf or NaN, and memory that does not suffice.

    Example:
        >>> count([[1, 0], [1, 1]], [0.5, 1.5]).xty[:, 0]
        array([2. , 1.5])
    """
    from subtrain.regression.counting.model_stream import array_blocks
    from subtrain.regression.counting.shards import stack

    models = stack(masks, outputs)
    if not drop_nonfinite:
        models.check_finite()
    blocks = array_blocks(models, drop_nonfinite=drop_nonfinite)
    return count_blocks(blocks, models=len(models), threads=threads, progress=progress, gram=gram, memory=memory)
