"""LASSO over more units than an n x n Gram has room for, from passes over the packed masks.

The strong rule and, after every pass, the optimality conditions of all units choose a working set; its columns are
counted and solved exactly as a small problem; a pass with the residuals then certifies the solution over all units.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from subtrain.errors import InputError
from subtrain.regression.counting.counts import as_outputs, check_finite
from subtrain.regression.counting.threads import Progress, thread_count
from subtrain.regression.fit_warnings import warn, warn_gaps
from subtrain.regression.large.mask_passes import FEW, ROWS, UNITS, Source, pieces
from subtrain.regression.large.model_spool import Many
from subtrain.regression.large.options import LargePath, Layout, joined
from subtrain.regression.large.saved_groups import kept, masks_digest, rules_digest
from subtrain.regression.large.target_group import SOME, TargetGroup
from subtrain.regression.lasso.lambda_choice import LassoOptions
from subtrain.regression.lasso.path import PASSES
from subtrain.regression.lasso.path_stopping import check_early_stop
from subtrain.regression.lasso.problem import check_tol, lambda_grid
from subtrain.regression.lasso.saved_blocks import digest
from subtrain.system.types import Floats

# Lambdas solved ahead of one certifying pass, at most: the strong rule weakens with every one.
AHEAD = 4


def lasso_large(
    masks: Source,
    outputs: ArrayLike,
    lambdas: int | ArrayLike = 50,
    eps: float = 0.05,
    *,
    validation: tuple[Source, ArrayLike] | None = None,
    memory: int = 4 * 2**30,
    objective: str = "standardized",
    penalty: ArrayLike | None = None,
    positive: bool = False,
    tol: float = 1e-4,
    early_stop: int | None = None,
    max_iter: int = PASSES,
    threads: int | None = None,
    start: LargePath | None = None,
    resume: Path | None = None,
    progress: Progress | None = None,
) -> LargePath:
    """Solve each target along its lambdas, as `lasso_path` does, without ever forming n x n counts.

    masks: `Masks`, or a function that returns an iterator of blocks of them, called once a pass (memory-mapped files,
    a study). outputs: [m, T] or [m]. validation: other models, on which every lambda is tried. memory bounds the bytes
    besides masks and outputs: it sets how many targets share a pass and how large a working set may grow; a path that
    needs a larger one ends there, with a FitWarning. start: paths of other models; the first lambda begins with their
    best weights. resume: a folder that keeps every group of targets that is finished, for the same call to go on from.
    Every gap is computed from the residuals and all n units. Raises InputError as `count` and `lasso_path` do, and when
    memory is too small, with what it takes.
    """
    y = as_outputs(outputs)
    check_finite(y)
    held = None
    if validation is not None:
        others = as_outputs(validation[1])
        check_finite(others)
        held = Many(validation[0], (others,))
    options = LassoOptions(
        objective=objective,
        penalty=penalty,  # type: ignore[arg-type]
        positive=positive,
        tol=tol,
        max_iter=max_iter,
        early_stop=early_stop,
        threads=threads,
    )
    rules = checked_rules(options)
    path = large_paths(Many(masks, (y,)), held, lambdas, eps, rules, memory, start, resume, progress)
    warn_gaps(np.nan_to_num(path.gap).max(axis=1), tol)
    return path


def checked_rules(options: LassoOptions) -> LassoOptions:
    """These options, with the number of threads; InputError for what cannot be."""
    check_tol(options.tol)
    check_early_stop(options.early_stop)
    penalty = None if options.penalty is None else np.asarray(options.penalty, np.float64)
    return replace(options, penalty=penalty, threads=thread_count(options.threads))


def large_paths(
    models: Many,
    validation: Many | None,
    lambdas: int | ArrayLike,
    eps: float,
    rules: LassoOptions,
    memory: int,
    start: LargePath | None = None,
    resume: Path | None = None,
    progress: Progress | None = None,
) -> LargePath:
    """`lasso_large` without a word about gaps: a group of targets after the other, within `memory` bytes."""
    first_piece = next(iter(pieces(models.source)), None)
    if first_piece is None or not models.targets:
        raise InputError(f"there is nothing to fit: outputs have shape {[len(models), models.targets]}")
    n, targets = first_piece.n, models.targets
    layout = plan_layout(
        n, len(models), targets, memory, rules.threads or 1, 0 if validation is None else len(validation)
    )
    grid = None if isinstance(lambdas, (int, np.integer)) else lambda_grid(lambdas, np.ones(targets), eps)
    bits = [masks_digest(part.source) for part in (models, validation) if part is not None] if resume else []
    parts: list[LargePath] = []
    for first in range(0, targets, layout.targets):
        some = slice(first, first + layout.targets)
        ours: int | ArrayLike = lambdas if grid is None else grid[some]
        y, held = models.columns(some), None if validation is None else (validation.source, validation.columns(some))
        begin = None if start is None else [start.best_entry(t) for t in range(*some.indices(targets))]

        def solve(y: Floats = y, held: Any = held, begin: Any = begin, ours: Any = ours) -> LargePath:
            return TargetGroup(models.source, y, held, rules, layout, n).solve(ours, eps, progress, begin)

        if resume is None:
            parts.append(solve())
        else:
            key = digest(bits, y, np.asarray(ours), eps, rules_digest(rules), held and held[1], repr(begin))
            parts.append(kept(resume / f"targets-{first:06d}.npz", key, solve))
    short = [part.full for part in parts if part.full]
    if short:
        warn(
            f"the paths of {len(short)} of {len(parts)} groups of targets end early, because their working sets are "
            f"full with {layout.working} units; raise memory or eps"
        )
    return joined(parts)


def plan_layout(n: int, m: int, targets: int, memory: int, threads: int, validating: int = 0) -> Layout:
    """Divide memory between the sums of one pass, [n, columns], and the working set; InputError if it is too little."""
    rows = min(m, ROWS)
    fixed = 96 * n + threads * (3 * rows * UNITS // 8 + 2**20) + 2**24

    def left(columns: int, targets: int) -> float:
        sums = 8 * n * max(columns, targets + 1)
        return float(memory - fixed - sums - 16 * (m + validating) * (columns + targets) - 16 * SOME * columns)

    columns = targets * AHEAD
    while columns > 1 and left(columns, min(targets, columns)) < (memory - fixed) / 2:
        columns -= 1
    several = min(targets, columns)
    ahead = max(1, min(AHEAD, columns // several))
    rest = left(several * ahead, several)
    # Packed columns twice, bits turned for counting and unpacked for predicting; the Gram, and a thread's covariances.
    line = (m + validating) / 4 + 8192 + 12 * FEW + 64 * several
    square = 8 + 8 * min(threads, several)
    working = int((np.sqrt(line**2 + 4 * square * max(rest, 0.0)) - line) / (2 * square))
    if working < min(64, n):
        need = fixed + 8 * n * 2 + 32 * (m + validating) + 16 * SOME + 64 * line + 64**2 * square
        raise InputError(
            f"{n} units and {m} models need memory of at least {need / 2**20:.0f} MiB besides what is held of masks "
            f"and outputs, got {memory / 2**20:.0f} MiB"
        )
    return Layout(several, ahead, min(working, n))
