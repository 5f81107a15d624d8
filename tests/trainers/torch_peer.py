"""A plain PyTorch loop from given initial weights, in the trainers' order of minibatches."""

from dataclasses import replace

import numpy as np
import pytest

from subtrain.trainers.kit.many_models import minibatch_order
from subtrain.trainers.kit.sgd import Sgd

torch = pytest.importorskip("torch")

PLAIN = Sgd(epochs=20, batch=25, lr=0.1, momentum=0.0, weight_decay=0.0, schedule="constant", nesterov=False)
RECIPES = {
    "default": Sgd(epochs=40),
    "plain": replace(PLAIN, batch=10, lr=0.2),
    "momentum": replace(PLAIN, momentum=0.9, schedule="cosine"),
    "decay": replace(PLAIN, batch=16, lr=0.05, momentum=0.9, weight_decay=0.003, schedule="cosine"),
    "nesterov": replace(PLAIN, batch=20, momentum=0.8, schedule="triangular", nesterov=True),
    "full batch": replace(PLAIN, epochs=150, batch=1000, lr=0.2, momentum=0.9, schedule="triangular", peak=0.4),
}


def fill(layer, weight, bias):
    """Give a layer these weights and biases."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(bias))


def train(net, x, y, recipe, mask, seed):
    """Train the net on the examples of the mask as the recipe says."""
    optimiser = torch.optim.SGD(
        net.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    rates = iter(recipe.rates(int(mask.sum())).tolist())
    for epoch in minibatch_order(np.flatnonzero(mask), seed, recipe.epochs):
        for chosen in torch.from_numpy(epoch.astype(np.int64)).split(recipe.batch):
            for group in optimiser.param_groups:
                group["lr"] = next(rates)
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimiser.step()
    assert next(rates, None) is None
