"""An estimator of another package, found by its entry point, works from the command line to the evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from commands import ok, run
from subtrain import LeaveSelfOut, Study, evaluate, load_fit
from subtrain.errors import InputError
from subtrain.regression import ESTIMATORS

SMALL = ("-p", "n=40", "-p", "targets=10", "-p", "epochs=1", "--models", "30", "--heldout", "6", "--replicates", "1")

ESTIMATOR = '''
from dataclasses import dataclass
import numpy as np
from subtrain.regression import Fitted, LinearEstimator

@dataclass(eq=False, repr=False)
class Doubled(LinearEstimator):
    """The covariance of each unit's mask and the outputs, times a factor."""
    name = "doubled"
    factor: float = 2.0
    seed: int = 0

    def estimate(self, train, validation, total, progress):
        mean, y_mean = train.ones / train.m, train.y_sum / train.m
        weight = self.factor * (train.xty / train.m - np.outer(mean, y_mean))
        zero, none = np.zeros(train.targets), np.zeros((0, train.targets))
        return Fitted(weight, y_mean - mean @ weight, zero, zero, train.constant_units, none, none)
'''


def test_an_estimator(other_package, tmp_path):
    other_package(ESTIMATORS, "doubled = doubling:Doubled", ESTIMATOR)
    ok("create", "study", "--task", "digits", *SMALL, cwd=tmp_path)
    ok("collect", "study", "--workers", "1", cwd=tmp_path)
    assert "doubled" in ok("fit", "--help", cwd=tmp_path)
    said = ok("fit", "study", "--estimator", "doubled", "--seed", "3", cwd=tmp_path)
    assert "relative duality gap 0.0e+00" in said
    study = Study.open(tmp_path / "study")
    dm = load_fit(study)
    assert (dm.meta["estimator"], dm.meta["params"]) == ("Doubled", {"factor": 2.0, "seed": 3})
    masks, outputs = (
        study.masks(study.done("fit")).unpack(),
        study.read("test_margins", study.done("fit")).astype(float),
    )
    want = 2 * ((masks - masks.mean(axis=0)).T @ (outputs - outputs.mean(axis=0))) / len(masks)
    np.testing.assert_allclose(dm.weight, want, rtol=1e-4, atol=1e-6)
    assert np.isfinite(evaluate(dm, study).lds.value)
    refused = run("fit", "study", "--estimator", "doubled", "--lambdas", "3", cwd=tmp_path)
    assert refused.returncode == 2
    assert "doubled has no parameter lambdas; it has factor, seed" in refused.stderr
    model = ESTIMATORS["doubled"]()
    own = LeaveSelfOut(model, units=[0] * dm.targets).fit(masks, outputs)
    assert not own.weight_[0].any()
    with pytest.raises(InputError, match=r"choose from lasso, ridge, .*, doubled"):
        ESTIMATORS["tripled"]
