"""Targets in blocks, one after another: a study saves each as it is done, and begins again where it ended."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace

from subtrain.errors import InputError
from subtrain.regression.choose import LassoFit, LassoOptions, chosen_lambdas, of_targets, refit
from subtrain.regression.counts import Counts
from subtrain.regression.judging import Judges
from subtrain.regression.threads import Progress


def target_blocks(targets: int, size: int) -> list[slice]:
    """Slices of `size` targets that cover all of them."""
    if size < 1:
        raise InputError(f"a block must hold at least 1 target, got {size}")
    return [slice(start, min(start + size, targets)) for start in range(0, targets, size)]


def choose_in_blocks(
    train: Counts,
    valid: Counts | Judges | None,
    save: Callable[[slice, LassoFit], object],
    options: LassoOptions | None = None,
    size: int = 256,
    done: Container[int] = (),
    progress: Progress | None = None,
) -> None:
    """Call save(slice, fit) with the paths and chosen lambdas of `size` targets at a time, of the fitting models alone.

    done: first targets of the blocks to leave out, saved before. Blocks change no bit of any result. Nothing is warned
    of here: join the blocks and call `subtrain.regression.warn.warn_of`.
    """
    for part in target_blocks(train.targets, size):
        if part.start not in done:
            save(part, chosen_lambdas(train, valid, options, _shifted(progress, part, train.targets), part))


def refit_in_blocks(
    total: Counts,
    load: Callable[[slice], LassoFit],
    save: Callable[[slice, LassoFit], object],
    options: LassoOptions | None = None,
    size: int = 256,
    done: Container[int] = (),
    progress: Progress | None = None,
) -> None:
    """Call save(slice, fit) with load(slice), a block of `choose_in_blocks`, fitted again on all models, `total`."""
    for part in target_blocks(total.targets, size):
        if part.start not in done:
            again = refit(of_targets(total, part), load(part), options, _shifted(progress, part, total.targets))
            save(part, again)


def joined(fits: list[LassoFit]) -> LassoFit:
    """One fit of all targets, of the fits of blocks in order."""
    import numpy as np

    if not fits:
        raise InputError("there are no blocks to join")
    names = [name for name in vars(fits[0]) if name != "constant_units"]
    return replace(fits[0], **{name: np.concatenate([getattr(fit, name) for fit in fits], axis=-1) for name in names})


def _shifted(progress: Progress | None, part: slice, targets: int) -> Progress | None:
    """Progress of one block, told as that of all."""
    if progress is None:
        return None
    tell = progress
    return lambda stage, finished, _: tell(stage, part.start + finished, targets)
