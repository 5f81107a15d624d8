"""Every warning points at the user's line, not at ours and not at a context manager's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import subtrain as st
from subtrain.regression.fit_warnings import FitWarning


@pytest.fixture
def said():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def hard_study():
    """Masks with a unit in all, a row that was never filled, and a target that hangs on nothing."""
    masks = np.random.default_rng(0).random((90, 8)) < 0.5
    masks[:, 0] = True
    masks[5] = False
    noise = np.random.default_rng(1).normal(size=(90, 3)).astype(np.float32)
    noise[5] = 0
    return masks, {"test_margins": noise}


def test_warnings_of_fits_and_imports_point_here(said):
    study = st.Study.from_arrays(":memory:", *hard_study())
    imported = len(said)
    study.fit()
    st.fit(study, estimator=st.Lasso(lambdas=5))
    assert imported
    assert any(issubclass(one.category, FitWarning) for one in said[imported:])
    assert {one.filename for one in said} == {__file__}


def test_warnings_of_old_names_point_here(said):
    from subtrain import write_report  # noqa: F401

    st.import_arrays  # noqa: B018
    assert {one.filename for one in said} == {__file__}


def test_a_warning_that_a_context_manager_gives_at_its_end_points_here(said):
    from subtrain.regression.fit_warnings import kept_warnings, warn

    with kept_warnings() as sentences:
        warn("units are few")
    assert sentences == ["units are few"]
    assert [one.filename for one in said] == [__file__]
