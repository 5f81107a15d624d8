"""`fit` and `public.fit` take every estimator there is, or say in a sentence why not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LassoCV

import subtrain as st
from subtrain import regression
from subtrain.collection import train_segment
from subtrain.errors import InputError
from subtrain.regression.estimators import ESTIMATORS
from subtrain.regression.estimators.kit.contract import READS
from subtrain.regression.estimators.kit.linear_estimator import LinearEstimator
from subtrain.regression.fit_on_cluster import Here

# Those that come near the truth where outputs are sums of weights; of another one no more is asked than a rank
# correlation, and st.NAME and regression.NAME are there for these and for whatever else is exported.
NEAR = {"lasso", "ridge", "least-squares", "elastic-net", "ame", "lasso-large", "shared-prior"}
EXPORTED = {*NEAR, "mean-difference", "leave-self-out"}
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
    assert set(ESTIMATORS) >= EXPORTED
    for name, cls in ESTIMATORS.items():
        assert issubclass(cls, LinearEstimator)
        if name in EXPORTED or hasattr(st, cls.__name__):
            assert cls is getattr(regression, cls.__name__) is getattr(st, cls.__name__)
        assert cls.name == name
        assert cls.reads in READS


@pytest.mark.parametrize("engine", ["local", Here()], ids=["local", "mapper"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_study_is_fitted_by_each(study, name: str, engine) -> None:
    dm = st.fit(study, "train_margins", estimator=ESTIMATORS[name](), engine=engine, keep_counts=False)
    assert dm.weight.shape == (N, N)
    assert dm.meta["estimator"] == ESTIMATORS[name].__name__
    assert st.evaluate(dm, study).lds.value > (0.9 if name in NEAR else 0.5)


@pytest.mark.parametrize("engine", ["local", Here()], ids=["local", "mapper"])
@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "ame"])  # Which takes no imported study.
def test_of_a_target_that_is_left_out_one_sentence_is_said(study, tmp_path, name: str, engine) -> None:
    """Its weights are 0, which is not said once more; the others are fitted as if it were not there."""
    rows = study.done()
    outputs = study.read("train_margins", rows)
    outputs[:, 5] = np.nan
    made = st.Study.from_arrays(tmp_path / "s", study.masks(rows).unpack(), {"train_margins": outputs}, heldout=40)
    estimator = ESTIMATORS[name]()
    dm = st.fit(made, estimator=estimator, engine=engine, keep_counts=False)
    assert dm.meta["targets_left_out"] == [5]
    assert not dm.weight[:, 5].any()
    about = [note for note in dm.meta["notes"] if "left out" in note or "weights are 0" in note]
    assert len(about) == 1
    assert about[0].startswith("1 of 24 targets are inf or NaN in most models (the first is target 5)")
    assert dm.weight.any(axis=0).sum() == N - 1


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
    for inner in (regression.AME(), regression.LassoLarge(), regression.LeaveSelfOut(), regression.SharedPrior()):
        name = type(inner).__name__
        why = "fits all targets together" if inner.joint else "reads the models themselves"
        with pytest.raises(InputError, match=f"fits target by target from counts, but {name} {why}"):
            st.fit(study, "train_margins", estimator=regression.LeaveSelfOut(inner))
    for plain in (regression.MeanDifference(), regression.LeastSquares()):
        dm = st.fit(study, "train_margins", estimator=regression.LeaveSelfOut(plain), keep_counts=False)
        masks, outputs = study.masks(study.done("fit")), study.read("train_margins", study.done("fit"))
        out = ~masks.unpack()[:, 2]
        alone = type(plain)().fit(masks[out], outputs[out][:, [2]])
        np.testing.assert_allclose(dm.weight[:, [2]], alone.weight_, rtol=1e-6)


def test_what_is_no_estimator_is_said(study) -> None:
    with pytest.raises(InputError, match=r"got the class Ridge: give Ridge\(\)"):
        st.fit(study, estimator=regression.Ridge)
    for wrong in (LassoCV(), 3):
        with pytest.raises(InputError, match="must be one of those of subtrain"):
            st.fit(study, estimator=wrong)
