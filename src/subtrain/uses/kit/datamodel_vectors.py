"""Datamodels as vectors, a target over units or a unit over targets, and maps of many such vectors in the plane."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.system.types import Floats

Rows = NDArray[np.floating[Any]]
KINDS = ("targets", "units")
METHODS = ("pca", "spectral", "tsne")
# t-SNE of more dimensions than this takes long and shows their noise.
DIMENSIONS = 50


@dataclass(frozen=True, eq=False)
class Vectors:
    """Rows of length 1. of: "targets" (columns of the weights) or "units" (rows); index: int64 [k], which of them, for
    those without any weight are left out; rows: [k, n] or [k, T], of the weights' type; of_all: how many there are in
    all."""

    of: str
    index: NDArray[np.int64]
    rows: Rows = field(repr=False)
    of_all: int = 0


def vectors(dm: Datamodels, of: str = "targets") -> Vectors:
    """Datamodels as vectors of length 1. InputError for another kind, and with fewer than three that have a weight."""
    if of not in KINDS:
        raise InputError(f"of must be one of {', '.join(KINDS)}, got {of!r}")
    rows = np.asarray(dm.weight.T if of == "targets" else dm.weight)
    length = np.linalg.norm(rows, axis=1)
    index = np.flatnonzero(length > 0)
    if index.size < 3:
        raise InputError(f"only {index.size} of {len(rows)} {of} have a weight that is not zero, too few to compare")
    return Vectors(of, index, rows[index] / length[index, None], len(rows))


def affinities(rows: Rows, kind: str = "knn", neighbors: int = 10) -> Any:
    """Symmetric affinities [k, k] of vectors of length 1.

    kind: "cosine", dense, negative cosines as 0; "knn", sparse, 1 where both are among the other's `neighbors` nearest
    by cosine and 1/2 where one is, which suits many thousands.
    """
    if kind == "cosine":
        return np.maximum(rows @ rows.T, 0.0)
    if kind != "knn":
        raise InputError(f"affinity must be 'knn' or 'cosine', got {kind!r}")
    if not 1 <= neighbors < len(rows):
        raise InputError(f"neighbors must be 1 to {len(rows) - 1}, got {neighbors}")
    from sklearn.neighbors import kneighbors_graph

    graph = kneighbors_graph(rows, neighbors, include_self=False)  # Of unit vectors the nearest by cosine as well.
    return (graph + graph.T) / 2


def place(rows: Rows, method: str = "pca", seed: int = 0) -> Floats:
    """Points float64 [k, 2] of vectors of length 1.

    method: "pca", their first two principal components; "spectral", the first eigenvectors of their graph of nearest
    neighbors; "tsne", scikit-learn's t-SNE. The same seed gives the same map.
    """
    if method not in METHODS:
        raise InputError(f"a map is made by one of {', '.join(METHODS)}, got {method!r}")
    from sklearn.decomposition import PCA

    dimensions = min(DIMENSIONS if method == "tsne" else 2, *rows.shape)
    if method == "spectral":
        from sklearn.manifold import spectral_embedding

        with unconnected_is_fine():
            graph = affinities(rows, neighbors=min(10, len(rows) - 1))
            return np.asarray(spectral_embedding(graph, n_components=2, random_state=seed), np.float64)
    reduced = PCA(dimensions, random_state=seed).fit_transform(rows)
    if method == "tsne":
        from sklearn.manifold import TSNE

        nearby = min(30.0, (len(rows) - 1) / 3)
        reduced = TSNE(perplexity=nearby, init="pca", random_state=seed).fit_transform(reduced)
    return np.asarray(reduced, np.float64)


def unconnected_is_fine() -> warnings.catch_warnings[None]:
    """A context without scikit-learn's warning that a graph falls apart: parts that do are clusters."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
