"""Planted clusters are found, whatever the affinity, with the units they have in common."""

import numpy as np
import pandas as pd
import pytest

from subtrain import Datamodels
from subtrain.errors import InputError
from subtrain.uses.clusters import clusters
from subtrain.uses.kit.datamodel_vectors import affinities, place, vectors
from uses.planted import grouped_weights


def datamodels(weight):
    return Datamodels(weight, np.zeros(weight.shape[1]), np.zeros(weight.shape[1]), {"output": "test_margins"})


@pytest.mark.parametrize("affinity", ["knn", "cosine"])
@pytest.mark.parametrize("of", ["targets", "units"])
def test_planted_clusters_are_found(affinity, of):
    weight, of_unit, of_target = grouped_weights()
    truth = of_target if of == "targets" else of_unit
    found = clusters(datamodels(weight), None, 4, of, affinity, neighbors=5, labels=[f"g{g}" for g in truth])
    assert found.agreement == pytest.approx(1)
    assert found.k == 4
    for cluster in range(4):
        group = np.unique(truth[found.members(cluster)])
        assert group.size == 1
        common = found.common(cluster, 5)
        other = of_unit if of == "targets" else of_target
        assert [other[unit.number] for unit in common] == [group[0]] * 5
        assert all(unit.share == 1 for unit in common)
        assert common[0].weight >= common[-1].weight > 0.5


def test_clusters_that_share_nothing_are_told_apart_and_empty_targets_left_out():
    """The graph falls into parts here, of which scikit-learn would warn."""
    weight = np.kron(np.eye(3), np.ones((5, 8)))
    weight[:, 2] = 0
    found = clusters(datamodels(weight + 0.0), None, 3, neighbors=4)
    assert found.cluster[2] == -1
    assert sorted(map(len, map(found.members, range(3)))) == [7, 8, 8]
    assert found.cluster[found.members(0)[0]] == 0
    assert np.isnan(found.agreement)


def test_table_and_figure():
    weight, _, of_target = grouped_weights()
    plain = clusters(datamodels(weight), None, 4, neighbors=5)
    assert list(plain.table()) == ["cluster", "size", "mean cosine", "common units"]
    found = clusters(datamodels(weight), None, 4, neighbors=5, labels=of_target.astype(str))
    table = pd.DataFrame(found.table())
    assert table["size"].sum() == 60
    assert (table["of this label"] == 1).all()
    rows = vectors(datamodels(weight)).rows[found.members(2)]
    cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    assert table["mean cosine"][2] == pytest.approx(cosines.mean())
    assert "mutual information with their labels 1.00" in repr(found)
    assert len(found.figure().axes) == 2
    assert len(plain.figure().axes) == 1


@pytest.mark.parametrize("method", ["pca", "spectral", "tsne"])
def test_maps_keep_groups_together(method):
    weight, _, of_target = grouped_weights()
    points = place(vectors(datamodels(weight)).rows, method)
    assert points.shape == (60, 2)
    assert np.array_equal(points, place(vectors(datamodels(weight)).rows, method))
    centre = np.stack([points[of_target == g].mean(axis=0) for g in range(4)])
    nearest = np.linalg.norm(points[:, None] - centre, axis=2).argmin(axis=1)
    assert (nearest == of_target).mean() > 0.8


def test_nearest_neighbours_are_symmetric():
    rows = vectors(datamodels(grouped_weights()[0])).rows
    graph = affinities(rows, "knn", 3).toarray()
    assert np.array_equal(graph, graph.T)
    assert set(np.unique(graph)) == {0, 0.5, 1}
    assert (graph > 0).sum(axis=1).min() >= 3


def test_what_cannot_be_is_refused():
    dm = datamodels(grouped_weights()[0])
    with pytest.raises(InputError, match="make 2 to 59 clusters, got 1"):
        clusters(dm, None, 1)
    with pytest.raises(InputError, match="affinity must be"):
        clusters(dm, None, 3, affinity="magic")
    with pytest.raises(InputError, match="neighbors must be 1 to 59, got 0"):
        clusters(dm, None, 3, neighbors=0)
    with pytest.raises(InputError, match="a map is made by one of"):
        place(vectors(dm).rows, "umap")
    with pytest.raises(InputError, match="clusters are numbered 0 to 2, got 3"):
        clusters(dm, None, 3, neighbors=5).members(3)
    with pytest.raises(InputError, match="but 2 labels"):
        clusters(dm, None, 3, labels=["a", "b"])
