"""What every estimator has to do, by the contract `subtrain.regression.Estimator`: run it against your own.

Example:
    >>> from subtrain.regression import Ridge
    >>> from subtrain.testing.estimators import check_estimator
    >>> check_estimator(Ridge())
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.drawn import Design
from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.regression.estimators.kit.contract import MODELS, READS, plain
from subtrain.regression.fit_study import fit
from subtrain.study import Study
from subtrain.tasks.base import function
from subtrain.testing.expect import expect

# Units; targets as many, so that target t may be about unit t.
N = 12
OUTPUT = "train_margins"
FITTED = ("weight_", "bias_", "lam_", "gap_")


def check_estimator(estimator: Any) -> None:
    """Run every check of `CHECKS`.

    Args:
        estimator: An estimator as its users make it; it is copied, and never fitted itself.

    Raises:
        AssertionError: with a sentence, for the first thing that is not as the contract says.
    """
    for check in CHECKS:
        check(estimator)


def declarations(estimator: Any) -> None:
    """What it reads and what it is are declared; its parameters can be kept in JSON; a copy is like it."""
    from sklearn.base import clone

    cls = type(estimator)
    assert isinstance(cls.name, str), f"{cls.__name__}.name must be a word, its name on the command line"
    assert cls.reads in READS, f"{cls.__name__}.reads must be one of {READS}, not {cls.reads!r}"
    for name in ("sparse", "folds", "joint"):
        assert isinstance(getattr(cls, name), bool), f"{cls.__name__}.{name} must be True or False"
    params = {name: plain(value) for name, value in estimator.get_params().items()}
    json.dumps(params)
    again = {name: plain(value) for name, value in clone(estimator).get_params().items()}
    assert again == params, "a copy by scikit-learn's clone has other parameters"


def options(estimator: Any) -> None:
    """`from_options` makes one without options, and refuses an option that there is not."""
    cls = type(estimator)
    assert isinstance(cls.from_options(), cls), "from_options() makes something else"
    expect(InputError, lambda: _quiet(lambda: cls.from_options(no_such_option=1)))


def fitting(estimator: Any) -> None:
    """A study is fitted: weights of the right shape, all of them finite, that predict what models output."""
    study, model = world(), _copy(estimator)
    before = repr(model.get_params())
    dm = _fitted(model)
    assert dm.weight.shape == (N, N), f"weights have shape {dm.weight.shape}, not [units, targets]"
    for name in FITTED:
        value = getattr(model, name)
        assert value.shape[-1] == N, f"{name} has shape {value.shape}, not one number a target"
        assert np.isfinite(value).all(), f"{name} is not finite"
    masks, outputs = study.masks(study.done()).unpack(), study.read(OUTPUT, study.done())
    predicted = model.predict(masks)
    expected = masks @ model.weight_ + model.bias_
    np.testing.assert_allclose(
        predicted, expected, rtol=1e-6, atol=1e-9, err_msg="predict is not masks @ weight_ + bias_"
    )
    likeness = [np.corrcoef(predicted[:, t], outputs[:, t])[0, 1] for t in range(1, N)]
    assert np.mean(likeness) > 0.5, f"predictions correlate with outputs by {np.mean(likeness):.2f} on average"
    assert repr(model.get_params()) == before, "fitting changes the parameters"


def again(estimator: Any) -> None:
    """A second fit gives the same numbers, bit for bit, whatever was fitted before."""
    model = _copy(estimator)
    first = {name: np.array(getattr(_fit(model), name)) for name in FITTED}
    for name, value in first.items():
        np.testing.assert_array_equal(getattr(_fit(model), name), value, err_msg=f"{name} of a second fit")


def constants(estimator: Any) -> None:
    """A target whose outputs are constant has weights of 0."""
    weight = _fit(_copy(estimator)).weight_
    assert not weight[:, 0].any(), "a target whose outputs are all the same has weights"


def sparsity(estimator: Any) -> None:
    """Weights that are declared sparse have exact zeros: here half of all true weights are 0."""
    if type(estimator).sparse:
        weight = _fit(_copy(estimator)).weight_[:, 1:]
        assert (weight == 0).mean() > 0.1, "declared sparse, but hardly a weight is 0"


def refusals(estimator: Any) -> None:
    """Masks that are not 0/1, outputs that are not finite, and lengths that differ are an InputError."""
    masks, outputs = arrays()
    wrong = outputs.copy()
    wrong[3, 2] = np.nan
    model = _copy(estimator)
    expect(InputError, lambda: _quiet(lambda: model.fit(masks + 0.5, outputs)))
    expect(InputError, lambda: _quiet(lambda: model.fit(masks, wrong)))
    expect(InputError, lambda: _quiet(lambda: model.fit(masks[:-1], outputs)))


def targets(estimator: Any) -> None:
    """Where targets are not fitted together, one alone gets the same weights; only for what fits from counts."""
    cls = type(estimator)
    if cls.joint or cls.reads == MODELS:
        return
    masks, outputs = arrays()
    both = _quiet(lambda: _copy(estimator).fit(masks, outputs)).weight_[:, [2]]
    alone = _quiet(lambda: _copy(estimator).fit(masks, outputs[:, [2]])).weight_
    np.testing.assert_allclose(alone, both, rtol=1e-6, atol=1e-9, err_msg="a target alone is fitted differently")


CHECKS: tuple[Callable[[Any], None], ...] = (
    declarations,
    options,
    fitting,
    again,
    constants,
    sparsity,
    refusals,
    targets,
)


@cache
def world() -> Study:
    """A study of sparse linear outputs with a little noise; the outputs of target 0 are constant."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(N, N)) * (random.random((N, N)) < 0.5)
    weight[:, 0] = 0.0

    def train(indices: NDArray[np.int64], seed: int) -> dict[str, Any]:
        noise = 0.1 * np.random.default_rng(seed).normal(size=N)
        noise[0] = 0.0
        return {OUTPUT: weight[indices].sum(axis=0) + noise}

    task = function(train, n=N, outputs={OUTPUT: Output((N,), "float32")})
    study = Study.create(":memory:", task, Design(alpha=(0.3, 0.7), kind="bernoulli", models=240))
    study.collect(progress=False)
    return study


def arrays() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Masks and outputs of the same world."""
    study = world()
    return study.masks(study.done()).unpack(), study.read(OUTPUT, study.done()).astype(np.float64)


def _copy(estimator: Any) -> Any:
    from sklearn.base import clone

    return clone(estimator)


def _fitted(model: Any) -> Any:
    return _quiet(lambda: fit(world(), OUTPUT, model, keep_counts=False))


def _fit(model: Any) -> Any:
    _fitted(model)
    return model


def _quiet(work: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work()
