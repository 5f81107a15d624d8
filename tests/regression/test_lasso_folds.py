"""Cross-validation against a loop over scikit-learn, blocks of targets against all at once, and what is warned of."""

from __future__ import annotations

import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import lasso_path as reference_path

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression import FitWarning, Lasso, LassoOptions, count, lasso_from_counts
from subtrain.regression.estimators.kit.sample_split import fold_numbers
from subtrain.regression.fit_warnings import still_falling
from subtrain.regression.lasso.folds import lasso_kfold
from subtrain.regression.lasso.target_blocks import target_blocks
from subtrain.regression.lasso.validation_error import validation_models


def planted(m: int, n: int, targets: int, noise: float = 1.0, seed: int = 0):
    random = np.random.default_rng(seed)
    masks = random.random((m, n)) < 0.5
    weight = random.normal(size=(n, targets)) * (random.random((n, targets)) < 0.2)
    return masks, masks @ weight + noise * random.normal(size=(m, targets))


def test_folds_depend_on_their_seed_alone_and_are_even() -> None:
    numbers = fold_numbers(10, 3, 0)
    assert numbers.tolist() == fold_numbers(10, 3, 0).tolist()
    assert np.bincount(numbers).tolist() == [4, 3, 3]
    assert numbers.tolist() != fold_numbers(10, 3, 1).tolist()
    with pytest.raises(InputError, match="folds of at least two"):
        fold_numbers(10, 6, 0)


def test_the_curve_of_a_cross_validation_is_that_of_scikit_learn() -> None:
    masks, y = planted(300, 30, 2)
    numbers = fold_numbers(300, 4, 7)
    options = LassoOptions(lambdas=15, eps=1e-2, tol=1e-10, early_stop=None)
    got = lasso_kfold([count(masks[numbers == k], y[numbers == k]) for k in range(4)], options)
    for t in range(2):
        error = np.zeros(15)
        for k in range(4):
            fit, judge = numbers != k, numbers == k
            mean, scale = masks[fit].mean(axis=0), masks[fit].std(axis=0)
            x, x_judge = (masks[fit] - mean) / scale, (masks[judge] - mean) / scale
            center = y[fit, t].mean()
            _, coefs, _ = reference_path(x, y[fit, t] - center, alphas=got.lambdas[:, t], tol=1e-12, max_iter=100_000)
            error += ((y[judge, t, None] - center - x_judge @ coefs) ** 2).sum(axis=0) / 300
        np.testing.assert_allclose(got.validation_mse[:, t], error, rtol=1e-5)
        assert got.lam[t] == got.lambdas[np.argmin(error), t]
    assert np.all(got.path_gap <= 1e-10)
    alone = lasso_from_counts(count(masks, y), None, options=LassoOptions(lambdas=got.lam[:, None], tol=1e-10))
    np.testing.assert_allclose(got.weight, alone.weight, atol=1e-7)


def test_a_cross_validation_that_stops_early_chooses_the_same() -> None:
    masks, y = planted(400, 60, 12)
    whole, early = (Lasso(validation=3, early_stop=stop).fit(masks, y) for stop in (None, 4))
    np.testing.assert_array_equal(early.lam_, whole.lam_)
    np.testing.assert_allclose(early.weight_, whole.weight_, atol=1e-3 * np.abs(whole.weight_).max())
    assert np.isnan(early.validation_mse_).any()
    assert not np.isnan(whole.validation_mse_).any()


def test_folds_of_a_target_that_is_constant_in_one() -> None:
    masks, y = planted(90, 20, 2)
    numbers = fold_numbers(90, 3, 0)
    y[numbers != 1, 1] = 2.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        model = Lasso(validation=3).fit(masks, y)
    assert np.isfinite(model.weight_).all()
    assert model.gap_.max() <= 1e-4
    with pytest.raises(InputError, match="at least 2 folds"):
        lasso_kfold([count(masks, y)])


@pytest.mark.parametrize("form", ["counts", "models"])
def test_blocks_and_threads_change_no_bit(form: str) -> None:
    masks, y = planted(500, 120, 11)
    train, total = count(masks[100:], y[100:]), count(masks, y)
    valid = count(masks[:100], y[:100]) if form == "counts" else validation_models(pack(masks[:100]), y[:100])
    want = lasso_from_counts(train, valid, total, LassoOptions(threads=1))
    for size, threads in ((4, 3), (1, 1), (11, 2)):
        options = LassoOptions(threads=threads)
        got = lasso_from_counts(train, valid, total, options, block=size)
        for name in (f.name for f in fields(want)):
            np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)
    some = lasso_from_counts(train, valid, total, LassoOptions(), targets=slice(3, 7))
    np.testing.assert_array_equal(some.weight, want.weight[:, 3:7])
    np.testing.assert_array_equal(some.bias, want.bias[3:7])


def test_blocks_go_on_where_they_ended(tmp_path: Path) -> None:
    masks, y = planted(200, 30, 10)
    train, valid = count(masks[40:], y[40:]), count(masks[:40], y[:40])
    want = lasso_from_counts(train, valid, block=4)

    def run(stop: tuple[str, int] | None = None, options: LassoOptions | None = None) -> list[tuple[str, int, int]]:
        told: list[tuple[str, int, int]] = []

        def tell(*at: Any) -> None:
            told.append(at)
            if at[:2] == stop:
                raise KeyboardInterrupt

        got = lasso_from_counts(train, valid, None, options, tell, keep=tmp_path, block=4)
        if options is None:
            np.testing.assert_array_equal(got.weight, want.weight)
            np.testing.assert_array_equal(got.validation_mse, want.validation_mse)
        return told

    for stop in (("path", 6), ("refit", 5)):
        with pytest.raises(KeyboardInterrupt):
            run(stop)
    told = run()
    assert [done for stage, done, _ in told if stage == "refit"] == [5, 6, 7, 8, 9, 10]
    assert [stage for stage, _, _ in told if stage == "path"] == []
    assert {total for *_, total in told} == {10}
    assert run() == []
    assert len(run(options=LassoOptions(tol=1e-6))) == 20
    for damaged in tmp_path.glob("*.npz"):
        damaged.write_bytes(damaged.read_bytes()[:-7])
    assert len(run()) == 20


def test_blocks_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 target"):
        target_blocks(range(10), 0)
    with pytest.raises(InputError, match="no targets"):
        target_blocks(range(0), 4)


def test_judges_cannot_be_fitted_on() -> None:
    masks, y = planted(100, 10, 1)
    train, valid = count(masks[20:], y[20:]), validation_models(pack(masks[:20]), y[:20])
    with pytest.raises(InputError, match="no counts to refit on"):
        lasso_from_counts(train, valid)
    alone = lasso_from_counts(train, valid, options=LassoOptions(refit=False))
    np.testing.assert_array_equal(
        alone.weight, lasso_from_counts(train, count(masks[:20], y[:20]), options=LassoOptions(refit=False)).weight
    )


def test_a_warning_points_at_the_line_that_fitted() -> None:
    masks, y = planted(100, 10, 1)
    masks[:, 3] = True
    train, valid = count(masks[20:], y[20:]), count(masks[:20], y[:20])
    for ask in (
        lambda: Lasso().fit(masks, y),
        lambda: lasso_from_counts(train, valid),
        lambda: lasso_kfold([train, valid]),
    ):
        with pytest.warns(FitWarning, match="1 of 10 units are in every mask") as caught:
            ask()
        assert {w.filename for w in caught} == {__file__}


def test_targets_that_miss_the_tolerance_are_named() -> None:
    masks, y = planted(60, 90, 3, noise=0.0)
    y[:, 1] = 0
    missed = pytest.warns(FitWarning, match=r"for 2 of 3 targets .* \(targets 0, 2\); the worst is target")
    with (
        missed,
        pytest.warns(FitWarning, match="1 of 3 targets all weights are 0: their outputs are the same in all fitting"),
    ):
        Lasso(lambdas=[0.01], tol=1e-9, max_iter=2).fit(masks, y)


def test_the_smallest_lambda_is_no_news_where_it_gains_nothing() -> None:
    """Many models and few units: any small lambda is as good as any other, and chance picks the last for some."""
    random = np.random.default_rng(0)
    masks = random.random((4000, 8)) < 0.5
    y = masks @ random.normal(size=(8, 30)) + random.normal(size=(4000, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = Lasso(early_stop=None).fit(masks, y)
    assert (model.lam_ == model.lambdas_[-1]).any()
    # A smallest lambda that is far too large is news.
    with pytest.warns(FitWarning, match="for 30 of 30 targets the smallest lambda validates best"):
        Lasso(lambdas=10, eps=0.3).fit(masks, y)


def test_still_falling_looks_at_the_last_factor_of_two() -> None:
    lambdas = np.array([8.0, 4.0, 2.0, 1.0])[:, None].repeat(4, axis=1)
    error = np.array([[9.0, 5, 3, 2], [9, 2, 1.0, 0.999], [9, 2, 1.0, 1.5], [9, 2, 1, np.nan]]).T
    assert still_falling(lambdas, error).tolist() == [True, False, False, False]
