"""Which of the models fit, and which choose lambda."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError


def check_one_way(validation: object, split: object) -> None:
    """Refuse two answers to which models choose lambda; None is no answer."""
    if validation is not None and split is not None:
        raise InputError("give either validation models or a sample_split, not both")


def validation_rows(m: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """bool [m], True for the round(fraction m) models (at least one, and two are left) that validate.

    A pure function of its arguments on every numpy: the models with the smallest values of a Philox stream.
    """
    if not 0.0 < fraction < 1.0:
        raise InputError(f"validation must be a share of the models between 0 and 1, got {fraction}")
    if m < 3:
        raise InputError(f"choosing lambda needs at least 3 models, got {m} sample(s); give one value: lambdas=[0.01]")
    size = min(max(round(fraction * m), 1), m - 2)
    order = np.argsort(np.random.Philox(key=[seed, 0]).random_raw(m), kind="stable")
    rows = np.zeros(m, np.bool_)
    rows[order[:size]] = True
    return rows


def fold_numbers(m: int, folds: int, seed: int) -> NDArray[np.int64]:
    """int64 [m], the fold of each model, 0 to folds - 1, in sizes that differ by at most one.

    A pure function of its arguments on every numpy, from the same stream as `validation_rows`.
    """
    if not 2 <= folds <= m // 2:
        raise InputError(f"{m} models make from 2 to {m // 2} folds of at least two, got validation={folds}")
    order = np.argsort(np.random.Philox(key=[seed, 0]).random_raw(m), kind="stable")
    numbers = np.empty(m, np.int64)
    numbers[order] = np.arange(m) % folds
    return numbers


def given_rows(split: ArrayLike, m: int) -> NDArray[np.bool_]:
    """bool [m] of a split given as bool [m] or as the positions of the models that validate; else InputError."""
    array = np.asarray(split)
    if array.dtype == np.bool_ and array.shape == (m,):
        rows = array
    elif array.dtype.kind in "iu" and array.ndim == 1 and np.all((array >= 0) & (array < m)):
        rows = np.zeros(m, np.bool_)
        rows[array] = True
    else:
        got = f"{array.dtype} {list(array.shape)}"
        raise InputError(f"sample_split must be bool [{m}] or positions from 0 to {m - 1}, got {got}")
    if not rows.any() or m - np.count_nonzero(rows) < 2:
        raise InputError(f"sample_split makes {np.count_nonzero(rows)} of {m} models validate; both parts need models")
    return rows
