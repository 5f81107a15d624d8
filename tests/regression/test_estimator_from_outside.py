"""An estimator of another package, found by its entry point, works from the command line to the evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from commands import ok, run
from subtrain import LeaveSelfOut, Study, evaluate, load_fit, significance
from subtrain.errors import InputError
from subtrain.regression import ESTIMATORS
from subtrain.testing.estimators import check_estimator

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


TRIMMED = '''
from dataclasses import dataclass
import numpy as np
from scipy.stats import trim_mean
from subtrain.regression import Fitted, ModelsEstimator

@dataclass(eq=False, repr=False)
class Trimmed(ModelsEstimator):
    """Differences of trimmed means of the outputs with a unit and without it."""
    name = "trimmed"
    trim: float = 0.1

    def estimate_models(self, masks, outputs, choose, progress):
        held, y = masks.unpack(), outputs.astype(np.float64)
        weight = np.zeros((masks.n, y.shape[1]))
        varying = held.any(axis=0) & ~held.all(axis=0)
        for unit in np.flatnonzero(varying):
            inside = held[:, unit]
            weight[unit] = trim_mean(y[inside], self.trim, axis=0) - trim_mean(y[~inside], self.trim, axis=0)
        zero, none = np.zeros(y.shape[1]), np.zeros((0, y.shape[1]))
        bias = y.mean(axis=0) - held.mean(axis=0) @ weight
        return Fitted(weight, bias, zero, zero, np.flatnonzero(~varying), none, none)
'''


def test_an_estimator_that_reads_the_models_themselves(other_package, make_study):
    other_package(ESTIMATORS, "trimmed = trimming:Trimmed", TRIMMED)
    check_estimator(ESTIMATORS["trimmed"]())
    study = make_study(models=60)
    dm = study.fit("test_margins", "trimmed")
    masks, outputs = study.masks(study.done("fit")).unpack(), study.read("test_margins", study.done("fit"))
    fitted = ESTIMATORS["trimmed"]().fit(masks, outputs)
    np.testing.assert_allclose(dm.weight, fitted.weight_, rtol=1e-6)
    with pytest.raises(InputError, match="Trimmed reads the models themselves, not counts"):
        fitted.fit_counts(None)
    with pytest.raises(InputError, match="weights of Trimmed have no standard errors here"):
        significance(dm, study)


def test_standard_errors_of_an_estimator_are_declared_or_there_are_none():
    told = {name: cls.standard_errors for name, cls in ESTIMATORS.items()}
    own, none = {"lasso", "lasso-large"}, {"ame", "leave-self-out"}
    lasso = {"ridge", "least-squares", "elastic-net", "mean-difference"}
    assert {told[name] for name in own} == {"own"}
    assert {told[name] for name in none} == {"none"}
    assert {told[name] for name in lasso} == {"lasso"}
    assert told["shared-prior"] == "posterior"
