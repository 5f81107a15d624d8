"""The table of `gauss_newton` for modules that are known by their gradients alone, in chunks that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from subtrain.influence.gauss_newton import Axes, Basis, Precision, chosen_pairs
from subtrain.influence.jacobians import Floats, Ints
from subtrain.influence.losses import sampled
from subtrain.influence.torch_gradients import ModuleGradients
from subtrain.influence.torch_losses import OutputLoss
from subtrain.system.machine import cores, memory
from subtrain.trainers.torch.inputs import parts

# Bytes of the gradients of a chunk, on the CPU few enough to stay in its caches, and its most rows.
CHUNK, ON_GPU, ROWS = 1 << 25, 1 << 30, 512
# Rows of a chunk of a large module.
LARGE = 8
# Bytes that a module makes of a byte of an example, in about.
MADE_OF = 16
# Most examples that directions are estimated from, and their most bytes.
EXAMPLES, SAMPLE = 512, 1 << 28
# Of a side wider than this only the largest so many eigenvectors are computed, from so many of its rows.
WIDE, LARGEST, OF_ROWS = 1024, 512, 4096
# Without a formula, the damping is this share of the mean curvature of a parameter.
SHARE = 0.1
# Where the system does not say how much memory it has.
MEMORY = 1 << 33


@dataclass(frozen=True, eq=False)
class Around:
    """A trained module around its parameters: on all training examples, with its loss and labels y [n] there, the
    numbers of the examples in its subset, and a seed that draws."""

    train: ModuleGradients
    loss: OutputLoss
    y: Any
    subset: Ints
    seed: int

    @cached_property
    def at_once(self) -> int:
        """Rows in a chunk: their gradients fit into it, and what the module makes of their examples on the way."""
        example = MADE_OF * sum(part.nbytes for part in parts(self.train.seen(slice(1))))
        row, device = max(4 * self.train.size, example), self.train.device
        least = min(LARGE * row, share_of_memory(device) // 4)
        return int(np.clip(max(ON_GPU if device.type == "cuda" else CHUNK, least) // row, 1, ROWS))

    def residual_rows(self) -> Iterator[tuple[slice, Any]]:
        """Gradients of the residuals of all examples, in chunks."""
        for start in range(0, self.train.count, self.at_once):
            where = slice(start, start + self.at_once)
            vectors = self.loss.residuals(self.train.outputs[where], self.y[where])
            yield where, self.train.rows(where, self.train.tensor(vectors))

    def curved_rows(self, examples: Ints, samples: int) -> Iterator[Any]:
        """Gradients [R, size] whose outer products sum to these examples' curvature, `samples` each, in chunks."""
        draws = np.random.default_rng([self.seed, 7]).random(self.train.count)
        size = max(1, min(self.at_once // samples, CHUNK // (8 * self.train.width**2)))
        for start in range(0, examples.size, size):
            some = examples[start : start + size]
            vectors = self.loss.factors(self.train.outputs[some], self.y[some])
            if samples < vectors.shape[1]:
                vectors = sampled(vectors, samples, draws[some])
            rows = np.repeat(some, vectors.shape[1])
            yield self.train.rows(rows, self.train.tensor(vectors.reshape(rows.size, -1)))


@dataclass(frozen=True, eq=False)
class Turn:
    """The chosen directions of one parameter, as `Basis`, with the eigenvectors that are in use alone.

    start: where its gradient [d, k] begins; inputs: [d, a]; outputs: [k, b]; at: pairs of these.
    """

    start: int
    inputs: Any
    outputs: Any
    at: tuple[Any, Any]

    @classmethod
    def of(cls, start: int, basis: Basis, device: Any) -> Turn:
        used, places = zip(*(np.unique(axis, return_inverse=True) for axis in basis.at), strict=True)
        sides = basis.inputs[:, used[0]], basis.outputs[:, used[1]]
        inputs, outputs, *at = (torch.as_tensor(part, device=device) for part in (*sides, *places))
        return cls(start, inputs, outputs, (at[0], at[1]))

    def __call__(self, rows: Any) -> Any:
        """[R, pairs] of gradients [R, size]."""
        d, k = len(self.inputs), len(self.outputs)
        mine = rows[:, self.start : self.start + d * k].reshape(-1, d, k)
        return (self.inputs.T @ (mine @ self.outputs))[:, self.at[0], self.at[1]]


def streamed_table(
    around: Around,
    targets: ModuleGradients,
    slopes: NDArray[np.float64],
    damping: float | None,
    precision: Precision,
    samples: int,
) -> Floats:
    """As `gauss_newton.influence_table`, of each chunk of gradients keeping only what the table needs.

    1. From the gradients of some examples, the directions of each parameter, a matrix, in which curvature is estimated
    to matter beside the damping; 2. the curvature there, added up; 3. one solve for all targets; 4. the table. What
    gradients have in all other directions is divided by the damping where the gradients of all targets fit into memory;
    else it is left out.

    Args:
        around: The model on its training examples.
        targets: The model on the examples whose outputs are recorded.
        slopes: Of each recorded number in the outputs, [N, r, k].
        damping: Added to the curvature; None where there is no formula for it.
        precision: How close to exact.
        samples: Rows of the curvature for each example, all where that is the number of outputs.
    """
    train, device = around.train, around.train.device
    # 1. Directions.
    first = _first_rows(around)
    if damping is None:
        damping = SHARE * max(float(first.square().sum()) / train.size, float(np.finfo(np.float32).tiny))
    bases = chosen_pairs(_axes(first, train.matrices, around.seed), damping, precision)
    del first
    turns = [Turn.of(at[0], basis, device) for at, basis in zip(train.matrices, bases, strict=True)]
    directions = sum(basis.at[0].size for basis in bases)
    # 2. Curvature.
    system = torch.eye(directions, device=device) * damping
    for rows in around.curved_rows(around.subset, samples):
        turned = _turned(rows, turns)
        system.addmm_(turned.T, turned)
    # 3. Targets.
    owner = np.repeat(np.arange(len(slopes)), slopes.shape[1])
    keep = 4 * owner.size * train.size <= share_of_memory(device)
    theirs, whole = _target_rows(targets, owner, slopes.reshape(owner.size, -1), turns, around.at_once, keep)
    solved = torch.cholesky_solve(theirs.T, torch.linalg.cholesky(system))
    if keep:
        solved -= theirs.T / damping
    # 4. The table.
    table = np.empty((train.count, owner.size), np.float32)
    for where, rows in around.residual_rows():
        found = _turned(rows, turns) @ solved
        if keep:
            found += rows @ (whole.T / damping)
        table[where] = found.cpu().numpy()
    return table


def share_of_memory(device: Any) -> int:
    """Bytes that one of the large arrays of a table may take. Of all memory, so that it is the same for each model."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory // 8)
    return (memory() or MEMORY) // (8 * cores())


def _first_rows(around: Around) -> Any:
    """One row of the curvature of some examples of the subset, scaled to the curvature of all."""
    most = int(np.clip(SAMPLE // (4 * around.train.size), 64, EXAMPLES))
    some = around.subset[:: -(-around.subset.size // most)]
    return torch.cat(list(around.curved_rows(some, 1))) * float(np.sqrt(around.subset.size / some.size))


def _axes(rows: Any, matrices: list[tuple[int, int, int]], seed: int) -> list[tuple[Axes, Axes]]:
    """Eigenvalues and eigenvectors of both sides of each parameter's gradients [R, size]."""
    torch.manual_seed(seed)
    found = []
    for start, d, k in matrices:
        mine = rows[:, start : start + d * k].reshape(-1, d, k)
        found.append((_axis(mine.transpose(1, 2).reshape(-1, d)), _axis(mine.reshape(-1, k))))
    return found


def _axis(vectors: Any) -> Axes:
    """Of the sum of the outer products of vectors [N, c]."""
    if vectors.shape[1] <= WIDE:
        sizes, axes = torch.linalg.eigh(vectors.T @ vectors)
    else:
        some = vectors[torch.randperm(len(vectors))[:OF_ROWS].to(vectors.device)]
        _, singular, axes = torch.svd_lowrank(some, min(LARGEST, len(some)))
        sizes = singular.square() * (len(vectors) / len(some))
    return sizes.cpu().numpy(), axes.cpu().numpy()


def _turned(rows: Any, turns: list[Turn]) -> Any:
    """Gradients [R, size] in the chosen directions, [R, directions]."""
    return torch.cat([turn(rows) for turn in turns], dim=1)


def _target_rows(
    targets: ModuleGradients, owner: Ints, slopes: NDArray[np.float64], turns: list[Turn], at_once: int, keep: bool
) -> tuple[Any, Any]:
    """Gradients of the recorded numbers in the chosen directions [T, directions], and as they are [T, size] or None."""
    turned, whole = [], []
    for start in range(0, owner.size, at_once):
        where = slice(start, start + at_once)
        rows = targets.rows(owner[where], targets.tensor(slopes[where]))
        turned.append(_turned(rows, turns))
        if keep:
            whole.append(rows)
    return torch.cat(turned), torch.cat(whole) if keep else None
