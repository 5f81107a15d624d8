"""What is experimental says so once, at the line that uses it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from subtrain.regression import LassoOptions, count
from subtrain.system import experimental
from subtrain.system.experimental import ExperimentalWarning


def test_the_device_path_warns_once(monkeypatch) -> None:
    pytest.importorskip("torch", reason="needs the torch extra")
    from subtrain.regression.device import Device, device_counts, lasso_on_device

    monkeypatch.setattr(experimental, "_warned", set())
    masks = np.random.default_rng(0).random((60, 8)) < 0.5
    counts = count(masks, masks[:, 0] * 1.0)
    with pytest.warns(ExperimentalWarning, match="never run on a GPU") as said:
        lasso_on_device(counts, None, LassoOptions(lambdas=[0.1]), Device("cpu"))
    assert len(said) == 1
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        device_counts([(masks, masks[:, 0] * 1.0)], "cpu")
