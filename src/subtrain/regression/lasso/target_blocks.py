"""The whole LASSO in blocks of targets: only one block's paths are in memory, and finished blocks can be kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from subtrain.errors import InputError
from subtrain.regression.counting.counts import OF_OUTPUTS, Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions, chosen_lambdas, of_targets, refit
from subtrain.regression.lasso.saved_blocks import KeptBlocks, Sparse
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.lasso.zero_targets import warn_of

# Weights of one block, units x targets; its paths hold about ten float64 arrays of this size.
WEIGHTS = 2**23
# From this many weights on the joined ones are float32.
MANY = 2**28


def lasso_from_counts(
    train: Counts,
    validation: Counts | ValidationModels | None,
    total: Counts | Callable[[], Counts] | None = None,
    options: LassoOptions | None = None,
    progress: Progress | None = None,
    targets: slice | None = None,
    *,
    keep: Path | None = None,
    block: int | None = None,
) -> LassoFit:
    """Fit every target of `train`, each at the lambda with the least mean squared error on `validation`.

    total: counts to refit on, or what returns them once all paths are done (it may use up `train`); by default
    train + validation, which `ValidationModels` do not give. Without `validation`, options.lambdas must be a single
    value, and everything is fitted on `train`. targets: fit these only. block: targets at a time, which changes no bit
    of any result. keep: a folder for finished blocks; another call with the same counts and options takes them from
    there.

    Weights are float32 where there are more than 2^28. Warns (FitWarning) of constant units, of targets that miss the
    tolerance, of any whose best lambda is the largest, and when more than 5 % still gain 1 % at the smallest. Raises
    InputError for options and counts that do not fit.
    """
    how = options or LassoOptions()
    if isinstance(validation, ValidationModels) and how.refit and total is None:
        raise InputError("ValidationModels hold no counts to refit on: give total, or LassoOptions(refit=False)")
    every = range(train.targets)[targets or slice(None)]
    parts = target_blocks(every, block or block_size(train.n))
    kept = KeptBlocks(keep, how, validation)
    # `total` may use up `train`, but not these.
    bounds = replace(train, **{name: getattr(train, name).copy() for name in OF_OUTPUTS})
    done: list[Sparse] = []
    for part in parts:
        paths = partial(chosen_lambdas, train, validation, how, _shifted(progress, part, every), part)
        done.append(kept.once("path", of_targets(train, part), paths))
    if validation is not None and how.refit:
        whole = total() if callable(total) else total or _sum(train, validation)
        for k, part in enumerate(parts):
            some = of_targets(whole, part)
            again = partial(_refit, some, done[k], how, _shifted(progress, part, every))
            done[k] = kept.once("refit", some, again)
    fit = joined(done, train.n)
    warn_of(fit, how, of_targets(bounds, targets), validation is not None)
    return fit


def block_size(n: int) -> int:
    """Targets whose paths over n units are in memory together."""
    return max(8, WEIGHTS // max(n, 1))


def target_blocks(targets: range, size: int) -> list[slice]:
    """Slices of at most `size` targets that cover all of them; InputError for no targets or a size below 1."""
    if size < 1:
        raise InputError(f"a block must hold at least 1 target, got {size}")
    if not targets:
        raise InputError("there are no targets to fit")
    return [slice(at[0], at[-1] + 1) for at in (targets[k : k + size] for k in range(0, len(targets), size))]


def joined(fits: list[Sparse], n: int) -> LassoFit:
    """One fit of all targets, of those of blocks in order."""
    count = sum(fit.targets for fit in fits)
    weight = np.zeros((count, n), np.float64 if n * count <= MANY else np.float32)
    first = 0
    for fit in fits:
        weight[first : first + fit.targets] = fit.weight().T
        first += fit.targets
    names = [field.name for field in fields(LassoFit) if field.name not in ("weight", "constant_units")]
    rest = {name: np.concatenate([getattr(fit.rest, name) for fit in fits], axis=-1) for name in names}
    return replace(fits[0].rest, weight=weight.T, **rest)


def _refit(total: Counts, fit: Sparse, how: LassoOptions, progress: Progress | None) -> LassoFit:
    return refit(total, fit.dense(), how, progress)


def _sum(train: Counts, validation: Counts | ValidationModels) -> Counts:
    assert isinstance(validation, Counts)
    return train + validation


def _shifted(progress: Progress | None, part: slice, every: range) -> Progress | None:
    """Progress of one block, told as that of all."""
    if progress is None:
        return None
    tell = progress
    return lambda stage, finished, _: tell(stage, part.start - every.start + finished, len(every))
