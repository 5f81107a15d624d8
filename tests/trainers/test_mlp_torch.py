"""The same numbers as a plain PyTorch loop from the same initial weights, in the same order of minibatches."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch_peer
from sklearn.datasets import load_digits
from torch_peer import RECIPES, torch

from subtrain.trainers.mlp import initial_parameters, layer_sizes, train_logistic, train_mlp

pytestmark = pytest.mark.usefixtures("one_torch_thread")

IMAGES, LABELS = load_digits(return_X_y=True)
X = (IMAGES[:220] / 16).astype(np.float32)
Y = LABELS[:220]
TEST = (IMAGES[1000:1100] / 16).astype(np.float32)
CLASSES = 10


def network(sizes, parameters):
    layers, at = [], 0
    for inputs, outputs in pairwise(sizes):
        linear = torch.nn.Linear(inputs, outputs)
        weight = parameters[at : at + inputs * outputs].reshape(inputs, outputs)
        at += (inputs + 1) * outputs
        torch_peer.fill(linear, weight.T, parameters[at - outputs : at])
        layers += [linear, torch.nn.ReLU()]
    assert at == parameters.size
    return torch.nn.Sequential(*layers[:-1])


def trained_by_torch(widths, recipe, mask, seed, init_seed):
    sizes = layer_sizes(X, widths, CLASSES)
    net = network(sizes.tolist(), initial_parameters(sizes, init_seed))
    torch_peer.train(net, X, Y, recipe, mask, seed)
    return net(torch.from_numpy(TEST)).detach().numpy()


def differences(widths, recipe, init="own", init_seed=0):
    """Largest difference of any logit, for each of five models."""
    masks = np.random.default_rng(0).random((5, len(X))) < 0.5
    seeds = np.array([3, 1, 4_000_000_000, 5, 9], np.uint32)
    settings = {"classes": CLASSES, "widths": widths, "recipe": recipe, "init": init, "init_seed": init_seed}
    (logits,) = train_mlp(X, Y, masks, seeds, [TEST], **settings)
    expected = np.stack(
        [
            trained_by_torch(widths, recipe, mask, seed, seed if init == "own" else init_seed)
            for mask, seed in zip(masks, seeds.tolist(), strict=True)
        ]
    )
    assert (expected.argmax(axis=2) == LABELS[1000:1100]).mean() > 0.6  # they did learn
    return np.abs(logits - expected).max(axis=(1, 2))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_logistic_regression_agrees_after_a_full_training(recipe):
    assert differences((), recipe).max() < 2e-4


# Once in some dozens of trainings the input of a ReLU lies within rounding of zero, and two correct loops part: PyTorch
# in float32 from PyTorch in float64, too. So most models are asked to agree, where an error would move them all.
@pytest.mark.parametrize("widths", [(64,), (32, 17)], ids=str)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_networks_agree_after_a_full_training(widths, recipe):
    found = differences(widths, recipe)
    assert np.median(found) < 2e-4
    assert found.max() < 0.5


def test_three_hidden_layers_and_a_shared_start_agree():
    found = differences((40, 30, 20), replace(RECIPES["momentum"], batch=10), "shared", 9)
    assert np.median(found) < 2e-4


def test_train_logistic_is_the_network_without_hidden_layers():
    masks, seeds = np.random.default_rng(1).random((2, len(X))) < 0.5, np.array([5, 6], np.uint32)
    recipe = RECIPES["decay"]
    (logits,) = train_logistic(X, Y, masks, seeds, [TEST], classes=CLASSES, recipe=recipe)
    assert np.abs(logits[1] - trained_by_torch((), recipe, masks[1], 6, 6)).max() < 2e-4
