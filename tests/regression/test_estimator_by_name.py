"""An estimator by its name, in Python and on the command line, there with any parameter of its own."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import subtrain as st
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.errors import InputError

load()
pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")


@pytest.fixture
def study(make_study):
    return make_study(models=60)


def fit(*words):
    found = CliRunner().invoke(app, ["fit", *map(str, words)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_a_name_is_the_estimator_of_that_name(study):
    np.testing.assert_array_equal(study.fit(estimator="ridge").weight, study.fit(estimator=st.Ridge()).weight)
    assert st.fit(study, estimator="mean-difference").meta["estimator"] == "MeanDifference"
    with pytest.raises(InputError, match=r"unknown estimator 'rigde' \(did you mean 'ridge'\?\)"):
        study.fit(estimator="rigde")


def test_any_parameter_of_an_estimator_is_set_by_its_type(study):
    fit(study.path, "--estimator", "elastic-net", "-o", "l1_ratio=0.9", "-o", "positive=true", "-o", "lambdas=7")
    dm = st.load_fit(study)
    assert {"l1_ratio": 0.9, "positive": True, "lambdas": 7}.items() <= dm.meta["params"].items()
    wanted = study.fit(estimator=st.ElasticNet(l1_ratio=0.9, positive=True, lambdas=7))
    np.testing.assert_array_equal(dm.weight, wanted.weight)
    assert (dm.weight >= 0).all()
    with pytest.raises(InputError, match=r"elastic-net has no keyword l1_ration; it takes lambdas, eps, l1_ratio"):
        fit(study.path, "--estimator", "elastic-net", "-o", "l1_ration=1")
    with pytest.raises(InputError, match="elastic-net: l1_ratio must be a number, got 'most'"):
        fit(study.path, "--estimator", "elastic-net", "-o", "l1_ratio=most")


def test_a_gap_is_told_where_there_is_one(study):
    assert "Largest relative duality gap" in fit(study.path)
    said = fit(study.path, "--estimator", "mean-difference")
    assert "Largest" not in said
    assert "Written to" in said
