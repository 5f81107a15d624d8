"""Clusters of targets that were learned from the same units, and the units each cluster has in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.formatting import number
from subtrain.study import Study
from subtrain.uses.embedding import paint
from subtrain.uses.kit.datamodel_vectors import Vectors, affinities, place, unconnected_is_fine, vectors
from subtrain.uses.kit.direction import direction_note, quantity_fitted
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_figure

Numbers = NDArray[np.int64]
SHOWN = 5


class Common(NamedTuple):
    """A unit, its mean weight over a cluster's targets, and the share of these for which the weight has that sign.

    (Of clusters of units: a target.)
    """

    number: int
    weight: float
    share: float


@dataclass(frozen=True, eq=False, repr=False)
class Clusters(Result):
    """k clusters of targets (or units) by what they were learned from.

    cluster: int64 [T] (or [n]), 0 to k - 1, largest first; -1 for those without weights. labels: of all of them, text,
    if they are known; they are for show and had no part in the clustering.

    There is no `verify`: clusters sum weights up and claim nothing of their own about training. Of the directions that
    part them, `embedding` does, and its result retrains.
    """

    cluster: Numbers
    vectors: Vectors
    weight: NDArray[np.floating]
    labels: NDArray[np.str_] | None = None
    affinity: str = "knn"
    method: str = "pca"
    output: str = ""
    models: int = 0
    sign: int = 1
    remark: str = ""

    @property
    def k(self) -> int:
        """Clusters."""
        return int(self.cluster.max()) + 1

    @property
    def agreement(self) -> float:
        """Normalized mutual information of clusters and labels: 0 unrelated, 1 the same; NaN without labels."""
        if self.labels is None:
            return float("nan")
        from sklearn.metrics import normalized_mutual_info_score

        there = self.cluster >= 0
        return float(normalized_mutual_info_score(self.labels[there], self.cluster[there]))

    def finding(self) -> str:
        known = "" if self.labels is None else f", mutual information with their labels {number(self.agreement, 2)}"
        return (
            f"{self.k} of {self.vectors.index.size} {self.vectors.of} by {self.affinity} affinity of their "
            f"datamodels{known}; {self.output}, {self.models:,} models{self.remark}"
        )

    def members(self, cluster: int) -> Numbers:
        """The targets (or units) of a cluster."""
        if not 0 <= cluster < self.k:
            raise InputError(f"clusters are numbered 0 to {self.k - 1}, got {cluster}")
        return np.flatnonzero(self.cluster == cluster)

    def common(self, cluster: int, k: int = 10) -> list[Common]:
        """The k units that help a cluster's targets most, by mean weight (of units: the targets that they help): that
        raise them, of losses that lower them."""
        weight = self.weight if self.vectors.of == "targets" else self.weight.T
        of_members = np.asarray(weight[:, self.members(cluster)], np.float64)
        mean, share = of_members.mean(axis=1), (self.sign * of_members > 0).mean(axis=1)
        order = np.argsort(-self.sign * mean, kind="stable")[:k]
        return [Common(int(j), float(mean[j]), float(share[j])) for j in order if self.sign * mean[j] > 0]

    def table(self) -> Table:
        """A row a cluster: size, how alike its members are (mean cosine), its commonest label, its common units."""
        place_of = np.full(self.vectors.of_all, -1)
        place_of[self.vectors.index] = np.arange(self.vectors.index.size)
        alike, common, commonest, purity = [], [], [], []
        for cluster in range(self.k):
            members = self.members(cluster)
            rows = self.vectors.rows[place_of[members]]
            size = members.size
            alike.append((np.sum(rows.sum(axis=0) ** 2) - size) / max(1, size * (size - 1)))
            common.append(" ".join(str(found.number) for found in self.common(cluster, SHOWN)))
            if self.labels is not None:
                names, counts = np.unique(self.labels[members], return_counts=True)
                commonest.append(str(names[counts.argmax()]))
                purity.append(counts.max() / size)
        told = {} if self.labels is None else {"label": np.array(commonest), "of this label": np.array(purity)}
        other = "units" if self.vectors.of == "targets" else "targets"
        return {
            "cluster": np.arange(self.k),
            "size": np.bincount(self.cluster[self.cluster >= 0], minlength=self.k),
            "mean cosine": np.array(alike),
            **told,
            f"common {other}": np.array(common),
        }

    def figure(self) -> Figure:
        """A map of the vectors, colored by cluster, and beside it by label if they are known."""
        points = place(self.vectors.rows, self.method)
        colors = [("clusters", self.cluster[self.vectors.index].astype(str))]
        if self.labels is not None:
            colors.append(("labels", self.labels[self.vectors.index]))
        figure = new_figure(4.2 * len(colors), 4.0)
        for axes, (name, color) in zip(np.atleast_1d(figure.subplots(1, len(colors))), colors, strict=True):
            paint(axes, points, color)
            axes.set(title=name, xticks=[], yticks=[])
        figure.suptitle(
            f"{self.vectors.index.size} {self.vectors.of}, {self.output}, datamodels from {self.models:,} models, one "
            f"run each; map by {self.method}",
            fontsize="small",
        )
        return figure


@question
def clusters(
    dm: Datamodels,
    study: Study | None = None,
    k: int = 10,
    of: str = "targets",
    affinity: str = "knn",
    neighbors: int = 10,
    method: str = "pca",
    labels: Sequence[str] | NDArray[np.str_] | None = None,
) -> Clusters:
    """Cut targets, or units, into spectral clusters by their datamodels (paper: datamodels as embeddings).

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on, if it is there: for labels, for a declared direction, and to say
            where the fit is weak.
        k: Number of clusters.
        of: What is clustered: "targets" or "units".
        affinity: "knn" joins each with its `neighbors` nearest by cosine, for many thousands; or "cosine".
        neighbors: Number of nearest neighbors that "knn" joins.
        method: How the figure draws its map: "pca", "spectral" or "tsne".
        labels: Text of every target or unit, to compare with; they have no part in the clustering.

    Returns:
        Clusters: the cluster of each, and the units that its members have in common.

    Raises:
        InputError: For a k, kind or affinity that cannot be, and labels of another number.

    Example:
        >>> found = st.clusters(dm, study, k=2)
        >>> found.k, found.cluster.shape
        (2, (8,))
    """
    from sklearn.cluster import SpectralClustering

    found, output = vectors(dm, of), quantity_fitted(dm, study)
    if not 2 <= k < found.index.size:
        raise InputError(f"{found.index.size} {of} make 2 to {found.index.size - 1} clusters, got {k}")
    if labels is not None and len(labels) != found.of_all:
        raise InputError(f"there are {found.of_all} {of}, but {len(labels)} labels")
    graph = affinities(found.rows, affinity, min(neighbors, found.index.size - 1))
    with unconnected_is_fine():
        cut = SpectralClustering(k, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
        number = cut.fit_predict(graph)
    cluster = np.full(found.of_all, -1)
    cluster[found.index] = _largest_first(number)
    return Clusters(
        cluster=cluster,
        vectors=found,
        weight=dm.weight,
        labels=None if labels is None else np.asarray(labels, dtype=str),
        affinity=affinity,
        method=method,
        output=str(dm.meta.get("output", "")),
        models=int(dm.meta.get("models", 0)),
        sign=output.sign,
        remark=direction_note(output, str(dm.meta.get("output", ""))),
    )


def _largest_first(number: Numbers) -> Numbers:
    names, inverse, counts = np.unique(number, return_inverse=True, return_counts=True)
    rank = np.empty(names.size, np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(names.size)
    return rank[inverse]
