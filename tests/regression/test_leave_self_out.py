"""Train-set targets: models that saw the target say nothing about the others' weights."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression import AME, FitWarning, Lasso
from subtrain.regression.estimators.elastic_net import ElasticNet
from subtrain.regression.estimators.kit.sample_split import validation_rows
from subtrain.regression.estimators.leave_self_out import LeaveSelfOut
from subtrain.regression.estimators.ridge import Ridge

UNITS = 30


def memorising(m: int = 1200, noise: float = 0.3, seed: int = 0):
    """A model that did not see target t depends on the others by weight[:, t]; one that did knows it by heart (+6),
    and the others matter to it in another way."""
    random = np.random.default_rng(seed)
    masks = random.random((m, UNITS)) < 0.5
    weight = random.normal(size=(UNITS, UNITS)) * (random.random((UNITS, UNITS)) < 0.2)
    np.fill_diagonal(weight, 0)
    unseen = masks @ weight - 1.0
    seen = 5.0 + masks @ random.normal(size=(UNITS, UNITS))
    return masks, np.where(masks, seen, unseen) + noise * random.normal(size=(m, UNITS)), weight


@pytest.mark.filterwarnings("ignore:.*lambda validates best.*")
@pytest.mark.parametrize("estimator", [None, Ridge(), ElasticNet()])
def test_what_models_without_the_target_do_comes_back(estimator) -> None:
    masks, y, weight = memorising()
    model = LeaveSelfOut(estimator).fit(masks, y)
    np.testing.assert_allclose(model.weight_, weight, atol=0.25)
    assert not np.diag(model.weight_).any()
    np.testing.assert_array_equal(model.models_, (~masks).sum(axis=0))
    for t in range(UNITS):
        difference = y[masks[:, t], t].mean() - y[~masks[:, t], t].mean()
        assert model.self_weight_[t] == pytest.approx(difference)
    fresh = np.random.default_rng(9).random((300, UNITS)) < 0.5
    want = fresh @ weight - 1.0
    assert ((model.predict(fresh) - want) ** 2).mean() < 0.05 * want.var()
    # Leaving nothing out mixes both kinds of model, and is far off.
    mixed = Lasso().fit(masks, y).weight_[~np.eye(UNITS, dtype=bool)]
    assert np.abs(mixed - weight[~np.eye(UNITS, dtype=bool)]).max() > 0.8


@pytest.mark.filterwarnings("ignore::subtrain.regression.FitWarning")
@pytest.mark.parametrize("estimator", [Lasso(tol=1e-10, seed=4), Ridge(seed=4)])
def test_each_target_is_fitted_as_by_hand(estimator) -> None:
    masks, y, _ = memorising(m=400)
    own = np.array([7, 2, -1, 7])
    model = LeaveSelfOut(estimator).fit(pack(masks), y[:, [7, 3, 4, 9]], units=own)
    judges = validation_rows(400, 0.1, 4)
    for t, (unit, column) in enumerate(zip(own, [7, 3, 4, 9], strict=True)):
        kept = ~masks[:, unit] if unit >= 0 else np.ones(400, bool)
        alone = type(estimator)(**estimator.get_params()).fit(masks[kept], y[kept, column], sample_split=judges[kept])
        np.testing.assert_allclose(model.weight_[:, t], alone.weight_[:, 0], atol=1e-10)
        np.testing.assert_allclose(model.bias_[t], alone.bias_[0], atol=1e-10)
        assert model.lam_[t] == pytest.approx(alone.lam_[0], rel=1e-12)
        assert model.models_[t] == kept.sum()
    assert np.isnan(model.self_weight_[2])
    assert np.isfinite(model.self_weight_[[0, 1, 3]]).all()


def test_the_left_out_unit_is_no_reason_to_warn_but_others_are() -> None:
    masks, y, _ = memorising(m=400)
    estimator = Lasso(lambdas=[0.05])
    LeaveSelfOut(estimator).fit(masks, y[:, :3], units=[0, 1, 2])
    masks[:, 5] = False
    with pytest.warns(FitWarning, match=r"2 of 30 units are in every mask or in none.*said of 3 of 3"):
        LeaveSelfOut(estimator).fit(masks, y[:, 10:13], units=[10, 11, 12])


def test_what_costs_too_much_is_refused_with_the_numbers() -> None:
    masks, y, _ = memorising(m=400)
    # 30 Grams of 30 x 30 / 2 over about 200 models each.
    products = (~masks).sum() * UNITS**2 / 2
    LeaveSelfOut(Ridge(lambdas=[1.0]), limit=products).fit(masks, y)
    with pytest.raises(InputError, match=r"30 targets \(30 distinct units\).*30 x 30 Gram.*2\.7e\+06 products"):
        LeaveSelfOut(limit=products - 1).fit(masks, y)
    one_unit = LeaveSelfOut(Ridge(lambdas=[1.0]), limit=products / 25)
    one_unit.fit(masks, y, units=np.full(30, 3))
    assert one_unit.weight_.shape == (30, 30)


def test_bad_input_is_refused() -> None:
    masks, y, _ = memorising(m=60)
    full = masks.copy()
    full[:, 1] = True
    for wrong, match in (
        (lambda: LeaveSelfOut().fit(masks, y[:, :3]), "3 targets over 30 units: say which unit"),
        (lambda: LeaveSelfOut().fit(masks, y[:, :3], units=[0, 1, 30]), "from 0 to 29"),
        (lambda: LeaveSelfOut().fit(masks, y[:, :3], units=[0, 1]), r"whole numbers \[3\]"),
        (lambda: LeaveSelfOut(AME()).fit(masks, y), "AME reads the models themselves"),
        (lambda: LeaveSelfOut().fit(full, y), "too few models are without unit 1"),
        (lambda: LeaveSelfOut().fit(masks[:50], y), "50 masks but outputs of 60"),
    ):
        with pytest.raises(InputError, match=match):
            wrong()
