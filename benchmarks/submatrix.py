"""Searching a planted block in a large sparse train x train matrix: how long, and whether it is found.

python benchmarks/submatrix.py [--quick]
"""

import sys
import time

import numpy as np

from subtrain.uses.kit.heaviest_submatrix import densest_submatrix, largest_submatrix, symmetric


def planted(n: int, block: int, nonzero: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Weights [n, n] with about `nonzero` of them in a row, and the units of a block whose weights are raised."""
    random = np.random.default_rng(0)
    weight = np.zeros((n, n), np.float32)
    for row in weight:
        row[random.integers(0, n, nonzero)] = random.normal(0, 0.05, nonzero)
    units = np.sort(random.choice(n, block, replace=False))
    weight[np.ix_(units, units)] += np.abs(random.normal(0, 0.05, (block, block))).astype(np.float32)
    return weight, units


def main(n: int, block: int) -> None:
    weight, units = planted(n, block)
    began = time.perf_counter()
    matrix = symmetric(weight)
    print(f"{n:,} units, {np.count_nonzero(weight):,} weights, made symmetric in {time.perf_counter() - began:.1f} s")
    for name, search in (
        ("size given", lambda: largest_submatrix(matrix, block)),
        ("size not given", lambda: densest_submatrix(matrix, n // 4)),
    ):
        began = time.perf_counter()
        found = np.flatnonzero(search().inside)
        right = np.intersect1d(found, units).size
        print(f"{name}: {right} of {block} found among {found.size}, in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main(*((2_000, 50) if "--quick" in sys.argv else (20_000, 200)))
