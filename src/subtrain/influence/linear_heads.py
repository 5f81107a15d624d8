"""Influence tables of convex heads and kernel ridge: the loss has one minimum, so that the table is the derivative.

Weight the loss of example i by 1 + w: the table holds the slopes in w, at 0, of the outputs of the head that minimizes
the loss (Koh & Liang 2017, with the Hessian itself). A logistic head's Hessian is its Gauss-Newton matrix; ridge is
quadratic. Where the number of parameters is beyond LARGEST, a logistic head's table is close to the derivative only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from subtrain.influence.gauss_newton import Precision, influence_table
from subtrain.influence.jacobians import DenseLayer, Floats, Ints, Linearized
from subtrain.influence.losses import output_slopes, softmax
from subtrain.quantities import parse_name
from subtrain.trainers.frozen import Frozen, frozen
from subtrain.trainers.logistic import ABSENT, fit_logistic
from subtrain.trainers.ridge import fit_ridge

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Data = Mapping[str, tuple[NDArray[Any], Ints]]
# Parameters whose Hessian is written out in float64.
LARGEST = 8192
# Beyond that: the bias is a weight of a constant input, so many times a typical one, so that lam hardly holds it.
FAR = 10.0
FINE = Precision(least=1e-4)
# Minus the logit of the classes that are not there.
NEVER = 1e3


def logistic_table(
    data: Data, classes: int, margin: str, lam: float, tol: float, mask: Bools, seed: int, output: str
) -> Floats:
    """The table [n, targets] of the logistic head on this subset.

    Args:
        data: Features and labels of each split.
        classes: Classes.
        margin: Which margin the output records.
        lam: Penalty of the weights.
        tol: Tolerance of the head.
        mask: The head's subset, bool [n].
        seed: Draws labels where the table is not exact.
        output: Name of the recorded output, as test_margins.
    """
    (x, y), split = data["train"], parse_name(output)[0]
    features, rows = frozen(x, y, [data[split][0]], classes), np.flatnonzero(mask)
    there, weight, bias = fit_logistic(features, rows, lam, tol)
    mean = features.x[rows].mean(axis=0, dtype=np.float64)
    # An example of a class that the subset lacks pushes all others down where it is.
    left = -softmax(_logits(features.x, weight, bias))
    left += np.equal(y[:, None], there)
    asked = _logits(features.evaluate[0], weight, bias)
    slopes = _of_present(output, asked, data[split][1], margin, there, classes)
    ours, theirs = (part.astype(np.float64) - mean for part in (features.x, features.evaluate[0]))
    if (x.shape[1] + 1) * (there.size - 1) <= LARGEST:
        return _newton(ours, theirs, softmax(_logits(features.x[rows], weight, bias)), rows, left, slopes, lam)
    places = np.where(np.isin(y, there), np.searchsorted(there, y), there.size)
    return _approximate(features, ours, theirs, (weight, bias), places, mask, slopes, lam, seed)


def ridge_table(data: Data, classes: int, margin: str, lam: float, mask: Bools, seed: int, output: str) -> Floats:
    """The table [n, targets] of the ridge head on this subset; arguments as those of `logistic_table`."""
    (x, y), split = data["train"], parse_name(output)[0]
    features, rows = frozen(x, y, [data[split][0]], classes), np.flatnonzero(mask)
    weight, bias = fit_ridge(features, rows, lam)
    mean = features.x[rows].mean(axis=0, dtype=np.float64)
    ours, theirs = (part.astype(np.float64) - mean for part in (features.x, features.evaluate[0]))
    system = ours[rows].T @ ours[rows]
    system[np.diag_indices_from(system)] += lam
    # How far one more unit of residual at i moves the logit of t; the bias moves by its mean.
    between = ours @ linalg.solve(system, theirs.T, assume_a="pos", check_finite=False) + 1 / rows.size
    left = np.eye(classes)[y] - _logits(features.x, weight, bias)
    asked = _logits(features.evaluate[0], weight, bias)
    return _spread(between, left, output_slopes(output, asked, data[split][1], margin))


def random_features_table(
    data: Data,
    classes: int,
    margin: str,
    lam: float,
    recipe: Any,
    drawn: int | None,
    mask: Bools,
    seed: int,
    output: str,
) -> Floats:
    """The same of a ridge head on random features, drawn from the model's own seed or from `drawn`."""
    used = {split: data[split] for split in {"train", parse_name(output)[0]}}
    mapped = {
        split: (recipe.mapped(np.ascontiguousarray(x, np.float32), seed if drawn is None else drawn), y)
        for split, (x, y) in used.items()
    }
    return ridge_table(mapped, classes, margin, lam, mask, seed, output)


def kernel_ridge_table(
    kernels: Mapping[str, Doubles],
    labels: Mapping[str, Ints],
    classes: int,
    margin: str,
    lam: float,
    mask: Bools,
    output: str,
) -> Floats:
    """The same of kernel ridge; kernels [N, n] between the examples of each split and the training examples."""
    split, rows = parse_name(output)[0], np.flatnonzero(mask)
    ours, theirs = kernels["train"], kernels[split]
    system = ours[np.ix_(rows, rows)].copy()
    system[np.diag_indices_from(system)] += lam
    factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    onehot = np.eye(classes)[labels["train"]]
    dual = linalg.cho_solve(factor, onehot[rows], check_finite=False)
    solved = linalg.cho_solve(factor, theirs[:, rows].T, check_finite=False)
    between = (theirs.T - ours[:, rows] @ solved) / lam
    slopes = output_slopes(output, theirs[:, rows] @ dual, labels[split], margin)
    return _spread(between, onehot - ours[:, rows] @ dual, slopes)


def _logits(x: Floats, weight: Doubles, bias: Doubles) -> Doubles:
    return np.asarray(x.astype(np.float64) @ weight + bias)


def _spread(between: Doubles, left: Doubles, slopes: Doubles) -> Floats:
    """between: [n, N]; left: residuals [n, C]; slopes [N, k, C]; returns [n, N k]."""
    k = slopes.shape[1]
    found = np.repeat(between, k, axis=1) * (left @ slopes.reshape(-1, slopes.shape[2]).T)
    return found.astype(np.float32)


def _of_present(output: str, logits: Doubles, y: Ints, margin: str, there: Ints, classes: int) -> Doubles:
    """Slopes [N, k, there] of an output in the logits of the classes that are there.

    The others have the smallest of these logits minus a constant, so that it moves with them.
    """
    every = np.repeat(logits.min(axis=1, keepdims=True) - ABSENT, classes, axis=1)
    every[:, there] = logits
    slopes = output_slopes(output, every, y, margin)
    found = slopes[:, :, there].copy()
    absent = np.setdiff1d(np.arange(classes), there)
    least = logits.argmin(axis=1)
    found[np.arange(len(y)), :, least] += slopes[:, :, absent].sum(axis=2)
    return found


def _newton(
    ours: Doubles, theirs: Doubles, p: Doubles, rows: Ints, left: Doubles, slopes: Doubles, lam: float
) -> Floats:
    """The table from the Hessian, in float64. ours, theirs: features about the subset's mean; p: of the subset."""
    classes = p.shape[1]
    owner = np.repeat(np.arange(len(slopes)), slopes.shape[1])
    if classes == 1:
        return np.zeros((len(ours), owner.size), np.float32)
    # To move all logits of an example alike changes nothing: directions without their sum.
    plane = linalg.null_space(np.ones((1, classes)))
    ours, theirs = (np.column_stack([part, np.ones(len(part))]) for part in (ours, theirs))
    d, q = ours.shape[1], classes - 1
    scaled = p @ (plane[:, :, None] * plane[:, None, :]).reshape(classes, -1)
    within = p @ plane
    curved = scaled.reshape(-1, q, q) - within[:, :, None] * within[:, None, :]
    system = np.empty((q, d, q, d))
    for a in range(q):
        for b in range(a + 1):
            block = ours[rows].T @ (ours[rows] * curved[:, a, b, None])
            system[a, :, b] = system[b, :, a] = block
        system[a, range(d - 1), a, range(d - 1)] += lam
    pulls = (slopes.reshape(owner.size, classes) @ plane)[:, :, None] * theirs[owner][:, None, :]
    solved = linalg.solve(
        system.reshape(q * d, q * d),
        pulls.reshape(owner.size, -1).T,
        assume_a="pos",
        overwrite_a=True,
        overwrite_b=True,
    ).reshape(q, d, owner.size)
    pushed = left @ plane
    found = np.zeros((len(ours), owner.size))
    for a in range(q):
        found += pushed[:, a, None] * (ours @ solved[a])
    return found.astype(np.float32)


def _approximate(
    features: Frozen,
    ours: Doubles,
    theirs: Doubles,
    solution: tuple[Doubles, Doubles],
    y: Ints,
    mask: Bools,
    slopes: Doubles,
    lam: float,
    seed: int,
) -> Floats:
    """The table from the directions of most curvature. y: places among the classes that are there, or behind them."""
    behind = ((0, 0), (0, 1))
    far = FAR * float(np.sqrt(np.mean(np.square(ours)) * ours.shape[1]))

    def around(part: Doubles, shifted: Floats) -> Linearized:
        inputs = np.column_stack([part, np.full(len(part), far)]).astype(np.float32)
        logits = np.pad(_logits(shifted, *solution), behind, constant_values=-NEVER)
        return Linearized(logits, (DenseLayer(inputs, None),))

    train, targets = around(ours, features.x), around(theirs, features.evaluate[0])
    return influence_table(train, targets, y, mask, np.pad(slopes, ((0, 0), *behind)), lam, FINE, seed)
