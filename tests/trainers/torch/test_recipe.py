"""Recipes: what is refused, and the rate of every step."""

import pickle

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.trainers.torch.recipe import Augment, TorchRecipe

torch = pytest.importorskip("torch")


def test_rates_are_those_of_a_scheduler():
    """As numpy interpolates between the corners, at the beginning of each of 3 x 4 steps."""
    at = np.arange(12)
    linear, triangular = (TorchRecipe(epochs=3, batch=8, schedule=s, peak=0.25) for s in ("linear", "triangular"))
    assert np.allclose(linear.factors(30), np.interp(at, [0, 12], [1, 0]))
    assert np.allclose(triangular.factors(30), np.interp(at, [0, 3, 12], [0, 1, 0]))
    assert len(TorchRecipe(epochs=3, batch=8, drop_last=True).factors(30)) == 9


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch": 1.5}, "batch"),
        ({"schedule": "steps"}, "constant, cosine, triangular, linear"),
        ({"dtype": "float8"}, "float32, bfloat16, float16"),
        ({"optimizer": "adam"}, "sgd, adamw"),
        ({"optimizer": torch.optim.SGD, "cuda_graph": True}, "cuda_graph"),
        ({"loss": torch.nn.functional.cross_entropy, "label_smoothing": 0.1}, "label_smoothing"),
        ({"nesterov": True, "momentum": 0}, "nesterov"),
        ({"schedule": "triangular", "peak": 1.0}, "peak"),
    ],
)
def test_recipes_that_cannot_be_followed(fields, said):
    with pytest.raises(InputError, match=said):
        TorchRecipe(**fields)


def test_a_recipe_can_be_pickled_and_augment_given_as_a_dict():
    recipe = TorchRecipe(augment={"flip": True})
    assert recipe.augment == Augment(flip=True)
    assert pickle.loads(pickle.dumps(recipe)) == recipe
