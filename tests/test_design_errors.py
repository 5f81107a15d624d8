"""What a design refuses, in one sentence, and what it must not refuse."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain import Design
from subtrain.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"alpha": 0.05, "n": 10}, r"alpha \* n = 0.05 \* 10 < 1: every subset would be empty; raise alpha to .* 0.1"),
        (
            {"alpha": 0.05, "n": 10, "kind": "bernoulli"},
            r"alpha = 0.05 of 10 units leaves 60% of the subsets empty; .*0.067",
        ),
        ({"alpha": 1.0}, "alpha must be a number strictly between 0 and 1, or a list of such, got 1.0"),
        ({"alpha": 1.5}, "between 0 and 1, .* got 1.5"),
        ({"alpha": 0}, "between 0 and 1, .* got 0"),
        ({"alpha": -0.5}, "between 0 and 1, .* got -0.5"),
        ({"alpha": float("nan")}, "between 0 and 1, .* got nan"),
        ({"alpha": "0.5"}, "must be a number .* got '0.5'"),
        ({"alpha": []}, r"must be a number .* got \[\]"),
        ({"alpha": [0.2, 1.2]}, "between 0 and 1, .* got 1.2"),
        ({"alpha": [0.2, [0.3]]}, r"must be a number .* got"),
        ({"alpha": [0.2, 0.4, 0.2]}, "none may be there twice"),
        ({"alpha": [0.5, 0.05], "n": 10}, r"alpha \* n = 0.05 \* 10 < 1"),
        ({"n": 1}, "at least 2 units to choose from, got n = 1"),
        ({"n": 0}, "at least 2 units"),
        ({"n": 10.5}, "n must be a whole number, 0 or more, got 10.5"),
        ({"models": 0}, "at least one model"),
        ({"models": -3}, "models must be a whole number, 0 or more, got -3"),
        ({"models": 2.5}, "models must be a whole number, 0 or more, got 2.5"),
        ({"models": True}, "models must be a whole number, 0 or more, got True"),
        ({"heldout": -1}, "heldout must be a whole number"),
        ({"replicates": 0}, "replicates must be 1 or more, got 0"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 2**64}, r"seed must be below 2\*\*64"),
        ({"models": 2**40, "heldout": 1}, "too many"),
        ({"kind": "latin"}, "unknown kind of design 'latin'; choose from auto, fixed, bernoulli, stratified, paley"),
        ({"n": 10, "models": 250, "heldout": 3}, "253 subsets were asked for, but only 252 different fixed subsets"),
        ({"n": 4, "models": 17, "heldout": 0, "kind": "bernoulli"}, "only 16 different bernoulli subsets"),
        ({"groups": (0, 2, 2)}, r"groups must be numbered 0, 1, 2, … without gaps; found \[0, 2\]"),
        ({"groups": (1, 2)}, "without gaps"),
        ({"groups": (-1, 0)}, "without gaps"),
        ({"groups": ()}, "groups must be a list of integers"),
        ({"groups": (0.0, 1.0)}, "groups must be a list of integers"),
        ({"groups": ((0, 1), (1, 0))}, "groups must be a list of integers"),
        ({"groups": (0, 0)}, "at least 2 units to choose from, got n = 1"),
        ({"groups": (0, 1, 2), "n": 4}, "groups name 3 units, but n = 4"),
        (
            {"n": 10, "extensions": (("judge", 1, 1),)},
            "an extension adds models with one of the roles fit, validation, evaluation, anchor, not 'judge'",
        ),
        ({"n": 10, "heldout": 2, "models": 240, "extensions": (("fit", 11, 1),)}, "253 subsets were asked for"),
    ],
)
def test_a_bad_design_is_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Design(**arguments)


def test_all_subsets_of_a_small_world_may_be_asked_for():
    assert Design(n=10, models=250, heldout=2, replicates=9).rows == 268 + 24


@pytest.mark.parametrize("alpha", [1e-6, 0.999_999])
def test_the_number_of_subsets_counts_in_large_worlds_too(alpha):
    assert Design(alpha, 10**6, n=10**6, heldout=0, anchors=0).rows == 10**6
    with pytest.raises(InputError, match="only 1000000 different fixed subsets"):
        Design(alpha, 10**6 + 1, n=10**6, heldout=0)


@pytest.mark.parametrize(("alpha", "n"), [(0.5, 10**6), (0.5, 80), (0.9, 50_000)])
def test_as_many_models_as_anyone_has(alpha, n):
    assert Design(alpha, 2**40, n=n, heldout=0, validation=0, anchors=0).rows == 2**40


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "nothing to add"),
        ({"replicates": 3}, "give heldout, too"),
        ({"models": -1}, "models to add must be a whole number, 1 or more, got -1"),
        ({"models": 1.5}, "models to add must be a whole number"),
        ({"heldout": -2}, "heldout subsets to add must be"),
        ({"heldout": 2, "replicates": 0}, "replicates must be a whole number, 1 or more, got 0"),
        ({"heldout": 2, "replicates": -1}, "replicates must be"),
        ({"models": 10**9}, "subsets were asked for"),
    ],
)
def test_a_bad_extension_is_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Design(n=10, models=20, heldout=2).extend(**arguments)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([0, 24], "row 24 does not exist: there are 24 models, numbered from 0"),
        ([-1], "row -1 does not exist"),
        (range(20, 30), "row 24 does not exist"),
        (np.array([True, False]), "rows must be whole numbers .* got bool"),
        ([0.5], "rows must be whole numbers .* got float64"),
        (["a"], "rows must be whole numbers"),
    ],
)
def test_rows_that_do_not_exist_are_refused(rows, sentence):
    design = Design(n=10, models=20, heldout=2)
    for method in (design.masks, design.seeds, design.subsets):
        with pytest.raises(InputError, match=sentence):
            method(rows)


def test_masks_need_units():
    design = Design(models=20, heldout=2)
    with pytest.raises(InputError, match="this design has no n yet"):
        design.masks()
    assert design.for_units(10).for_units(10).n == 10
    with pytest.raises(InputError, match="the design is over 10 units, but the task has 11"):
        design.for_units(10).for_units(11)
    with pytest.raises(InputError, match="at least 2 units"):
        design.for_units(1)


def test_designs_are_plain_values():
    design = Design(n=10, models=20, heldout=2, groups=None)
    assert repr(design) == (
        "Design(alpha=0.5, models=20, seed=0, kind='fixed', heldout=2, replicates=2, n=10, "
        "extensions=(), validation=0, shared_seeds=None, anchors=0)"
    )
    assert hash(design) == hash(Design(n=10, models=20, heldout=2))
    with pytest.raises(AttributeError):
        design.alpha = 0.3


@pytest.mark.parametrize("n", [8, 20, 21])
def test_designs_of_several_alphas_may_leave_some_subsets_empty(n):
    """As the Gauss-Legendre nodes of a Shapley value do, the least of which is 0.047."""
    design = Design.for_shapley(5, models=100, n=n)
    sizes = design.masks().sizes()
    assert sizes.min() == 0
    assert sizes.max() > n - 3
