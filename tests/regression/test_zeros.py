"""Every target whose weights are all 0 is warned of once, with its cause, whatever fitted it; studies remember it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import subtrain as st
from subtrain.regression import (
    AME,
    ElasticNet,
    FitWarning,
    Lasso,
    LassoLarge,
    LeaveSelfOut,
    MeanDifference,
    Ridge,
    SharedPrior,
)
from subtrain.regression.lasso.zero_targets import coarse, warn_zeros

M, N = 240, 20


def masks(seed: int = 0):
    return np.random.default_rng(seed).random((M, N)) < 0.5


def said(fit) -> list[str]:
    """What is said of weights that are all 0."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    texts = [str(w.message) for w in caught if issubclass(w.category, FitWarning)]
    return [text for text in texts if "all weights are 0" in text]


@pytest.mark.parametrize(
    ("estimator", "cause"),
    [
        (Lasso(penalty=np.full(N, np.inf)), "the penalty of every unit is infinite"),
        (LassoLarge(penalty=np.full(N, np.inf)), "the penalty of every unit is infinite"),
        (Lasso(lambdas=[100.0]), "every lambda given leaves them so"),
        (Lasso(lambdas=[200.0, 100.0]), "every lambda given leaves them so"),
        (Lasso(lambdas=[200.0, 100.0], validation=3), "every lambda given leaves them so"),
        (ElasticNet(lambdas=[200.0, 100.0]), "every lambda given leaves them so"),
        (LassoLarge(lambdas=[200.0, 100.0]), "every lambda given leaves them so"),
    ],
    ids=repr,
)
def test_causes_that_the_options_are(estimator, cause: str) -> None:
    x = masks()
    y = np.stack([x[:, 0] + 0.1 * np.random.default_rng(1).normal(size=M)] * 2, axis=1)
    (text,) = said(lambda: estimator.fit(x, y))
    assert text.startswith(f"for 2 of 2 targets all weights are 0: {cause}")


ANY = [Lasso(), Lasso(validation=3), ElasticNet(), LassoLarge(), Ridge(), MeanDifference(), SharedPrior(pairs=None)]


@pytest.mark.parametrize("estimator", ANY, ids=repr)
def test_causes_that_the_outputs_are(estimator) -> None:
    random = np.random.default_rng(2)
    x = masks()
    y = x @ random.normal(size=(N, 5)) + 0.1 * random.normal(size=(M, 5))
    y[:, 1] = 3.0
    texts = said(lambda: estimator.fit(x, y))
    assert texts == ["for 1 of 5 targets all weights are 0: their outputs are the same in all fitting models"]


def test_average_marginal_effects_say_it_too() -> None:
    x, random = masks(), np.random.default_rng(2)
    y = np.stack([x[:, 0] + 0.0, np.full(M, 2.0), random.normal(size=M)], axis=1)
    texts = said(lambda: AME(lambdas=[9.0, 8.0]).fit(x, y, 0.5))
    causes = ["their outputs are the same in", "every lambda given leaves"]
    assert [text.split(": ")[1].startswith(cause) for text, cause in zip(texts, causes, strict=True)] == [True, True]


def test_no_signal_and_coarse_outputs() -> None:
    low, high = np.array([3000.0, -1.5, 0.0]), np.array([3002.0, 2.5, 1.0])
    weight, error = np.zeros((N, 3)), np.ones((9, 3))
    weight[4, 2] = 1.0
    texts = said(lambda: warn_zeros(weight, low, high, N, error=error, given=9))
    assert "for 1 of 3 targets all weights are 0: their outputs take at most 5 values, as float16" in texts[0]
    assert "for 1 of 3 targets all weights are 0: the largest lambda validates best" in texts[1]
    assert len(texts) == 2
    assert coarse(np.array([0.0, 3000, -3004, 1e6, 0.5]), np.array([1.0, 3004, -3000, 1e6 + 1, 0.5005])).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_a_unit_left_out_is_no_news_but_a_target_without_signal_is() -> None:
    x, random = masks(), np.random.default_rng(4)
    y = x @ random.normal(size=(N, N)) + random.normal(size=(M, N))
    y[:, 5] = 1.0
    texts = said(lambda: LeaveSelfOut(Ridge()).fit(x, y))
    cause = "for 1 of 1 targets all weights are 0: their outputs are the same in all fitting models"
    assert texts == [f"{cause} (said of 1 of 20 units' targets)"]


def test_a_study_keeps_what_was_said(tmp_path) -> None:
    from subtrain.fits import load_fit, save_fit

    x, random = masks(), np.random.default_rng(5)
    y = (x @ random.normal(size=(N, 3)) + 0.5 * random.normal(size=(M, 3))).astype(np.float32)
    y[:, 2] = 7.0
    study = st.Study.from_arrays(tmp_path / "study", x, {"test_margins": y}, heldout=40)
    text = "for 1 of 3 targets all weights are 0: their outputs are the same in all fitting models"
    with pytest.warns(FitWarning, match=text):
        dm = st.fit(study)
    assert text in dm.meta["notes"]
    save_fit(study, dm, "default")
    assert text in load_fit(study, "default").meta["notes"]
