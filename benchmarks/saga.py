"""The reference's solver as its paper and code describe it, written anew: SAGA over minibatches with a residual table.

    python benchmarks/saga.py        # seconds per epoch, epochs and gaps on a small world

float32 torch; masks standardized batch by batch; one residual a model and target in a table; the l1 step after every
batch; a target's lambda is lowered when max sigma^2 dw^2 < 5e-11 over the weights' change since the last check, every
3 epochs. Unlike the reference it starts at the all-zero solution, which spares it the fit of lambda = 0.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

CHECK, CHANGE = 3, 5e-11


@dataclass(frozen=True)
class Saga:
    """coefs: float32 [T, k, n], of standardized masks, NaN where the epochs ran out; epochs: made; seconds: of each."""

    coefs: np.ndarray
    epochs: int
    seconds: list[float]


def saga_path(
    masks: np.ndarray,
    y: np.ndarray,
    lambdas: np.ndarray,
    batch: int = 1000,
    rate: float | None = None,
    epochs: int = 1000,
) -> Saga:
    """The path of every target [T, k] at once; rate: 1 / (3 L) of a random batch if None."""
    m, n = masks.shape
    batch = min(batch, m)
    bits = torch.from_numpy(masks)
    mean = torch.from_numpy(masks.mean(axis=0, dtype=np.float64).astype(np.float32))
    sigma = torch.sqrt(mean * (1 - mean)).clamp_min(1e-6)
    targets = torch.from_numpy((y - y.mean(axis=0, dtype=np.float64)).astype(np.float32))
    lam = torch.from_numpy(lambdas.astype(np.float32))
    count, k = lam.shape
    rate = rate or 1 / (3 * (1 + (n / batch) ** 0.5) ** 2)
    weight, average, bias = torch.zeros(n, count), torch.zeros(n, count), torch.zeros(count)
    # The table starts at the residuals of the all-zero weights, and the average at its gradient.
    table = -targets.clone()
    for rows in torch.arange(m).split(batch):
        average += ((bits[rows].float() - mean) / sigma).T @ table[rows] / m
    found = np.full((count, k, n), np.nan, np.float32)
    at = torch.zeros(count, dtype=torch.int64)
    before = weight.clone()
    seconds: list[float] = []
    while len(seconds) < epochs and bool((at < k).any()):
        began = time.perf_counter()
        here = lam[torch.arange(count), at.clamp_max(k - 1)]
        for rows in torch.randperm(m, generator=torch.Generator().manual_seed(len(seconds))).split(batch):
            x = (bits[rows].float() - mean) / sigma
            residual = x @ weight + bias - targets[rows]
            change = residual - table[rows]
            step = x.T @ change
            weight = weight - rate * (step / len(rows) + average)
            weight = torch.sign(weight) * (weight.abs() - rate * here).clamp_min(0)
            bias = bias - rate * residual.mean(dim=0)
            average += step / m
            table[rows] = residual
        seconds.append(time.perf_counter() - began)
        if len(seconds) % CHECK == 0:
            moved = ((sigma[:, None] * (weight - before)) ** 2).amax(dim=0)
            before = weight.clone()
            for t in torch.nonzero((moved < CHANGE) & (at < k)).flatten().tolist():
                found[t, at[t]] = weight[:, t].numpy()
                at[t] += 1
    return Saga(found, len(seconds), seconds)


def main() -> None:
    from planted import lambdas_of, planted, relative_gap, standardized

    data = planted(2000, 300, 4)
    x = standardized(data.masks)
    y = data.y.astype(np.float64) - data.y.mean(axis=0, dtype=np.float64)
    grid = np.stack([lambdas_of(x, y[:, t], 20, 1e-2) for t in range(4)])
    got = saga_path(data.masks, y, grid, epochs=2000)
    gaps = [relative_gap(x, y[:, t], got.coefs[t].T, grid[t]) for t in range(4)]
    print(
        f"{got.epochs} epochs of {np.median(got.seconds):.4f} s; largest gap {np.nanmax(gaps):.2g}, "
        f"{np.isnan(gaps).sum()} of {np.size(gaps)} lambdas unfinished"
    )


if __name__ == "__main__":
    main()
