"""The recipe: learning rates of every step, and what it refuses."""

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.trainers.kit.sgd import Sgd


@pytest.mark.parametrize(("examples", "steps"), [(100, 4 * 10), (101, 4 * 11), (3, 4)])
def test_a_rate_for_every_step_partial_batches_included(examples, steps):
    rates = Sgd(epochs=4, batch=10).rates(examples)
    assert rates.shape == (steps,)
    assert rates.dtype == np.float32


def test_constant_schedule():
    assert (Sgd(epochs=3, lr=0.25, schedule="constant").rates(500) == 0.25).all()


def test_cosine_falls_from_lr_to_zero_and_passes_half_in_the_middle():
    rates = Sgd(epochs=10, batch=1, lr=2.0, schedule="cosine").rates(11)
    assert (np.diff(rates) < 0).all()
    assert rates[0] == pytest.approx(2.0, rel=1e-3)
    assert 0 < rates[-1] < 2e-3
    assert rates[54] + rates[55] == pytest.approx(2.0)
    assert rates[27] == pytest.approx(1 + np.cos(np.pi * 27.5 / 110))


@pytest.mark.parametrize("peak", [0.0, 0.25, 0.5])
def test_triangular_rises_to_lr_at_the_peak_and_falls_to_zero_on_straight_lines(peak):
    rates = Sgd(epochs=1, batch=1, lr=0.5, schedule="triangular", peak=peak).rates(400)
    top = int(peak * 400)
    assert rates.max() == pytest.approx(0.5, rel=0.01)
    assert abs(int(rates.argmax()) - top) <= 1
    assert rates[-1] == pytest.approx(0.5 * 0.5 / (400 - top), rel=1e-4)
    for side in (rates[:top], rates[top:]):
        assert np.allclose(np.diff(side), np.diff(side)[:1] if side.size else 0, atol=1e-6)
    assert (rates > 0).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"batch": 0}, "batch"),
        ({"lr": 0.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"weight_decay": -1e-4}, "weight_decay"),
        ({"peak": 1.0}, "peak"),
        ({"schedule": "cosin"}, "constant, cosine, triangular"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        Sgd(**arguments)
