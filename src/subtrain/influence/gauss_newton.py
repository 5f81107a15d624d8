"""The influence table of one trained model: how far a step of training on each example moves each target's output.

Koh & Liang 2017, with the Gauss-Newton matrix (Martens 2020) of the model's own subset S in the place of the Hessian:
G[i, t] = g_tᵀ H⁻¹ J_iᵀ (e_y - p_i), H = Σ_{i in S} J_iᵀ (diag p_i - p_i p_iᵀ) J_i + damping I, for cross-entropy.

Most directions of the parameters have next to no curvature: there H is the damping alone. So H is written out only in
directions that have some, those of the eigenvectors of each layer's two sides (George et al. 2018), all at once;
what gradients have in all other directions is divided by the damping. With every direction chosen the table is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from subtrain.errors import InputError
from subtrain.influence.jacobians import Floats, Ints, LayerRows, Linearized
from subtrain.influence.losses import curvature, residuals, sampled

# Eigenvalues and eigenvectors, in columns.
Axes = tuple[Floats, Floats]


@dataclass(frozen=True)
class Precision:
    """How close to exact a table is.

    Args:
        least: Directions count whose curvature is more than this share of the damping; 0 for all of them: exact.
        directions: Of these at most so many, those of most curvature.
        rows: Of the curvature, one for each example and label: of more, labels are sampled, at least one an example.
    """

    least: float = 0.03
    directions: int = 4096
    rows: int = 12_000


EXACT = Precision(0.0, 1 << 30, 1 << 30)


@dataclass(frozen=True, eq=False)
class Basis:
    """Directions of one layer: eigenvectors of its sides, [d, d] and [k, k], and which pairs of them were chosen."""

    inputs: Floats
    outputs: Floats
    at: tuple[Ints, Ints]


def influence_table(
    train: Linearized,
    targets: Linearized,
    y: Ints,
    mask: NDArray[np.bool_],
    slopes: NDArray[np.float64],
    damping: float,
    precision: Precision = Precision(),
    seed: int = 0,
) -> Floats:
    """The table of one model.

    1. The curvature's rows A, H = AᵀA + damping I; 2. directions in which they matter; 3. H there, O(R P²) for R rows
    and P directions, and its Cholesky factor, O(P³ / 3); 4. one solve for all targets, O(P² T); 5. the table,
    O(n P T), and what lies in all other directions, O(n T d).

    Args:
        train: The model around its parameters, on all n training examples.
        targets: The same on the N examples whose outputs are recorded.
        y: Labels of the training examples, int64 [n].
        mask: The model's own subset, bool [n].
        slopes: Of each recorded number in the logits, [N, k, C].
        damping: Added to the curvature, above 0.
        precision: How close to exact. Default `Precision()`, mostly within 5 %: scores are the same.
        seed: Draws labels where they are sampled.

    Returns:
        float32 [n, N k]: how far training on example i as long as S was trained on would move output t.

    Raises:
        InputError: where the model's logits are not finite.
    """
    if not (np.isfinite(train.logits).all() and np.isfinite(targets.logits).all()):
        raise InputError("the model's logits are not finite: its training diverged, so that it has no influence table")
    subset, n, owner = np.flatnonzero(mask), len(y), np.repeat(np.arange(len(slopes)), slopes.shape[1])
    # 1. Rows.
    logits = train.logits[subset]
    vectors = curvature(logits)
    curved = _rows(train, subset, vectors)
    # 2. Directions.
    bases = directions(curved, damping, precision)
    if logits.size > precision.rows:
        draws = np.random.default_rng([seed, 7]).random(len(subset))
        curved = _rows(train, subset, sampled(vectors, max(1, precision.rows // len(subset)), draws))
    # 3. H.
    system = _system(curved, bases)
    system[np.diag_indices_from(system)] += np.float32(damping)
    factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    # 4. Targets.
    theirs = targets.along(owner, slopes.reshape(owner.size, -1))
    b = turned(theirs, bases)
    solved = cho_solve(factor, b.T, check_finite=False)
    # 5. The table.
    ours = train.along(np.arange(n), residuals(train.logits, y))
    a = turned(ours, bases)
    table: Floats = a @ (solved - b.T / np.float32(damping))
    for mine, their in zip(ours, theirs, strict=True):
        table += mine.gram(their) / np.float32(damping)
    return table


def directions(curved: tuple[LayerRows, ...], damping: float, precision: Precision) -> list[Basis]:
    """Pairs of eigenvectors of each layer's sides, those whose curvature is estimated to matter beside the damping.

    The estimate of a pair is the product of its eigenvalues over their sum: exact where inputs and slopes are
    independent, as Kronecker factors take them to be (Martens & Grosse 2015).
    """
    axes = [tuple(tuple(np.linalg.eigh(side)) for side in rows.sides()) for rows in curved]
    return chosen_pairs(axes, damping, precision)  # type: ignore[arg-type]


def chosen_pairs(axes: Sequence[tuple[Axes, Axes]], damping: float, precision: Precision) -> list[Basis]:
    """`directions` of each layer's axes: eigenvalues and eigenvectors, those of its inputs and those of its outputs."""
    found, every = [], []
    for (of_inputs, inputs), (of_outputs, outputs) in axes:
        total = max(float(of_outputs.sum()), np.finfo(np.float32).tiny)
        found.append((inputs, outputs))
        every.append(np.outer(np.maximum(of_inputs, 0), np.maximum(of_outputs, 0)) / total)
    sizes = np.concatenate([sizes.ravel() for sizes in every])
    least = precision.least * damping
    if precision.least and sizes.size > precision.directions:
        least = max(least, float(np.partition(sizes, -precision.directions)[-precision.directions]))
    return [Basis(*sides, np.nonzero(size >= least)) for sides, size in zip(found, every, strict=True)]  # type: ignore[arg-type]


def turned(rows: tuple[LayerRows, ...], bases: list[Basis]) -> Floats:
    """The gradients in the chosen directions, [R, P]."""
    parts = [mine.turned(basis.inputs, basis.outputs, basis.at) for mine, basis in zip(rows, bases, strict=True)]
    return np.concatenate(parts, axis=1)


def _rows(train: Linearized, subset: Ints, vectors: NDArray[np.float64]) -> tuple[LayerRows, ...]:
    """Gradients of the sums of logits that `vectors` [s, c, C] weigh, of the examples `subset`."""
    return train.along(np.repeat(subset, vectors.shape[1]), vectors.reshape(-1, vectors.shape[2]))


def _system(curved: tuple[LayerRows, ...], bases: list[Basis]) -> Floats:
    """AᵀA in the chosen directions, [P, P]."""
    rows = turned(curved, bases)
    return np.asarray(rows.T @ rows)
