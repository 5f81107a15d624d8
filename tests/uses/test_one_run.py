"""One rule for every `verify`: one run works and says that it gives no interval, none is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

import subtrain as st
import worlds
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.errors import InputError
from subtrain.uses.kit.result import table_json

N, T = 30, 12
WEIGHT, BIAS = worlds.weights(N, T)
KNOWN = st.Datamodels(WEIGHT.astype(np.float32), BIAS, np.zeros(T), {"output": "test_margins"})
OTHER = st.Datamodels(WEIGHT[::-1].astype(np.float32), BIAS, np.zeros(T), {"output": "test_margins"})

CLAIMS = {
    "counterfactuals": lambda study: st.counterfactuals(KNOWN, study, [1, 2], sizes=[2, 3]),
    "counterfactuals of subsets": lambda study: st.counterfactuals(KNOWN, study, [1, 2], sizes=[2, 3], base="alpha"),
    "neighbors": lambda study: st.neighbors(KNOWN, study, [1, 2], k=2),
    "support": lambda study: st.support(KNOWN, study),
    "embedding": lambda study: st.embedding(KNOWN, study, components=2),
    "compare": lambda study: st.compare(KNOWN, study, OTHER, study, components=2),
    "select": lambda study: st.select(KNOWN, study, keep=10),
}
OPTIONS = {"embedding": {"units": 3}, "compare": {"units": 3}}


@pytest.fixture
def study(make_study):
    return make_study(done=True, models=40, task=worlds.linear(N, T, noise=0.3))


@pytest.mark.parametrize("question", CLAIMS)
def test_one_run_shows_what_happened_and_says_that_it_tells_no_interval(study, trained_here, question):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = CLAIMS[question](study).verify(1, **OPTIONS.get(question, {}))
        table = table_json(found.table())
        found.figure()
    assert sum(trained_here) > 0
    assert "not retrained" not in repr(found)
    assert "1 run" in repr(found) or "95 % intervals" in repr(found)  # of several random sets, intervals are over those
    assert "1 runs" not in repr(found)
    if "counterfactuals" in question or question == "neighbors":
        assert "1 run, which gives no interval" in repr(found)
        assert np.isfinite(table["observed"]).all()
        assert set(table["low"] + table["high"]) == {None}


def test_the_observed_effect_of_one_run_is_the_difference_of_two_models(make_study, trained_here):
    study = make_study(done=True, models=40, task=worlds.linear(N, T, noise=0))
    found = st.counterfactuals(KNOWN, study, [1], sizes=[2]).verify(1)
    units = np.argsort(-WEIGHT[:, 1])[:2]
    assert found.table()["observed"][0] == pytest.approx(-WEIGHT[units, 1].sum(), abs=1e-4)
    assert np.isnan(found.agreement.ceiling)
    assert "ceiling unknown" in repr(found)


@pytest.mark.parametrize("question", CLAIMS)
def test_no_run_is_refused_before_any_training(study, trained_here, question):
    with pytest.raises(InputError, match=r"runs must be 1 or more \(2 or more tell an interval as well\), got 0"):
        CLAIMS[question](study).verify(0, **OPTIONS.get(question, {}))
    assert trained_here == []


@pytest.mark.parametrize("verb", ["counterfactual", "neighbors", "support", "embed", "mislabeled", "poison", "ask"])
def test_the_help_gives_the_minimum(verb):
    load()
    said = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).output
    assert "x>=1" in said
    refused = CliRunner().invoke(app, [verb, "leakage", "nowhere", "--runs", "0"])
    assert refused.exit_code == 2
