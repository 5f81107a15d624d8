"""`LassoLarge`: datamodels by LASSO where the units are too many for counts of every pair."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.formatting import size
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.model_stream import Block
from subtrain.regression.counting.shards import Stack, are_flat, stack
from subtrain.regression.counting.study_counts import COUNTS
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.contract import MODELS, Reads, Rows
from subtrain.regression.estimators.kit.sample_split import check_one_way
from subtrain.regression.estimators.lasso import LassoParameters
from subtrain.regression.fit_plan import FitPlan, check_disk
from subtrain.regression.fit_warnings import warn, warn_constant, warn_ends, warn_gaps
from subtrain.regression.large.model_spool import Many, SpoolRoom, room, spooled
from subtrain.regression.large.options import LargePath
from subtrain.regression.large.solver import checked_rules, large_paths, plan_layout
from subtrain.regression.lasso.lambda_choice import LassoOptions
from subtrain.regression.lasso.problem import check_choice
from subtrain.regression.lasso.zero_targets import warn_zeros
from subtrain.regression.study_models import Models
from subtrain.store.atomic_files import make_inside, storage_errors
from subtrain.store.folder import inside
from subtrain.system.machine import available_memory
from subtrain.system.paths import local_path

STAGES = ("path", "refit")


@dataclass(frozen=True)
class ModelPart:
    """Models to be read once: how many, and blocks(rows), at most so many at a time."""

    models: int
    blocks: Callable[[int], Iterator[Block]]


@dataclass(eq=False, repr=False)
class LassoLarge(LassoParameters):
    """`Lasso` without the counts of every pair of units: for 10^5 to 10^6 units and few targets.

    Minimizes the same objective along the same path, chooses lambda by the same validation models and fits it again on
    all models. Every lambda's duality gap is computed in float64 from the residuals of all models and the slopes of all
    units, in passes over the packed masks; a target that misses tol is named in a FitWarning. A target whose path or
    refit needs more units than memory holds ends there: a FitWarning says so.

    Args:
        lambdas: As in `Lasso`. Default 50.
        eps: As in `Lasso`; larger, since a path far down fits as many units as there are models. Default 0.05.
        tol, objective, validation, seed, early_stop, refit, penalty, positive, max_iter, threads: As in `Lasso`;
            `validation` is a share, not a number of folds.
        memory: Bytes that the fit may take besides the arrays that it is given and returns. It sets how many targets
            share a pass, how many units may be counted with one another, and whether packed masks and outputs stay in
            memory or are read from files at each pass. Default 4 GiB.
        folder: Where these files go, and where finished groups of targets are kept for an interrupted fit to go on
            from. Default None, a temporary one (a study keeps its own).

    Fitted: as in `Lasso`, and passes_, over the masks; working_units_, the most counted with one another.

    Raises:
        InputError: by `fit`, as for `Lasso`, and before any work when `memory` does not suffice, with what it takes.
        StorageError: by `fit`, when the files do not fit on the disk.

    Example:
        >>> random = np.random.default_rng(0)
        >>> masks = random.random((500, 50)) < 0.5
        >>> outputs = 2.0 * masks[:, 3] + random.normal(size=500)
        >>> LassoLarge(memory=2**28).fit(masks, outputs).weight_[:5, 0].round() + 0.0
        array([0., 0., 0., 2., 0.])
    """

    name: ClassVar[str] = "lasso-large"
    reads: ClassVar[Reads] = MODELS

    lambdas: int | ArrayLike = 50
    eps: float = 0.05
    memory: int = 4 * 2**30
    folder: str | Path | None = None

    def fit(
        self,
        masks: Any,
        outputs: Any,
        validation: tuple[Any, Any] | None = None,
        sample_split: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """As every estimator, from masks and outputs that come as to `count`: memory maps and files are read once."""
        models = stack(masks, outputs)
        models.check_finite()
        check_one_way(validation, sample_split)
        if validation is not None:
            others = stack(*validation)
            others.check_finite()
            sizes = [(each.n, each.outputs[0].shape[1]) for each in (models, others)]
            if sizes[0] != sizes[1]:
                raise InputError(f"models have units and targets {sizes[0]}, those that validate {sizes[1]}")
            parts = [*_split(models, None), *_split(others, None)]
        else:
            parts = _split(models, self._validating(len(models), sample_split))
        self.fit_parts(parts, models.n, models.outputs[0].shape[1], models.dtype.itemsize, progress=progress)
        self._flat = are_flat(outputs, masks)
        return self

    def fit_counts(self, train: Counts, *args: Any, **options: Any) -> Self:
        """Refused: counts of every pair are what this does without."""
        raise InputError("LassoLarge reads the models themselves, not counts; Lasso fits counts")

    def plan(self, models: Models, parts: Mapping[str, Rows], keep_counts: bool) -> FitPlan:
        """What `fit_models` takes; InputError when `memory` is too little, or more than there is."""
        n, m, targets = models.study.n, models.rows.size, models.targets
        held, _ = self._room([rows.size for rows in parts.values()], n, targets, models.dtype.itemsize)
        result = 8 * n * targets
        free = available_memory()
        if free is not None and self.memory > free:
            raise InputError(f"memory={size(self.memory)} is allowed to LassoLarge, but only {size(free)} are free")
        return FitPlan(m, n, targets, 0, self.memory + result, 0, held.disk + result)

    def fit_models(
        self,
        models: Models,
        parts: Mapping[str, Rows],
        counted: Callable[..., Counts],
        progress: Progress | None = None,
    ) -> Self:
        """Fit a study's models; the first of `parts` fits, a second one chooses lambda. Counts are not used."""
        folder = self.folder or inside(models.study.local, f"{COUNTS}/{models.output}-large")
        if not self.folder and models.study.store.path() is not None:
            make_inside(Path(folder).parent)

        def part(numbers: Rows) -> ModelPart:
            return ModelPart(
                numbers.size, lambda k: (models.read(numbers[i : i + k]) for i in range(0, numbers.size, k))
            )

        self._joins = models.validation_joins
        return self.fit_parts(
            [part(rows) for rows in parts.values()],
            models.study.n,
            models.targets,
            models.dtype.itemsize,
            folder,
            progress,
        )

    def _room(self, models: list[int], n: int, targets: int, itemsize: int) -> tuple[SpoolRoom, LassoOptions]:
        """What goes where, and the rules; InputError when the memory is too little."""
        rules = checked_rules(self._options())
        held = room(sum(models), n, targets, itemsize, self.memory)
        # Laid out for the refit on all models, and for the errors of the validation models.
        plan_layout(n, sum(models), targets, held.left, rules.threads or 1, sum(models[1:]))
        return held, rules

    def fit_parts(
        self,
        parts: list[ModelPart],
        n: int,
        targets: int,
        itemsize: int = 8,
        folder: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit models that are read once, block by block: those of the first part, and of a second that chooses lambda.

        itemsize: bytes of one output; folder: by default the estimator's. Raises as `fit` does, but outputs are taken
        to be finite.
        """
        check_choice(self.lambdas, parts[1] if len(parts) > 1 else None)
        if not targets:
            raise InputError("there are no targets: outputs have shape [m, 0]")
        folder = folder or self.folder
        held, rules = self._room([part.models for part in parts], n, targets, itemsize)
        self.n_features_in_, self._flat = n, False
        with _working_folder(folder) as place:
            check_disk(place, held.disk, f"the models take {size(held.disk)} in files below {place}")
            models = [spooled(part.blocks(held.rows), part.models, held, place) for part in parts]
            resume = None if folder is None else place
            self._solve(models, rules, held.left, resume, progress)
        return self

    def _solve(
        self, models: list[Many], rules: LassoOptions, memory: int, resume: Path | None, progress: Progress | None
    ) -> None:
        validation = models[1] if len(models) > 1 else None
        fitting, refitting = STAGES

        def solve(stage: str, some: Many, held: Many | None, lambdas: Any, start: LargePath | None) -> LargePath:
            place = None if resume is None else resume / stage
            step = None if progress is None else partial(_staged, progress, stage)
            return large_paths(some, held, lambdas, self.eps, rules, memory, start, place, step)

        path = solve(fitting, models[0], validation, self.lambdas, None)
        self._take(path, path.best)
        self.lambdas_, self.validation_mse_, self.path_gap_ = path.lambdas.T, path.error.T, path.gap.T
        self.passes_, self.working_units_ = path.passes, path.working
        if validation is not None:
            if self.refit and self.__dict__.pop("_joins", True):
                lam = rules.factor * _chosen(self.lam_)
                self._refitted(path, solve(refitting, models[0] + validation, None, lam, path))
            warn_ends(path.lambdas.T, path.error.T, path.best, self.weight_)
        warn_constant(self.constant_units_, path.n)
        warn_gaps(np.nan_to_num(self.gap_, nan=np.inf), self.tol)
        error = None if validation is None else path.error.T
        ends, varying = models[0].ends(), path.n - self.constant_units_.size
        warn_zeros(self.weight_, *ends, varying, error=error, given=self.lambdas, penalty=self.penalty)

    def _take(self, path: LargePath, best: NDArray[np.int64]) -> None:
        at = np.arange(len(best)), best
        self.weight_ = np.stack([path.weight(t) for t in range(len(best))], axis=1)
        self.bias_, self.lam_, self.gap_ = path.bias[at], path.lambdas[at], path.gap[at]
        self.constant_units_ = path.constant

    def _refitted(self, path: LargePath, again: LargePath) -> None:
        lam, weight, bias, gap = self.lam_, self.weight_, self.bias_, self.gap_
        self._take(again, again.best)
        self.lam_ = lam
        self.passes_, self.working_units_ = path.passes + again.passes, max(path.working, again.working)
        lost = np.flatnonzero(np.isnan(self.gap_))
        if lost.size:
            self.weight_[:, lost], self.bias_[lost], self.gap_[lost] = weight[:, lost], bias[lost], gap[lost]
            warn(f"{lost.size} targets keep the weights of the fitting models alone: memory is too little to refit")


def _chosen(lam: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lambda of each target, [T, 1]; one that was constant has none, and keeps its all-zero weights at any."""
    return np.where(lam > 0, lam, 1e300)[:, None]


def _staged(progress: Progress, stage: str, _: str, done: int, total: int) -> None:
    progress(stage, done, total)


def _split(models: Stack, validating: NDArray[np.bool_] | None) -> list[ModelPart]:
    if validating is None:
        return [_some(models, np.ones(len(models), np.bool_))]
    return [_some(models, ~validating), _some(models, validating)]


def _some(models: Stack, which: NDArray[np.bool_]) -> ModelPart:
    def blocks(rows: int) -> Iterator[Block]:
        for start in range(0, len(models), rows):
            at = which[start : start + rows]
            if at.any():
                masks, outputs = models.read(start, start + len(at))
                yield masks[at], outputs[at].astype(models.dtype, copy=False)

    return ModelPart(int(which.sum()), blocks)


@contextmanager
def _working_folder(folder: str | Path | None) -> Iterator[Path]:
    """The folder, which keeps what is finished until all is; or a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="subtrain-") as made:
            yield Path(made)
        return
    place = local_path(folder)
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    yield place
    for stage in STAGES:
        shutil.rmtree(place / stage, ignore_errors=True)
    with suppress(OSError):
        place.rmdir()
