"""Paley and cyclotomic designs: what their masks and seeds must be, counted exactly."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subtrain.designs.cyclotomic import classes, difference_set, is_prime
from subtrain.designs.drawn import Design
from subtrain.designs.kind_choice import pairs_missing, said_of_sizes
from subtrain.designs.model_rows import EVALUATION, FIT, VALIDATION
from subtrain.designs.orthogonal import OrthogonalSets, SharedSeeds, seeds_by_default
from subtrain.errors import InputError


@pytest.mark.parametrize(("n", "prime"), [(7, 7), (8, 11), (19, 19), (100, 103), (500, 503), (503, 503), (1000, 1019)])
def test_no_two_units_are_confounded_in_a_set(n, prime):
    sets = OrthogonalSets(n, 3, "paley", 0.5)
    assert (sets.prime, sets.models) == (prime, 2 * prime)
    for first in (0, sets.models):
        masks = np.stack([sets.mask(first + t) for t in range(sets.models)])
        signs = 2 * masks[:prime].astype(np.int64) - 1
        gram = signs.T @ signs
        assert set(gram[~np.eye(n, dtype=bool)].tolist()) == {-1}, "translates: q of them, every pair -1"
        both = 2 * masks.astype(np.int64) - 1
        assert set((both.T @ both)[~np.eye(n, dtype=bool)].tolist()) == {-2}
        assert np.array_equal(masks[:prime], ~masks[prime:])


def test_the_plus_and_minus_ones_of_a_full_prime_are_a_hadamard_matrix():
    sets = OrthogonalSets(31, 0, "paley", 0.5)
    signs = 2 * np.stack([sets.mask(t) for t in range(31)]).astype(np.int64) - 1
    bordered = np.block([[np.ones((1, 1)), np.ones((1, 31))], [-np.ones((31, 1)), signs]])
    assert np.array_equal(bordered @ bordered.T, 32 * np.eye(32))


def test_prime_and_classes_by_definition():
    assert [q for q in range(60) if is_prime(q)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]
    squares = {k * k % 103 for k in range(1, 103)}
    assert set(np.flatnonzero(classes(103, 2) == 0).tolist()) == squares
    fourth = {pow(k, 4, 109) for k in range(1, 109)}
    assert set(np.flatnonzero(classes(109, 4) == 0).tolist()) == fourth


@pytest.mark.parametrize(
    ("alpha", "most"),
    [(0.25, 0.02), (0.4, 0.035), (0.3, 0.16), (0.2, 0.5), (0.1, 0.55), (0.75, 0.02)],
)
def test_cyclotomic_masks_cross_talk_as_little_as_they_say(alpha, most):
    found = difference_set(500, alpha)
    sets = OrthogonalSets(500, 1, "cyclotomic", alpha)
    masks = np.stack([sets.mask(t) for t in range(sets.models)]).astype(np.float64)
    correlation = np.corrcoef(masks.T)
    measured = found.prime * (correlation[~np.eye(500, dtype=bool)] ** 2).mean()
    assert abs(masks.mean() - alpha) < 0.005
    assert found.crosstalk <= most
    assert measured == pytest.approx(found.crosstalk, rel=0.02)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_rows_are_pure_functions_and_extensions_append(data):
    n, models = data.draw(st.integers(100, 130)), data.draw(st.integers(1, 500))
    design = Design(n=n, models=models, seed=data.draw(st.integers(0, 2**64 - 1)), heldout=3, validation=4)
    longer = design.extend(models=300, validation=2).extend(heldout=2)
    rows = data.draw(st.lists(st.integers(0, design.rows - 1), max_size=20))
    assert design.kind == "paley"
    assert np.array_equal(longer.masks(rows).data, design.masks().data[rows])
    assert np.array_equal(longer.seeds(rows), design.seeds()[rows])
    assert Design.from_json(longer.to_json()) == longer
    whole = Design(n=n, models=models + 300, seed=design.seed, heldout=0)
    fit = longer.role_rows(FIT)
    assert np.array_equal(longer.masks(fit).data, whole.masks(range(models + 300)).data)
    assert np.array_equal(longer.seeds(fit), whole.seeds(range(models + 300)))


def test_who_validates_and_who_judges_is_drawn_at_random_with_seeds_of_its_own():
    design = Design(n=120, models=300, heldout=10, replicates=2, validation=30)
    judged, chosen = design.role_rows(EVALUATION), design.role_rows(VALIDATION)
    plain = Design(n=120, models=300, heldout=10, replicates=2, kind="fixed")
    assert np.array_equal(design.masks(judged).data, plain.masks(judged).data)
    assert set(design.masks(chosen).sizes()) == {60}
    others = design.seeds([*judged, *chosen])
    assert np.unique(others).size == others.size
    assert not np.isin(others, design.seeds(design.role_rows(FIT))).any()
    assert design.rows == 300 + 20 + 30 + 24


@pytest.mark.parametrize("translates", [103, 503, 1019, 5003, 50_023])
def test_seeds_are_shared_evenly_and_never_within_a_pair(translates):
    count = seeds_by_default(translates)
    numbers = SharedSeeds(count, translates, 2).numbers(np.arange(4 * translates))
    first, second = numbers[:translates], numbers[translates : 2 * translates]
    assert (first != second).all()
    assert set(numbers[: 2 * translates].tolist()) == set(range(count))
    assert set(numbers[2 * translates :].tolist()) == set(range(count, 2 * count)), "a new set has new seeds"
    held = np.bincount(numbers[: 2 * translates])
    assert held.max() - held.min() <= 2
    # Every two seeds meet in a pair, so that effects are told apart.
    assert np.unique(first * count + second).size == count * (count - 1)


def test_how_many_seeds_a_set_shares():
    assert [seeds_by_default(q) for q in (103, 503, 1999, 2003, 50_023)] == [10, 10, 10, 19, 93]


def test_seeds_in_other_ways():
    fixed = Design(n=500, models=1500, kind="fixed", seeds=20)
    assert np.unique(fixed.seeds(range(1006))).size == 20
    assert np.unique(fixed.seeds(range(1500))).size == 40
    pairs = Design(n=500, models=1006, seeds="pair")
    seeds = pairs.seeds(range(1006))
    assert np.array_equal(seeds[:503], seeds[503:])
    assert np.unique(seeds).size == 503
    own = Design(n=500, models=1006, seeds="model")
    assert np.unique(own.seeds(range(1006))).size == 1006


def test_the_kind_that_is_chosen():
    kinds = [Design(n=n, alpha=a).kind for n, a in ((100, 0.5), (99, 0.5), (1000, 0.3), (1000, (0.3, 0.5)))]
    assert kinds == ["paley", "fixed", "fixed", "fixed"]
    assert Design().kind == "auto"
    assert Design().for_units(600) == Design(n=600)
    assert Design(n=200, strata=["a", "b"] * 100).kind == "stratified"
    old = Design(n=500, models=9, kind="fixed").to_json()
    assert "validation" not in old, "the identity of every older study would change"
    assert "shared_seeds" not in old
    assert [Design(n=500, models=m).validation for m in (19, 20, 1000, 10_000)] == [0, 20, 50, 100]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "paley", "alpha": 0.3}, "alpha = 0.5, got 0.3"),
        ({"kind": "cyclotomic", "alpha": (0.3, 0.5)}, "has one alpha"),
        ({"kind": "paley", "alpha": (0.3, 0.5)}, "has one alpha"),
        ({"kind": "cyclotomic", "alpha": 0.123}, "denominator up to 12"),
        ({"seeds": 1}, "2 or more"),
        ({"seeds": True}, "2 or more"),
        ({"seeds": "same"}, "2 or more"),
        ({"seeds": 300}, "models of one side of a set, 211, can share at most 105 seeds"),
        ({"seeds": "pair", "shared_seeds": 10}, "seeds and shared_seeds"),
        ({"seeds": "pair", "kind": "fixed"}, "complements"),
        ({"validation": -1}, "validation"),
        ({"kind": "hadamard"}, "choose from auto, fixed"),
    ],
)
def test_what_there_is_no_design_of_is_refused(fields, words):
    with pytest.raises(InputError, match=words):
        Design(n=200, **fields)


def test_pinned_on_every_machine():
    code = (
        "import subtrain as s; d = s.Design(n=500, models=40, heldout=4, seed=9, validation=0); "
        "c = s.Design(0.25, 40, 9, 'cyclotomic', n=500, validation=0); "
        "print(d.masks().sha256()[:16], c.masks().sha256()[:16], d.seeds()[:3].tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == PINNED


PINNED = "6d18733c715618df aefa67e77c75dcfb [1866115154, 4288742974, 1080840392]"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"n": 500},
            "paley, the default for alpha 0.5 and 100 units or more: a set of 2 x 503 models shares 10 training seeds",
        ),
        (
            {"n": 89},
            "fixed, the default for fewer than 100 units: each subset is drawn by itself, and each model has its own "
            "training seed",
        ),
        (
            {"n": 500, "alpha": 0.3},
            "fixed, the default where alpha is not 0.5 (it is 0.3): each subset is drawn by itself, and each model has "
            "its own training seed",
        ),
        (
            {"n": 500, "alpha": (0.3, 0.5)},
            "fixed, the default for several alphas: each subset is drawn by itself, and each model has its own "
            "training seed",
        ),
        (
            {"n": 500, "kind": "fixed", "seeds": 20},
            "fixed, as you asked for: each subset is drawn by itself, and each 1,006 models in a row share 20 "
            "training seeds",
        ),
        (
            {"n": 19, "kind": "paley", "seeds": "pair", "models": 38},
            "paley, as you asked for: a set has 2 x 19 models, and a mask and its complement share a training seed",
        ),
        (
            {"n": 500, "alpha": 0.25, "kind": "cyclotomic", "seeds": "model"},
            "cyclotomic, as you asked for: a set has 509 models, and each model has its own training seed",
        ),
    ],
)
def test_why_a_design_is_of_its_kind_is_one_sentence(fields, sentence):
    assert Design(**fields).kind_reason == sentence
    assert Design().kind_reason is None


def test_a_size_is_named_one_side_of_a_set_or_whole_sets():
    def said(models, **more):
        design = Design(n=320, models=models, **more)
        return said_of_sizes(design.suitable_sizes, design.sets)

    assert said(60) == "331 (one side of a set) or 662 (a whole set)"
    assert said(400) == "331 (one side of a set) or 662 (a whole set)"
    assert said(1000) == "662 (a whole set) or 1,324 (2 whole sets)"
    assert said(60, alpha=0.25, kind="cyclotomic") == "373 (a whole set)"
    assert said(331) == said(60, kind="fixed") == ""


def test_pairs_that_are_not_there_yet_are_told():
    def said(models, seeds="pair"):
        design = Design(n=320, models=models, seeds=seeds)
        return pairs_missing(design.models, design.sets, design.sharing)

    assert "below 332 models" in said(331)
    assert "--models 662 (a whole set)" in said(60)
    assert said(332) == said(60, 10) == said(60, "model") == ""
    layout = Design(n=320, models=332, seeds="pair").layout(range(332))
    assert layout.pairs[331] == layout.pairs[0], "the model after one side is the first complement"


def test_the_sizes_that_make_whole_sets():
    def sizes(models, **more):
        return Design(n=500, models=models, **more).suitable_sizes

    assert [sizes(m) for m in (250, 503, 504, 1000, 1006, 1500, 2012)] == [
        *((503,), (), (503, 1006), (503, 1006), (), (1006, 2012), ()),
    ]
    # Cyclotomic sets are of 509 models, and random masks of none.
    assert [sizes(m, alpha=0.25, kind="cyclotomic") for m in (300, 509, 1000, 1018)] == [(509,), (), (509, 1018), ()]
    assert sizes(1000, kind="fixed") == ()
