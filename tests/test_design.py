"""Masks and seeds: which bits, the same wherever and whenever they are made, with the right statistics."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subtrain import Design
from subtrain.designs.model_rows import EVALUATION, FIT
from subtrain.designs.samplers import bernoulli, fixed_size, subset_size
from subtrain.errors import InputError


def reference_mask(seed: int, subset: int, n: int, size: int) -> np.ndarray:
    raw = np.random.Philox(key=np.array([seed, subset], np.uint64)).random_raw(n)
    mask = np.zeros(n, bool)
    mask[np.argsort(raw, kind="stable")[:size]] = True
    return mask


def reference_seed(seed: int, subset: int, replicate: int) -> int:
    key = np.array([seed, subset], np.uint64)
    return int(np.random.Philox(key=key, counter=[0, 0, 0, 1 + replicate]).random_raw()) >> 32


PINNED = [
    (
        Design(0.5, 8, seed=0, n=100, heldout=2, replicates=2, kind="fixed"),
        50,
        "3772c2c2cd2aa3bb12f7b192f3a024fb4f5a2cb32708730ea87f503419714035",
        "6baffdb63c54391a52284f46617f6ea3ef60b11e38d38de31f82dc9e3a29ceff",
    ),
    (
        Design(0.29, 8, seed=2**63 + 5, n=130, heldout=2, replicates=2),
        37,
        "95e1f40f23097c8690426dd57bf08ec5d2fef5d88aa88749f89d0791484277e0",
        "2ed455787fbcad06241535f6fbf3d21fa236176fc5227c37601c433c5f1fb4c6",
    ),
]


@pytest.mark.parametrize(("design", "size", "masks", "seeds"), PINNED)
def test_bits_are_pinned_and_as_documented(design, size, masks, seeds):
    assert design.masks().sha256() == masks, "the masks of existing studies would change"
    assert hashlib.sha256(design.seeds().astype("<u4").tobytes()).hexdigest() == seeds
    subsets = [*range(8), 8, 8, 9, 9]
    expected = np.stack([reference_mask(design.seed, s, design.n, size) for s in subsets])
    assert np.array_equal(design.masks().unpack(), expected)
    replicates = [0] * 8 + [0, 1, 0, 1]
    again = [reference_seed(design.seed, s, r) for s, r in zip(subsets, replicates, strict=True)]
    assert design.seeds().tolist() == again


def test_bernoulli_bits_are_pinned():
    design = Design(0.2, 8, seed=7, n=100, heldout=2, replicates=3, kind="bernoulli")
    assert design.masks().sha256() == "8f0dcf1e4549a4f5519fc482333ccafee07ef5a1b00d66ccfc1b5545dbee5f9e"
    raw = np.random.Philox(key=np.array([7, 3], np.uint64)).random_raw(100)
    assert np.array_equal(design.masks([3]).unpack()[0], raw / 2.0**64 < 0.2)


def test_ties_go_to_the_smaller_index():
    raw = np.array([5, 1, 1, 1, 0, 5], np.uint64)
    assert fixed_size(raw, 0.5).tolist() == [False, True, True, False, True, False]
    assert fixed_size(np.zeros(5, np.uint64), 0.6).tolist() == [True, True, True, False, False]
    assert fixed_size(np.full(4, 2**64 - 1, np.uint64), 0.25).tolist() == [True, False, False, False]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_rows_in_any_order_give_the_same_bits(data):
    kind = data.draw(st.sampled_from(["fixed", "bernoulli"]))
    design = Design(0.4, 30, seed=data.draw(st.integers(0, 2**64 - 1)), n=70, heldout=5, replicates=3, kind=kind)
    masks, seeds = design.masks().unpack(), design.seeds()
    assert len(masks) == design.rows == 45
    rows = data.draw(st.lists(st.integers(0, 44), max_size=20))
    a, b = sorted(data.draw(st.tuples(st.integers(0, 45), st.integers(0, 45))))
    step = data.draw(st.sampled_from([-2, -1, 1, 3]))
    for some in (rows, np.array(rows, np.int32), slice(a, b), range(a, b), slice(None, None, step)):
        index = np.arange(45)[some] if isinstance(some, slice) else np.array(list(some), int)
        assert np.array_equal(design.masks(some).unpack(), masks[index])
        assert np.array_equal(design.seeds(some), seeds[index])


def test_another_process_and_long_slices_give_the_same_bits():
    design = Design(0.5, 2500, seed=3, n=64, heldout=0)
    code = "import subtrain as s; print(s.Design(0.5, 2500, seed=3, n=64, heldout=0).masks().sha256())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == design.masks().sha256()
    assert np.array_equal(design.masks([1023, 1024, 2499]).data, design.masks().data[[1023, 1024, 2499]])


def test_masks_do_not_depend_on_how_many_there_are():
    few, many = Design(n=40, models=10, heldout=0), Design(n=40, models=500, heldout=30, replicates=7)
    assert np.array_equal(few.masks().data, many.masks(range(10)).data)
    assert np.array_equal(few.seeds(), many.seeds(range(10)))


@pytest.mark.parametrize(
    ("alpha", "n", "size"),
    [(0.29, 100, 29), (0.57, 100, 57), (0.1, 10, 1), (0.1, 19, 1), (0.5, 501, 250), (1 / 3, 9, 2), (0.999, 10, 9)],
)
def test_sizes_are_the_floor_of_alpha_n(alpha, n, size):
    assert subset_size(alpha, n) == size
    assert set(Design(alpha, 5, n=n, heldout=0, kind="fixed").masks().sizes()) == {size}


@given(st.integers(1, 999), st.integers(2, 5000))
def test_sizes_have_no_rounding_error(thousandths, n):
    assert subset_size(thousandths / 1000, n) == thousandths * n // 1000


def test_fixed_inclusion_has_the_right_mean_and_covariance():
    n, m, alpha = 30, 20_000, 0.3
    masks = Design(alpha, m, seed=11, n=n, heldout=0, anchors=0).masks().unpack().astype(float)
    covariance = (masks - alpha).T @ (masks - alpha) / m
    sd = math.sqrt(alpha * (1 - alpha) / m)
    assert np.abs(masks.mean(axis=0) - alpha).max() < 4.5 * sd
    off = covariance[np.triu_indices(n, 1)]
    # Pairs of units repel each other: covariance -alpha (1 - alpha) / (n - 1) in draws of a fixed size.
    assert abs(off.mean() + alpha * (1 - alpha) / (n - 1)) < 1e-12
    z = (off - off.mean()) * math.sqrt(m) / (alpha * (1 - alpha))
    assert np.abs(z).max() < 4.5
    assert 0.8 < z.std() < 1.2


def test_bernoulli_inclusion_is_independent():
    n, m, alpha = 30, 20_000, 0.2
    masks = Design(alpha, m, seed=12, n=n, heldout=0, anchors=0, kind="bernoulli").masks().unpack().astype(float)
    assert np.abs(masks.mean(axis=0) - alpha).max() < 4.5 * math.sqrt(alpha * (1 - alpha) / m)
    sizes = masks.sum(axis=1)
    assert abs(sizes.var() / (n * alpha * (1 - alpha)) - 1) < 0.05
    z = np.cov(masks.T, bias=True)[np.triu_indices(n, 1)] * math.sqrt(m) / (alpha * (1 - alpha))
    assert np.abs(z).max() < 4.5
    assert abs(z.mean()) < 0.2


def test_bernoulli_at_the_edges_of_the_counter():
    raw = np.array([0, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    assert bernoulli(raw, 0.5).tolist() == [True, True, False, False]
    assert bernoulli(raw, math.nextafter(1, 0)).tolist() == [True, True, True, False]


def test_neighbouring_masks_and_seeds_are_unrelated():
    designs = [Design(0.5, 2000, seed=s, n=50, heldout=0, anchors=0) for s in (0, 1)]
    a, b = (d.masks().unpack() for d in designs)
    for left, right in ((a[:-1], a[1:]), (a, b)):
        overlap = (left & right).sum(axis=1)
        # Hypergeometric: 25 of 50 twice, mean 12.5, variance 25 * 0.5 * 0.5 * 25 / 49.
        assert abs(overlap.mean() - 12.5) < 4 * math.sqrt(25 * 25 / 4 / 49 / len(overlap))
    assert np.intersect1d(*(d.seeds() for d in designs)).size <= 2


def test_training_seeds_are_uint32_and_all_differ():
    design = Design(n=40, models=3000, heldout=300, replicates=5)
    seeds = design.seeds()
    assert seeds.dtype == np.uint32
    assert np.unique(seeds).size >= seeds.size - 4
    assert abs(seeds.mean() / 2**31 - 1) < 0.05


def test_held_out_replicates_share_their_mask_and_nothing_else():
    design = Design(n=40, models=10, heldout=4, replicates=3)
    assert design.role_rows(FIT).tolist() == list(range(10))
    assert design.role_rows(EVALUATION).tolist() == list(range(10, 22))
    assert design.subsets().tolist() == [*range(10), 10, 10, 10, 11, 11, 11, 12, 12, 12, 13, 13, 13]
    masks = design.masks(design.role_rows(EVALUATION)).unpack().reshape(4, 3, 40)
    assert (masks == masks[:, :1]).all()
    assert np.unique(design.masks().data, axis=0).shape[0] == 14
    assert np.unique(design.seeds()).size == 22


def test_extending_adds_blocks_after_the_held_out_rows():
    base = Design(n=40, models=10, heldout=4, replicates=2)
    longer = base.extend(models=5, heldout=2, replicates=3).extend(models=1)
    assert longer.rows == 18 + 5 + 6 + 1
    assert longer.role_rows(FIT).tolist() == [*range(10), *range(18, 23), 29]
    assert longer.role_rows(EVALUATION).tolist() == [*range(10, 18), *range(23, 29)]
    assert np.unique(longer.masks().data, axis=0).shape[0] == 14 + 5 + 2 + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(1, 3)), max_size=4), st.integers(0, 9))
def test_extending_never_changes_a_row(steps, seed):
    design = Design(n=40, models=6, heldout=3, replicates=2, seed=seed)
    for models, heldout, replicates in steps:
        if not models and not heldout:
            continue
        longer = design.extend(models, heldout, replicates)
        assert longer.rows == design.rows + models + heldout * replicates
        assert np.array_equal(longer.masks(range(design.rows)).data, design.masks().data)
        assert np.array_equal(longer.seeds(range(design.rows)), design.seeds())
        assert np.array_equal(longer.subsets(range(design.rows)), design.subsets())
        for role in (FIT, EVALUATION):
            before = design.role_rows(role)
            assert np.array_equal(longer.role_rows(role)[: before.size], before)
        assert np.unique(longer.subsets()).size == longer.subsets()[-1] + 1
        design = longer
    assert Design.from_json(json.loads(json.dumps(design.to_json()))) == design


def test_groups_are_the_units():
    groups = (2, 0, 1, 1, 2, 0, 0)
    design = Design(0.67, 3, groups=groups, heldout=0)
    assert design.n == 3
    masks = design.masks()
    assert masks.n == 3
    assert set(masks.sizes()) == {2}
    examples = design.examples(masks)
    assert examples.shape == (3, 7)
    for unit in range(3):
        members = np.flatnonzero(np.array(groups) == unit)
        assert (examples[:, members] == masks.unpack()[:, [unit]]).all()
    plain = Design(0.67, 3, n=3, heldout=0)
    assert np.array_equal(masks.data, plain.masks().data)
    assert np.array_equal(plain.examples(plain.masks()), plain.masks().unpack())


def test_json_round_trip_of_numpy_numbers_and_groups():
    design = Design(np.float64(0.5), np.int64(4), np.uint64(9), groups=np.array([1, 0, 2, 3]), heldout=np.int32(1))
    data = json.loads(json.dumps(design.to_json()))
    assert Design.from_json(data) == design
    assert Design.from_json(data).masks().sha256() == design.masks().sha256()
    with pytest.raises(InputError, match="no field named color"):
        Design.from_json({**data, "color": 1})


def test_heldout_defaults_to_a_twentieth_within_bounds():
    assert [Design(models=m).heldout for m in (1, 400, 1000, 6000, 10**6)] == [20, 20, 50, 300, 300]


MIXED = (0.2, 0.4, 0.6, 0.8)
PINNED_ALPHAS = [0.4, 0.2, 0.8, 0.6, 0.2, 0.2, 0.4, 0.4, 0.4, 0.4]


def test_mixed_alphas_are_pinned_and_as_documented():
    design = Design([0.8, 0.2, 0.6, 0.4], 6, seed=7, n=100, heldout=2, replicates=2)
    subsets = [*range(6), 6, 6, 7, 7]
    expected = []
    for subset in subsets:
        key = np.array([7, subset], np.uint64)
        raw = int(np.random.Philox(key=key, counter=[0, 0, 0, 2**63]).random_raw())
        expected.append(MIXED[raw * 4 // 2**64])
    assert design.alphas().tolist() == expected
    assert expected == PINNED_ALPHAS
    assert design.masks().sizes().tolist() == [round(100 * alpha) for alpha in expected]
    want = [reference_mask(7, s, 100, round(100 * a)) for s, a in zip(subsets, expected, strict=True)]
    assert np.array_equal(design.masks().unpack(), want)
    one = Design(0.5, 6, seed=7, n=100, heldout=2, replicates=2, kind="fixed")
    assert np.array_equal(design.seeds(), one.seeds())
    assert one.alphas([3, 3]).tolist() == [0.5, 0.5]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 44), max_size=20), st.sampled_from(["fixed", "bernoulli"]))
def test_any_rows_have_their_own_alpha(seed, rows, kind):
    design = Design(MIXED, 30, seed=seed, n=70, heldout=5, replicates=3, kind=kind)
    alphas = design.alphas()
    assert np.array_equal(design.alphas(rows), alphas[rows])
    assert np.array_equal(design.masks(rows).data, design.masks().data[rows])
    assert np.array_equal(design.extend(models=9).alphas(range(45)), alphas)
    assert len(set(alphas[-3:])) == 1
    again = Design.from_json(json.loads(json.dumps(design.to_json())))
    assert again == design
    for alpha in set(alphas):
        at = np.flatnonzero(alphas == alpha)
        plain = Design(alpha, 30, seed=seed, n=70, heldout=5, replicates=3, kind=kind)
        assert np.array_equal(design.masks(at).data, plain.masks(at).data)


def test_every_alpha_is_drawn_as_often_and_apart_from_the_masks():
    design = Design(MIXED, 20_000, seed=5, n=16, heldout=0, kind="bernoulli")
    alphas = design.alphas()
    shares = [np.mean(alphas == alpha) for alpha in MIXED]
    assert np.abs(np.array(shares) - 0.25).max() < 4.5 * math.sqrt(0.25 * 0.75 / 20_000)
    masks = design.masks().unpack()
    for alpha in MIXED:
        within = masks[alphas == alpha].mean(axis=0)
        assert np.abs(within - alpha).max() < 4.5 * math.sqrt(alpha * (1 - alpha) / 4_500)
    assert Design([0.3]).alpha == 0.3


CLASSES = ["rare"] + ["few"] * 4 + ["many"] * 25 + ["most"] * 70


def test_a_stratified_subset_holds_every_class_at_its_share():
    design = Design(0.1, 60, strata=CLASSES, heldout=3)
    masks = design.masks().unpack()
    held = np.stack([masks[:, np.array(CLASSES) == name].sum(axis=1) for name in ("rare", "few", "many", "most")])
    assert (held.T == [1, 1, 2, 6]).all(), "shares .1, .4, 2.5 and 7, at least 1, ten in all"
    assert (design.kind, design.n) == ("stratified", 100)
    assert len(np.unique(masks[:60], axis=0)) == 60
    chances = masks[:, -70:].mean(axis=0)
    assert chances.mean() == pytest.approx(6 / 70)
    assert chances.max() < 0.3, "no unit of a class is preferred"


def test_a_stratified_mask_is_those_of_each_class_with_the_smallest_values():
    strata = np.array([2, 0, 0, 2, 2, 0, 2, 2])
    raw = np.random.Philox(key=np.array([7, 4], np.uint64)).random_raw(8)
    mask = np.zeros(8, bool)
    for label, count in ((0, 2), (2, 2)):
        members = np.flatnonzero(strata == label)
        mask[members[np.argsort(raw[members], kind="stable")[:count]]] = True
    design = Design(0.5, 5, seed=7, strata=strata, heldout=0)
    assert np.array_equal(design.masks([4]).unpack()[0], mask)
    assert np.array_equal(design.masks().unpack()[4], mask)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8).filter(lambda s: sum(s) > 1),
    alpha=st.sampled_from([0.05, 0.29, 0.5, 0.9, 0.99]),
)
@settings(deadline=None, max_examples=60)
def test_shares_of_classes_are_rounded_so_that_the_size_is_exact(sizes, alpha):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    total = subset_size(alpha, labels.size)
    if total < len(sizes):
        with pytest.raises(InputError, match=r"cannot hold one of each|every subset would be empty"):
            Design(alpha, 1, strata=labels, heldout=0)
        return
    mask = Design(alpha, 1, strata=labels, heldout=0).masks().unpack()[0]
    held = np.bincount(labels[mask], minlength=len(sizes))
    assert held.sum() == total
    assert ((held >= 1) & (held <= sizes)).all()
    if all(alpha * size >= 1 for size in sizes):
        assert (np.abs(held - alpha * np.array(sizes)) < 1).all(), "each class gets its share, rounded"


def test_a_stratified_design_is_stored_with_each_class_once_and_others_as_before():
    design = Design(0.5, 3, strata=["b", "a", "b", "b"], heldout=0)
    data = json.loads(json.dumps(design.to_json()))
    assert data["strata"] == {"names": ["a", "b"], "units": [1, 0, 1, 1]}
    assert Design.from_json(data) == design
    assert "strata" not in Design(n=20).to_json(), "the identity of every older study would change"
    for units in ([1, 0, 2, 1], [True, 0, 1, 1], [-1, 0, 1, 1]):
        with pytest.raises(InputError, match="name classes that it does not have"):
            Design.from_json(data | {"strata": {"names": ["a", "b"], "units": units}})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"strata": CLASSES, "alpha": 0.03}, r"3 units .* one of each of 4 strata: raise alpha to at least 0.04"),
        ({"strata": CLASSES, "kind": "bernoulli"}, "strata are for kind='stratified'"),
        ({"strata": CLASSES, "n": 7}, "class of 100 units, but there are 7"),
        ({"strata": [0.5, 1.5]}, "a list of integers or a list of texts"),
        ({"strata": ["a", 1]}, "a list of integers or a list of texts"),
        ({"strata": [0, 0, 1], "models": 9, "heldout": 0, "alpha": 0.7}, "only 2 different stratified subsets"),
    ],
)
def test_strata_that_cannot_be_kept_are_refused(fields, said):
    with pytest.raises(InputError, match=said):
        Design(**fields)


def test_a_stratified_design_without_strata_says_that_it_lacks_them():
    with pytest.raises(InputError, match="has no strata yet"):
        Design(models=5, kind="stratified", n=10, heldout=0).masks()
