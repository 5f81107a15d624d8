"""Maps: datamodel columns (targets) or rows (units) as points in the plane, and groups of targets with common units."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.explorer.figures import spread
from subtrain.explorer.opened import OpenFit

POINTS = 20_000
DIMENSIONS = 16
CLUSTERS = 12
SHOWN = 12


@dataclass(frozen=True, eq=False)
class Map:
    """number [P]: which targets or units; x, y [P]; cluster [P], 0 the largest; method: in words."""

    number: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    cluster: NDArray[np.int64]
    method: str


@dataclass(frozen=True, eq=False)
class Group:
    """A cluster of targets: its members, nearest to its middle first, and the units of the strongest mean weight."""

    members: NDArray[np.int64]
    units: NDArray[np.int64]
    weights: NDArray[np.float64]
    labels: dict[str, int]


def draw_map(fit: OpenFit, of: str) -> Map:
    """Principal components of the weights, of targets or of units, evenly spaced ones where there are too many."""
    from sklearn.cluster import KMeans

    rows: NDArray[Any] = fit.sidecar.weight if of == "targets" else fit.dm.weight
    number = spread(np.arange(len(rows)), POINTS)
    points = _components(rows, number)
    count = min(CLUSTERS, max(1, number.size // 5))
    cluster = _by_size(KMeans(count, n_init=1, random_state=0).fit_predict(points))
    flat = points if points.shape[1] > 1 else np.pad(points, ((0, 0), (0, 1)))
    return Map(number, flat[:, 0], flat[:, 1], cluster, "first two principal components of the weights")


def groups(fit: OpenFit, found: Map) -> list[Group]:
    """The clusters of a map of targets, largest first."""
    weight = fit.sidecar.weight
    out = []
    for cluster in range(int(found.cluster.max()) + 1):
        members = found.number[found.cluster == cluster]
        mean = np.zeros(fit.dm.n)
        for start in range(0, members.size, 256):
            mean += weight[members[start : start + 256]].sum(axis=0, dtype=np.float64)
        mean /= members.size
        units = np.argsort(-np.abs(mean), kind="stable")[:SHOWN]
        labels = Counter(fit.labels[t] for t in members.tolist()) if fit.labels else Counter()
        out.append(Group(members, units[mean[units] != 0], mean[units[mean[units] != 0]], dict(labels.most_common())))
    return out


def _by_size(cluster: NDArray[Any]) -> NDArray[np.int64]:
    """Clusters numbered by falling size."""
    order = np.argsort(-np.bincount(cluster), kind="stable")
    return np.asarray(np.argsort(order)[cluster], np.int64)


def _components(rows: NDArray[Any], number: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows projected onto their first principal components, by a random range finder that reads a block at a time."""
    n = rows.shape[1]
    k = min(DIMENSIONS, n, number.size)
    random = np.random.default_rng(0)
    basis = random.normal(size=(n, k)).astype(np.float32)
    blocks = np.array_split(number, max(1, number.size * n * 4 // (64 << 20)))
    total = sum(rows[block].sum(axis=0, dtype=np.float64) for block in blocks)
    mean = np.asarray(total / number.size, np.float32)
    for _ in range(3):
        gathered = np.zeros((n, k))
        for block in blocks:
            centred = rows[block] - mean
            gathered += centred.T @ (centred @ basis)
        basis = np.linalg.qr(gathered)[0].astype(np.float32)
    points = np.concatenate([(rows[block] - mean) @ basis for block in blocks]).astype(np.float64)
    left, size, _ = np.linalg.svd(points, full_matrices=False)
    return np.asarray(left * size)
