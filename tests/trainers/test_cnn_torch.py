"""The same numbers as a plain PyTorch loop of convolutions, from the same initial weights, in the same order."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch_peer
from sklearn.datasets import load_digits
from torch_peer import RECIPES, torch

from subtrain.trainers.cnn import initial_parameters, network, train_cnn
from subtrain.trainers.kit import convolution
from subtrain.trainers.kit.network_shape import space_for

pytestmark = pytest.mark.usefixtures("one_torch_thread")

IMAGES, LABELS = load_digits(return_X_y=True)
X = (IMAGES[:160] / 16).astype(np.float32).reshape(-1, 8, 8)
Y = LABELS[:160]
TEST = (IMAGES[1000:1060] / 16).astype(np.float32).reshape(-1, 8, 8)
COLOURED = np.random.default_rng(0).random((12, 11, 9, 3), np.float32)


class Flatten(torch.nn.Module):
    """Features in the order row, column, channel."""

    def forward(self, maps):
        return maps.permute(0, 2, 3, 1).flatten(1)


def torch_network(net, parameters):
    layers, at = [], 0
    for inputs, outputs in net.blocks[:, :2].tolist():
        layer = torch.nn.Conv2d(inputs, outputs, net.kernel, padding=net.kernel // 2)
        count = outputs * inputs * net.kernel**2
        weight = parameters[at : at + count].reshape(outputs, net.kernel, net.kernel, inputs)
        torch_peer.fill(layer, weight.transpose(0, 3, 1, 2), parameters[at + count : at + count + outputs])
        at += count + outputs
        layers += [layer, torch.nn.ReLU(), torch.nn.MaxPool2d(net.pool)]
    layers.append(Flatten())
    for inputs, outputs in pairwise(net.sizes.tolist()):
        layer = torch.nn.Linear(inputs, outputs)
        weight = parameters[at : at + inputs * outputs].reshape(inputs, outputs)
        at += (inputs + 1) * outputs
        torch_peer.fill(layer, weight.T, parameters[at - outputs : at])
        layers += [layer, torch.nn.ReLU()]
    assert at == parameters.size
    return torch.nn.Sequential(*layers[:-1])


def planes(images):
    """[N, C, H, W]"""
    return np.ascontiguousarray(images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2))


def differences(recipe, channels=(8, 16), kernel=3, pool=2, widths=(), init="own", init_seed=0):
    """Largest difference of any logit, for each of three models."""
    masks = np.random.default_rng(0).random((3, len(X))) < 0.5
    seeds = np.array([3, 4_000_000_000, 9], np.uint32)
    settings = {"channels": channels, "kernel": kernel, "pool": pool, "widths": widths}
    (logits,) = train_cnn(
        X, Y, masks, seeds, [TEST], classes=10, recipe=recipe, init=init, init_seed=init_seed, **settings
    )
    net = network(X.shape, classes=10, **settings)
    expected = []
    for mask, seed in zip(masks, seeds.tolist(), strict=True):
        peer = torch_network(net, initial_parameters(net, seed if init == "own" else init_seed))
        torch_peer.train(peer, planes(X), Y, recipe, mask, seed)
        expected.append(peer(torch.from_numpy(planes(TEST))).detach().numpy())
    assert (np.argmax(expected, axis=2) == LABELS[1000:1060]).mean() > 0.5  # they did learn
    return np.abs(logits - expected).max(axis=(1, 2))


# As for dense networks, two correct loops part once in some dozens of trainings; most models are asked to agree.
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_networks_agree_after_a_full_training(recipe):
    found = differences(replace(RECIPES[recipe], epochs=min(RECIPES[recipe].epochs, 60)))
    assert np.median(found) < 2e-4
    assert found.max() < 0.5


SHAPES = {
    "one block": {"channels": (5,)},
    "three blocks, nothing left over": {"channels": (16, 24, 32)},
    "a side left over": {"channels": (17,), "pool": 3, "widths": (20,)},
    "no pooling": {"channels": (3, 4), "pool": 1},
    "kernel of one": {"channels": (5, 12), "kernel": 1, "pool": 1},
    "kernel of five, hidden layer, shared start": {
        "channels": (6, 8),
        "kernel": 5,
        "widths": (30,),
        "init": "shared",
        "init_seed": 9,
    },
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_networks_of_any_shape_agree(shape):
    assert np.median(differences(replace(RECIPES["decay"], epochs=30, lr=0.06), **shape)) < 2e-4


@pytest.mark.parametrize(
    ("channels", "kernel", "pool"), [((4,), 3, 2), ((9, 33), 3, 3), ((16, 40, 8), 5, 1), ((64, 4), 3, 1)]
)
def test_gradient_of_coloured_images_of_odd_size_is_autograds_in_float64(channels, kernel, pool):
    net = network(COLOURED.shape, channels, kernel, pool, (12,), 4)
    parameters, labels = initial_parameters(net, 5), np.arange(12) % 4
    peer = torch_network(net, parameters).double()
    loss = torch.nn.functional.cross_entropy(
        peer(torch.from_numpy(planes(COLOURED)).double()), torch.from_numpy(labels)
    )
    loss.backward()
    edge = kernel // 2
    images = np.pad(planes(COLOURED), ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    gradient, space = np.full_like(parameters, np.nan), space_for(net, 12)
    everything = np.arange(12, dtype=np.int32)
    convolution.forward(images, everything, net, parameters, space)
    convolution.backward(images, everything, labels, net, parameters, space, gradient)
    at = 0
    for layer in peer:
        if hasattr(layer, "weight"):
            slope = layer.weight.grad.numpy()
            slope = slope.transpose(0, 2, 3, 1) if slope.ndim == 4 else slope.T
            for expected in (slope, layer.bias.grad.numpy()):
                found = gradient[at : at + expected.size].reshape(expected.shape)
                assert np.abs(found - expected).max() < 2e-6 + 1e-5 * np.abs(expected).max()
                at += expected.size
    assert at == gradient.size
