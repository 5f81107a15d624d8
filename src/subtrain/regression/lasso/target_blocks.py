"""The whole LASSO in blocks of targets: only one block's paths are in memory, and finished blocks can be kept."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.compact_gram import CompactGram
from subtrain.regression.counting.counts import OF_OUTPUTS, Counts
from subtrain.regression.counting.threads import Mapper, Progress
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions, chosen_lambdas, of_targets, refit
from subtrain.regression.lasso.saved_blocks import KeptBlocks, Sparse, sparse
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.lasso.zero_targets import warn_of

# Weights of one block, units x targets; its paths hold about ten float64 arrays of this size.
WEIGHTS = 2**23
# Blocks of targets a slot of a mapper, so that a slow one does not keep the others waiting for long.
TURNS = 4
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
    mapper: Mapper | None = None,
) -> LassoFit:
    """Fit every target of `train`, each at the lambda with the least mean squared error on `validation`.

    total: counts to refit on, or what returns them once all paths are done (it may use up `train`); by default
    train + validation, which `ValidationModels` do not give. Without `validation`, options.lambdas must be a single
    value, and everything is fitted on `train`. targets: fit these only. block: targets at a time, which changes no bit
    of any result. keep: a folder for finished blocks; another call with the same counts and options takes them from
    there. mapper: what solves the blocks, each a piece of work, instead of this process.

    Weights are float32 where there are more than 2^28. Warns (FitWarning) of constant units, of targets that miss the
    tolerance, of any whose best lambda is the largest, and when more than 5 % still gain 1 % at the smallest. Raises
    InputError for options and counts that do not fit.
    """
    how = options or LassoOptions()
    if isinstance(validation, ValidationModels) and how.refit and total is None:
        raise InputError("ValidationModels hold no counts to refit on: give total, or LassoOptions(refit=False)")
    every, size = range(train.targets)[targets or slice(None)], block or block_size(train.n)
    if mapper is not None:
        size, how = min(size, -(-len(every) // (TURNS * mapper.slots))), replace(how, threads=1)
        if isinstance(validation, ValidationModels):
            # Turned here, once for all pieces: they travel along.
            _ = validation.bits
    run = _Blocks(target_blocks(every, size), every, KeptBlocks(keep, how, validation), progress, mapper)
    # `total` may use up `train`, but not these.
    bounds = replace(train, **{name: getattr(train, name).copy() for name in OF_OUTPUTS})
    done = run("path", train, [None] * len(run.parts), validation, how)
    if validation is not None and how.refit:
        done = run("refit", total() if callable(total) else total or _sum(train, validation), done, None, how)
    fit = joined(done, train.n)
    warn_of(fit, how, of_targets(bounds, targets), validation is not None)
    return fit


Job = tuple[slice, Sparse | None]


@dataclass(frozen=True)
class _Blocks:
    """Solves `parts` of the targets `every`, one after the other here or as pieces of work of `mapper`."""

    parts: Sequence[slice]
    every: range
    kept: KeptBlocks
    progress: Progress | None
    mapper: Mapper | None

    def __call__(
        self,
        stage: str,
        counts: Counts,
        before: Sequence[Sparse | None],
        validation: Counts | ValidationModels | None,
        how: LassoOptions,
    ) -> list[Sparse]:
        """The fits of all blocks, of which those kept from before are not solved again; before: see `_solved`."""
        some = [of_targets(counts, part) for part in self.parts]
        found = [self.kept.find(stage, part) for part in some]
        jobs = zip(self.parts, before, strict=True)
        left = [job for job, fit in zip(jobs, found, strict=True) if fit is None]
        solved: Iterator[Sparse]
        if self.mapper is None:
            solved = (_solved(job, counts, validation, how, self._shifted(job[0])) for job in left)
        else:
            solved = self.mapper.map(_solved_elsewhere, left, (counts, validation, how))
        fits = []
        for part, of_part, fit in zip(self.parts, some, found, strict=True):
            fits.append(fit if fit is not None else self.kept.put(stage, of_part, next(solved)))
            if self.progress and self.mapper:
                self.progress(stage, part.stop - self.every.start, len(self.every))
        return fits

    def _shifted(self, part: slice) -> Progress | None:
        """Progress of one block, told as that of all."""
        if self.progress is None:
            return None
        tell, first, count = self.progress, part.start - self.every.start, len(self.every)
        return lambda stage, finished, _: tell(stage, first + finished, count)


def _solved(
    job: Job, counts: Counts, validation: Counts | ValidationModels | None, how: LassoOptions, progress: Progress | None
) -> Sparse:
    """The paths of a block of targets, or, where there is a fit already, the same lambdas on other counts."""
    part, fit = job
    if fit is not None:
        return sparse(refit(of_targets(counts, part), fit.dense(), how, progress))
    return sparse(chosen_lambdas(counts, validation, how, progress, part))


def _solved_elsewhere(
    job: Job, counts: Counts, validation: Counts | ValidationModels | None, how: LassoOptions
) -> Sparse:
    return _solved(job, _writable(counts), _writable(validation), how, None)


def _writable(models: Any) -> Any:
    """The same Gram or bits as memory that says it can be written to.

    Kernels are compiled for such, none writes into these, and a copy for every piece might not fit.
    """
    if isinstance(models, ValidationModels):
        some = ValidationModels(models.masks, models.outputs)
        some.__dict__["bits"] = _unlocked(models.bits)
        return some
    if not isinstance(models, Counts):
        return models
    gram = models.gram
    if isinstance(gram, CompactGram):
        names = ("deviation", "rate", "ones", "key", "value")
        unlocked: dict[str, Any] = {name: _unlocked(getattr(gram, name)) for name in names}
        return replace(models, gram=replace(gram, **unlocked))
    return replace(models, gram=_unlocked(gram))


def _unlocked(array: NDArray[Any]) -> NDArray[Any]:
    if array.flags.writeable or not array.flags.c_contiguous or not array.nbytes:
        return array
    memory = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    memory.owner = array  # type: ignore[attr-defined]
    view: NDArray[Any] = np.frombuffer(memory, array.dtype).reshape(array.shape)  # type: ignore[call-overload]
    return view


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


def _sum(train: Counts, validation: Counts | ValidationModels) -> Counts:
    assert isinstance(validation, Counts)
    return train + validation
