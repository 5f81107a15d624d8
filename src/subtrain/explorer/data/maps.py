"""Maps: datamodel columns (targets) or rows (units) as points in the plane, and groups of targets with common units."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.explorer.data.target_choice import spread
from subtrain.explorer.open_studies import OpenFit
from subtrain.uses.clusters import clusters
from subtrain.uses.kit.datamodel_vectors import Vectors, place, vectors

POINTS = 10_000
# Graphs of more points than this, of vectors that have little in common, can take minutes and gigabytes to cut.
SPECTRAL = 3000
DIMENSIONS = 50
LARGE = 20_000_000
CLUSTERS = 10
SHOWN = 12


@dataclass(frozen=True, eq=False)
class Map:
    """number [P]: which targets or units; x, y [P]; cluster [P], 0 the largest, -1 for those without a weight, which
    have no place (NaN); method: in words."""

    number: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    cluster: NDArray[np.int64]
    method: str


@dataclass(frozen=True, eq=False)
class MapGroup:
    """A cluster of targets, and the units of the strongest mean weight for them."""

    members: NDArray[np.int64]
    units: NDArray[np.int64]
    weights: NDArray[np.float64]
    labels: dict[str, int]


def draw_map(fit: OpenFit, of: str, how: str) -> Map:
    """Targets (or units) in the plane, by `how` ("pca", "spectral" or "tsne") of their weights, and spectral clusters.

    Of more than POINTS, evenly spaced ones; where the weights are too many to work on at once, their first principal
    components stand for them. Of more than SPECTRAL, k-means stands for spectral clusters, and a spectral map is an
    InputError.
    """
    rows: NDArray[Any] = fit.sidecar.weight if of == "targets" else fit.dm.weight
    number = spread(np.arange(len(rows)), POINTS)
    large = rows.size > LARGE
    small = _components(rows, number) if large else np.asarray(rows)[number]
    as_targets = Datamodels(small.T, np.zeros(number.size), np.zeros(number.size))
    found = vectors(as_targets)
    many = found.index.size > SPECTRAL
    if many and how == "spectral":
        raise InputError(f"a spectral map takes at most {SPECTRAL:,} points, and these are {found.index.size:,}")
    count = max(2, min(len(set(fit.labels)) if fit.labels else CLUSTERS, found.index.size - 1))
    cluster = _k_means(found, count) if many else clusters(as_targets, k=count).cluster
    points = np.full((number.size, 2), np.nan)
    points[found.index] = place(found.rows, how)
    reduced = f" of {small.shape[1]} principal components" if large else ""
    method = f"{NAMES[how]}{reduced} of the datamodels, each of length 1; {'k-means' if many else 'spectral'} clusters"
    return Map(number, points[:, 0], points[:, 1], cluster, method)


NAMES = {"pca": "principal components", "spectral": "spectral embedding", "tsne": "t-SNE"}


def groups(fit: OpenFit, found: Map) -> list[MapGroup]:
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
        units = units[mean[units] != 0]
        labels = Counter(fit.labels[t] for t in members.tolist()) if fit.labels else Counter()
        out.append(MapGroup(members, units, mean[units], dict(labels.most_common())))
    return out


def _k_means(found: Vectors, count: int) -> NDArray[np.int64]:
    """Clusters [P], the largest first, -1 for those without a weight."""
    from sklearn.cluster import KMeans

    number = KMeans(count, n_init=1, random_state=0).fit_predict(found.rows)
    cluster = np.full(found.of_all, -1)
    cluster[found.index] = np.argsort(np.argsort(-np.bincount(number, minlength=count), kind="stable"))[number]
    return cluster


def _components(rows: NDArray[Any], number: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows of length 1 projected onto their first principal components, by a random range finder that reads a block at
    a time: float32 [P, DIMENSIONS], with 0 for rows of zeros."""
    n = rows.shape[1]
    k = min(DIMENSIONS, n, number.size)
    basis = np.random.default_rng(0).normal(size=(n, k)).astype(np.float32)
    blocks = np.array_split(number, max(1, number.size * n * 4 // (64 << 20)))
    mean = np.asarray(
        sum(_unit(rows[block]).sum(axis=0, dtype=np.float64) for block in blocks) / number.size, np.float32
    )
    for _ in range(2):
        gathered = np.zeros((n, k))
        for block in blocks:
            centered = _unit(rows[block]) - mean
            gathered += centered.T @ (centered @ basis)
        basis = np.linalg.qr(gathered)[0].astype(np.float32)
    return np.concatenate([_unit(rows[block]) @ basis for block in blocks])


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(rows, length, out=np.zeros(rows.shape, np.float32), where=length > 0)
    return unit
