"""Tables of convex heads are derivatives: scikit-learn's solutions with weighted examples move as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge

import subtrain as st
from subtrain.influence import linear_heads
from subtrain.quantities import margins

STEP = 1e-3


def world(classes: int = 3, n: int = 40, d: int = 5, targets: int = 7) -> tuple[Any, ...]:
    random = np.random.default_rng(classes)
    x, x_test = (random.normal(size=(k, d)) + 3 for k in (n, targets))
    centers = random.normal(size=(d, classes))
    y, y_test = (np.argmax(part @ centers + random.gumbel(size=(len(part), classes)), axis=1) for part in (x, x_test))
    y[:classes] = np.arange(classes)
    mask = random.random(n) < 0.6
    mask[:classes] = True
    return x.astype(np.float32), y, x_test.astype(np.float32), y_test, mask


def moved(logits: Any, mask: np.ndarray, y_test: np.ndarray, units: np.ndarray, kind: str = "max") -> np.ndarray:
    """Slopes [units, T] of margins in the weight of each of these units, of a model's logits(weights [n])."""
    found = []
    for unit in units:
        up, down = (margins(logits(mask + s * STEP * (np.arange(mask.size) == unit)), y_test, kind) for s in (1, -1))
        found.append((up - down) / (2 * STEP))
    return np.array(found)


def close(table: np.ndarray, truth: np.ndarray) -> bool:
    return bool(np.abs(table - truth).max() <= 1e-3 * np.abs(truth).max())


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("margin", ["max", "logsumexp"])
def test_a_logistic_heads_table_is_its_derivative(classes: int, margin: str) -> None:
    x, y, x_test, y_test, mask = world(classes)
    lam = 0.7
    task = st.tasks.logistic_head(x, y, x_test, y_test, lam=lam, tol=1e-6, margin=margin)
    assert task.influence is not None
    table = task.influence(mask, 0, "test_margins")
    assert table.shape == (40, 7)
    assert table.dtype == np.float32

    def logits(weights: np.ndarray) -> np.ndarray:
        # Of two classes scikit-learn has one weight vector, the difference of ours.
        c = 1 / lam if classes > 2 else 2 / lam
        head = LogisticRegression(C=c, tol=1e-12, max_iter=10_000, solver="newton-cg")
        found = head.fit(x.astype(float), y, sample_weight=weights).decision_function(x_test.astype(float))
        return np.stack([-found / 2, found / 2], axis=1) if classes == 2 else found

    units = np.flatnonzero(mask)[::3]
    assert close(table[units], moved(logits, mask.astype(float), y_test, units, margin))


def test_what_a_logistic_head_gains_from_an_example_outside_its_subset_is_a_derivative_too() -> None:
    x, y, x_test, y_test, mask = world()
    task = st.tasks.logistic_head(x, y, x_test, y_test, tol=1e-6)
    unit = int(np.flatnonzero(~mask)[0])

    def logits(weight: float) -> np.ndarray:
        head = LogisticRegression(C=1.0, tol=1e-9, max_iter=10_000, solver="newton-cholesky")
        weights = mask + weight * (np.arange(len(y)) == unit)
        return head.fit(x.astype(float), y, sample_weight=weights).decision_function(x_test.astype(float))

    start, *steps = (margins(logits(w), y_test) for w in (0.0, 10 * STEP, 20 * STEP))
    slope = (4 * steps[0] - steps[1] - 3 * start) / (20 * STEP)
    assert task.influence is not None
    assert close(task.influence(mask, 0, "test_margins")[unit], slope)


@pytest.mark.parametrize("output", ["test_margins", "train_margins", "test_losses"])
def test_a_ridge_heads_table_is_its_derivative(output: str) -> None:
    x, y, x_test, y_test, mask = world()
    task = st.tasks.ridge_head(x, y, x_test, y_test, lam=2.0, outputs=[output])
    assert task.influence is not None
    table = task.influence(mask, 0, output)
    part, labels = (x, y) if output.startswith("train") else (x_test, y_test)
    onehot = np.eye(3)[y]

    def measured(weights: np.ndarray) -> np.ndarray:
        found = Ridge(2.0).fit(x.astype(float), onehot, sample_weight=weights).predict(part.astype(float))
        return np.asarray(st.quantities.QUANTITIES[output.split("_")[1]](found, labels, "max"))

    units = np.flatnonzero(mask)
    truth = []
    for unit in units:
        one = STEP * (np.arange(mask.size) == unit)
        truth.append((measured(mask + one) - measured(mask - one)) / (2 * STEP))
    assert close(table[units], np.array(truth))


def test_leaving_one_out_of_a_ridge_head_is_its_table_over_one_minus_leverage() -> None:
    x, y, x_test, _, mask = world()
    y_test = np.zeros(len(x_test), int)
    task = st.tasks.ridge_head(x, y, x_test, y_test, lam=2.0, outputs=["test_margins"], classes=3, dtype="float32")
    assert task.influence is not None
    table, whole = task.influence(mask, 0, "test_margins"), task.train(mask[None], np.zeros(1, np.uint32))
    rows = np.flatnonzero(mask)
    centered = x[rows].astype(float) - x[rows].mean(axis=0)
    system = centered.T @ centered + 2 * np.eye(x.shape[1])
    for k, unit in enumerate(rows):
        without = mask.copy()
        without[unit] = False
        lost = (
            np.asarray(whole["test_margins"])[0] - task.train(without[None], np.zeros(1, np.uint32))["test_margins"][0]
        )
        leverage = centered[k] @ np.linalg.solve(system, centered[k]) + 1 / rows.size
        # The largest other logit may change with the example; where it does not, the relation is exact.
        exact = table[unit] / (1 - leverage)
        assert np.median(np.abs(lost - exact)) <= 1e-4 * max(np.abs(exact).max(), 0.01)


def test_kernel_ridge_and_random_features_have_the_derivative_too() -> None:
    x, y, x_test, y_test, mask = world()
    units = np.flatnonzero(mask)[::3]
    onehot = np.eye(3)[y]
    kernel = st.tasks.kernel_ridge(x, y, x_test, y_test, lam=0.5)

    def by_kernel(weights: np.ndarray) -> np.ndarray:
        some = weights > 0
        found = KernelRidge(alpha=0.5, kernel="rbf").fit(x[some].astype(float), onehot[some], weights[some])
        return np.asarray(found.predict(x_test.astype(float)))

    assert kernel.influence is not None
    assert close(kernel.influence(mask, 0, "test_margins")[units], moved(by_kernel, mask.astype(float), y_test, units))
    for init in ("own", "shared"):
        task = st.tasks.random_features(x, y, x_test, y_test, lam=0.5, features=20, init=init, seed=3)
        from subtrain.trainers.random_features import RandomFeatures

        recipe = RandomFeatures(20, "fourier", 1 / x.shape[1])
        seed = 8 if init == "own" else 3
        z, z_test = (recipe.mapped(part, seed).astype(float) for part in (x, x_test))

        def by_features(weights: np.ndarray, z: np.ndarray = z, z_test: np.ndarray = z_test) -> np.ndarray:
            return np.asarray(Ridge(0.5).fit(z, onehot, sample_weight=weights).predict(z_test))

        assert task.influence is not None
        truth = moved(by_features, mask.astype(float), y_test, units)
        assert close(task.influence(mask, 8, "test_margins")[units], truth)


def test_a_class_that_the_subset_lacks_follows_the_smallest_other_logit() -> None:
    x, y, x_test, y_test, mask = world()
    y_test[:3] = 2
    mask &= y < 2
    task = st.tasks.logistic_head(x, y, x_test, y_test, tol=1e-6, classes=3)

    def logits(weights: np.ndarray) -> np.ndarray:
        some = weights > 0
        head = LogisticRegression(C=2.0, tol=1e-12, max_iter=10_000, solver="newton-cg")
        found = head.fit(x[some].astype(float), y[some], weights[some]).decision_function(x_test.astype(float))
        both = np.stack([-found / 2, found / 2], axis=1)
        return np.column_stack([both, both.min(axis=1) - 10])

    units = np.flatnonzero(mask)
    assert task.influence is not None
    table = task.influence(mask, 0, "test_margins")
    assert close(table[units], moved(logits, mask.astype(float), y_test, units))
    assert np.isfinite(table).all()
    only = y == 1
    assert not task.influence(only, 0, "test_margins").any()


def test_where_the_hessian_is_too_large_the_table_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, x_test, y_test, mask = world(4, n=120, d=8)
    mask &= y != 3
    task = st.tasks.logistic_head(x, y, x_test, y_test)
    assert task.influence is not None
    exact = task.influence(mask, 0, "test_margins")
    monkeypatch.setattr(linear_heads, "LARGEST", 0)
    found = task.influence(mask, 0, "test_margins")
    assert np.linalg.norm(found - exact) <= 0.01 * np.linalg.norm(exact)


def test_a_guess_from_twenty_heads_predicts_others() -> None:
    x, y, x_test, y_test, _ = world(3, n=60, targets=20)
    task = st.tasks.logistic_head(x, y, x_test, y_test, lam=20.0)
    study = st.Study.create(":memory:", task, st.Design(alpha=0.5, models=40, heldout=40, replicates=1))
    study.collect(progress=False)
    made = st.guess(study, models=20, progress=False)
    assert st.evaluate(made, study, bootstrap=0).lds.value > 0.75
