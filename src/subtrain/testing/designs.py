"""What any kind of design must do. Each of `CHECKS` gets a design that is bound to its units."""

from __future__ import annotations

import json
from functools import partial

import numpy as np

from subtrain.designs import DESIGNS
from subtrain.designs.design_protocol import AnyDesign
from subtrain.designs.model_rows import ROLES
from subtrain.errors import InputError
from subtrain.store.memory import Memory
from subtrain.testing.expect import expect


def check_design(design: AnyDesign) -> None:
    """Run every check of `CHECKS`.

    Args:
        design: A design of the kind, bound to its units.

    Raises:
        AssertionError: For the first thing that is not as the contract says.

    Example:
        >>> check_design(st.Design(models=6, heldout=2, n=9))
    """
    for check in CHECKS:
        check(design)


def a_row_depends_on_its_number_alone(design: AnyDesign) -> None:
    some = [design.rows - 1, 0, design.rows // 2, 0]
    assert np.array_equal(design.masks(some).data, design.masks().data[some])
    assert np.array_equal(design.subsets(some), design.subsets()[some])
    if not design.trained_elsewhere:
        assert np.array_equal(design.seeds(some), design.seeds()[some])


def every_row_has_one_role(design: AnyDesign) -> None:
    roles = np.concatenate([design.role_rows(role) for role in ROLES])
    assert np.array_equal(np.sort(roles), np.arange(design.rows))
    assert sum(block.rows for block in design.blocks) == design.rows
    if not design.trained_elsewhere:
        for block in design.blocks:
            assert np.isin(np.arange(block.first_row, block.last_row), design.role_rows(block.role)).all()


def models_on_one_subset_share_its_mask_and_no_seed(design: AnyDesign) -> None:
    masks, subsets = design.masks().data, design.subsets()
    for subset in np.unique(subsets)[:50]:
        rows = np.flatnonzero(subsets == subset)
        assert (masks[rows] == masks[rows[0]]).all()
        if not design.trained_elsewhere:
            assert np.unique(design.seeds(rows)).size == rows.size


def rows_that_are_not_there_are_refused(design: AnyDesign) -> None:
    for rows in ([design.rows], [-1]):
        expect(InputError, partial(design.masks, rows))


def study_json_gives_it_back(design: AnyDesign) -> None:
    """Not of a design whose masks lie in files of a folder: imports test that themselves."""
    if design.trained_elsewhere:
        return
    store = Memory()
    for _ in range(2):
        design.save(store)
    manifest = {"design": json.loads(json.dumps(design.to_json()))}
    found: AnyDesign = DESIGNS[manifest["design"]["kind"]].from_manifest(manifest, store)
    assert found.to_json() == design.to_json()
    assert np.array_equal(found.masks().data, design.masks().data)
    assert np.array_equal(found.seeds(), design.seeds())


def more_rows_leave_those_that_are_there(design: AnyDesign) -> None:
    if not design.can_extend:
        expect(InputError, lambda: design.extend(models=1, replicates=1))
        return
    try:
        longer = design.extend(models=2)
    except InputError:
        longer = design.extend(replicates=1)
    assert longer.rows > design.rows
    rows = range(design.rows)
    assert np.array_equal(longer.masks(rows).data, design.masks().data)
    assert np.array_equal(longer.seeds(rows), design.seeds())


def it_is_over_its_own_number_of_units(design: AnyDesign) -> None:
    assert design.n is not None
    assert design.for_units(design.n).n == design.n
    expect(InputError, lambda: design.for_units(int(design.n or 0) + 1))
    assert design.examples(design.masks([0])).shape == (1, len(design.groups) if design.groups else design.n)


CHECKS = [
    a_row_depends_on_its_number_alone,
    every_row_has_one_role,
    models_on_one_subset_share_its_mask_and_no_seed,
    rows_that_are_not_there_are_refused,
    study_json_gives_it_back,
    more_rows_leave_those_that_are_there,
    it_is_over_its_own_number_of_units,
]
