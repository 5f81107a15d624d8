"""`fit` and `public.fit` take every estimator there is, or say in a sentence why not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LassoCV

import subtrain as st
from subtrain import regression
from subtrain.collection import train_segment
from subtrain.errors import InputError
from subtrain.regression.cluster import Here
from subtrain.regression.estimator import Linear

ALL = sorted(
    name
    for name in regression.__all__
    if isinstance(getattr(regression, name), type) and hasattr(getattr(regression, name), "predict")
)
N = 24
pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.FitWarning")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    random = np.random.default_rng(0)
    weight = random.normal(size=(N, N)) * (random.random((N, N)) < 0.4)

    def train(indices, seed):
        found = weight[indices].sum(axis=0) + 0.1 * np.random.default_rng(seed).normal(size=N)
        return {"train_margins": found, "test_margins": found[:3]}

    outputs = {"train_margins": st.Output([N], "float32"), "test_margins": st.Output([3], "float32")}
    task = st.tasks.function(train, n=N, outputs=outputs)
    made = st.Study.create(tmp_path_factory.mktemp("every") / "s", task, st.Design(models=260, heldout=30), segment=145)
    (made.path / "segments").mkdir()
    for where in made.segments:
        train_segment(made, where)
    return made


def test_they_are_all_here() -> None:
    assert {"Lasso", "LeaveSelfOut", "AME", "SharedPrior", "LassoLarge"} <= set(ALL)
    assert len(ALL) == 9
    assert all(issubclass(getattr(regression, name), Linear) or name == "LeaveSelfOut" for name in ALL)


@pytest.mark.parametrize("engine", ["local", Here()], ids=["local", "mapper"])
@pytest.mark.parametrize("name", ALL)
def test_a_study_is_fitted_by_each(study, name: str, engine) -> None:
    dm = st.fit(study, "train_margins", estimator=getattr(regression, name)(), engine=engine, keep_counts=False)
    assert dm.weight.shape == (N, N)
    assert dm.meta["estimator"] == name
    assert st.evaluate(dm, study).lds.value > (0.5 if name in ("MeanDifference", "LeaveSelfOut") else 0.9)


def test_targets_are_fitted_without_their_own_unit(study) -> None:
    model = regression.LeaveSelfOut(regression.Ridge(validation=0.2, seed=3))
    dm = st.fit(study, "train_margins", estimator=model, keep_counts=False)
    assert not np.diag(dm.weight).any()
    assert list(dm.meta["parts"]) == ["fit-0.2-3", "validation-0.2-3"]
    assert dm.meta["params"]["estimator"] == "Ridge(seed=3, validation=0.2)"
    with pytest.raises(InputError, match="not known which unit each of the 3 targets of test_margins is about"):
        st.fit(study, "test_margins", estimator=regression.LeaveSelfOut())
    some = regression.LeaveSelfOut(regression.Ridge(), units=[5, -1, 5])
    dm = st.fit(study, "test_margins", estimator=some, keep_counts=False)
    assert (dm.weight[5] == 0).tolist() == [True, False, True]
    with pytest.raises(InputError, match="LeaveSelfOut cannot choose by folds"):
        st.fit(study, "train_margins", estimator=regression.LeaveSelfOut(regression.Lasso(validation=4)))
    for inner in (regression.AME(), regression.LassoLarge(), regression.MeanDifference()):
        with pytest.raises(InputError, match=f"fits Lasso, Ridge or ElasticNet, not {type(inner).__name__}"):
            st.fit(study, "train_margins", estimator=regression.LeaveSelfOut(inner))


def test_what_is_no_estimator_is_said(study) -> None:
    with pytest.raises(InputError, match=r"got the class Ridge: give Ridge\(\)"):
        st.fit(study, estimator=regression.Ridge)
    for wrong in (LassoCV(), "ridge"):
        with pytest.raises(InputError, match="must be one of those of subtrain"):
            st.fit(study, estimator=wrong)
