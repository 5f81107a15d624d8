"""Local search against going through every set, and on planted blocks."""

from itertools import combinations

import numpy as np
import pytest

from subtrain.uses.kit.heaviest_submatrix import climb, densest_submatrix, largest_submatrix, symmetric


def brute(weight, size):
    """The largest sum over a set's pairs, in either direction, without the diagonal."""
    off = weight - np.diag(np.diag(weight))
    return max(off[np.ix_(some, some)].sum() for some in combinations(range(len(weight)), size))


def test_it_finds_the_best_set_of_nearly_every_small_matrix():
    best = 0
    for seed in range(40):
        weight, size = np.random.default_rng(seed).normal(size=(10, 10)), 2 + seed % 4
        found = largest_submatrix(symmetric(weight), size)
        most = brute(weight, size)
        inside = np.flatnonzero(found.inside)
        off = weight[np.ix_(inside, inside)]
        assert inside.size == size
        assert found.value == pytest.approx(off.sum() - np.trace(off))
        assert found.value <= most + 1e-9
        best += found.value >= most - 1e-9
    assert best >= 37


def planted(n=300, size=20, strength=1.0, seed=0):
    random = np.random.default_rng(seed)
    weight = random.normal(size=(n, n))
    block = random.choice(n, size, replace=False)
    weight[np.ix_(block, block)] += strength
    weight[np.arange(n), np.arange(n)] = 100
    return weight, np.sort(block)


def test_a_planted_block_is_found_and_its_size_too():
    weight, block = planted()
    known = largest_submatrix(symmetric(weight), 20)
    np.testing.assert_array_equal(np.flatnonzero(known.inside), block)
    sizes = []
    found = densest_submatrix(symmetric(weight), 150, tried=lambda one: sizes.append(one.inside.sum()))
    np.testing.assert_array_equal(np.flatnonzero(found.inside), block)
    assert found.value == pytest.approx(known.value)
    assert min(sizes) == 2
    assert max(sizes) == 150


def test_sparse_and_dense_are_the_same():
    weight, block = planted(strength=3)
    weight[np.abs(weight) < 2.5] = 0
    dense = symmetric(weight + 1e-15)
    sparse = symmetric(weight)
    assert hasattr(sparse, "toarray")
    assert isinstance(dense, np.ndarray)
    np.testing.assert_allclose(sparse.toarray(), dense, atol=1e-12)
    one, other = (densest_submatrix(matrix, 100) for matrix in (sparse, dense))
    np.testing.assert_array_equal(one.inside, other.inside)
    assert one.value == pytest.approx(other.value)
    assert set(np.flatnonzero(one.inside)) <= set(block.tolist())


def test_no_swap_improves_what_climb_returns():
    matrix = symmetric(np.random.default_rng(3).normal(size=(40, 40)))
    start = np.zeros(40, bool)
    start[:6] = True
    found = climb(matrix, start)
    gain = matrix @ found.inside
    for out in np.flatnonzero(found.inside):
        for into in np.flatnonzero(~found.inside):
            assert gain[into] - gain[out] - matrix[out, into] <= 1e-9
    assert start[:6].all()
