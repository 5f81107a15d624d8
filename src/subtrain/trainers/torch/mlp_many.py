"""Thousands of small networks at once on one device: `trainers.mlp`, each layer one batched product over all models.

The same networks as the compiled loops train: the same initial weights, minibatches, loss and updates. Only the order
in which sums are added up differs, so logits agree to rounding, and a model's last bits may depend on how many are
trained beside it. Forward and backward are written out, as nothing but products and elementwise operations, so that a
whole epoch can be captured as one CUDA graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from subtrain.trainers.kit.many_models import check_examples, check_models, minibatch_order
from subtrain.trainers.kit.sgd import Sgd
from subtrain.trainers.mlp import initial_parameters, layer_sizes
from subtrain.trainers.torch.capture import captured
from subtrain.trainers.torch.devices import chosen_device, sent

Floats = NDArray[np.float32]
FLOATS = 2**28
"""Activations of one layer at most, when many examples are evaluated."""

Job = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int32]]


class ManyMlps:
    """ReLU networks with softmax cross-entropy on one data set, which stays on the device between calls.

    x [N, D] float32, y [N] integers; evaluate: matrices float32 [E_s, D]. at_once: models trained together; threads:
    processor threads that draw their initial weights and minibatches. Other arguments as for `trainers.mlp.train_mlp`.
    """

    def __init__(
        self,
        x: Floats,
        y: NDArray[np.integer],
        evaluate: Sequence[Floats],
        *,
        classes: int,
        widths: Sequence[int] = (64,),
        recipe: Sgd = Sgd(),
        init: str = "own",
        init_seed: int = 0,
        device: str | None = None,
        at_once: int = 4096,
        threads: int = 1,
    ) -> None:
        self.sizes = layer_sizes(x, widths, classes)
        check_examples(x, evaluate)
        self.given = (x, y)
        self.classes, self.init, self.init_seed = classes, init, init_seed
        self.recipe, self.at_once, self.threads = recipe, at_once, threads
        self.device = chosen_device(device)
        self.data = (sent(x, self.device), sent(y.astype(np.int64), self.device))
        self.evaluate = [sent(features, self.device) for features in evaluate]
        self._fleets: dict[tuple[int, int], _Fleet] = {}

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> list[Floats]:
        """Train K networks, masks bool [K, N] and seeds [K]; their logits float32 [K, E_s, C] on each matrix."""
        check_models(*self.given, masks, seeds, self.classes, self.init, self.init_seed)
        logits = [np.empty((len(masks), len(e), self.classes), np.float32) for e in self.evaluate]
        for rows, parameters, orders in self._jobs(masks, seeds):
            fleet = self._fleet(*orders.shape[::2])
            fleet.train(sent(parameters, self.device), sent(orders, self.device), self.recipe.rates(orders.shape[2]))
            for features, out in zip(self.evaluate, logits, strict=True):
                out[rows] = fleet.logits(features).cpu().numpy()
        return logits

    def _fleet(self, models: int, rows: int) -> _Fleet:
        key = (models, rows)
        if key not in self._fleets:
            self._fleets[key] = _Fleet(self.sizes, self.data, self.recipe, models, rows)
        return self._fleets[key]

    def _jobs(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> Iterator[Job]:
        """Models of one subset size, at most `at_once`; the next ones are drawn while the device is busy."""
        sizes = masks.sum(axis=1)
        alike = [np.flatnonzero(sizes == size) for size in np.unique(sizes)]
        groups = [g[i : i + self.at_once] for g in alike for i in range(0, len(g), self.at_once)]
        with ThreadPoolExecutor(self.threads) as pool, ThreadPoolExecutor(1) as ahead:
            drawn = ahead.submit(self._drawn, groups[0], masks, seeds, pool) if groups else None
            for following in [*groups[1:], None]:
                if drawn is not None:
                    job = drawn.result()
                    drawn = ahead.submit(self._drawn, following, masks, seeds, pool) if following is not None else None
                    yield job

    def _drawn(
        self, rows: NDArray[np.int64], masks: NDArray[np.bool_], seeds: NDArray[np.uint32], pool: ThreadPoolExecutor
    ) -> Job:
        def draw(i: int) -> tuple[Floats, NDArray[np.int32]]:
            seed = int(seeds[i])
            start = initial_parameters(self.sizes, self.init_seed if self.init == "shared" else seed)
            return start, minibatch_order(np.flatnonzero(masks[i]), seed, self.recipe.epochs, self.recipe.order)

        each = list(pool.map(draw, rows, chunksize=64))
        return rows, np.stack([start for start, _ in each]), np.stack([order for _, order in each])


@dataclass
class _Layer:
    """Views of one layer in the matrices of all parameters and all gradients: [K, inputs, outputs], [K, 1, outputs]."""

    weight: Any
    bias: Any
    weight_gradient: Any
    bias_gradient: Any


class _Fleet:
    """K networks of one subset size: their parameters as one matrix [K, P], as `trainers.kit.dense_layers` has them."""

    def __init__(self, sizes: NDArray[np.int64], data: tuple[Any, Any], recipe: Sgd, models: int, rows: int) -> None:
        self.x, self.y = data
        self.recipe, self.widest = recipe, int(sizes.max())
        device = self.x.device
        total = int(((sizes[:-1] + 1) * sizes[1:]).sum())
        self.parameters, self.gradient, self.velocity = (torch.zeros(models, total, device=device) for _ in range(3))
        self.layers = list(_layers(sizes.tolist(), self.parameters, self.gradient))
        self.order = torch.zeros(models, rows, dtype=torch.int64, device=device)
        self.rates = torch.zeros(-(-rows // recipe.batch), device=device)
        self._replay = captured(self._epoch, device)

    def train(self, parameters: Any, orders: Any, rates: Floats) -> None:
        """From the initial `parameters` [K, P] through orders [K, epochs, rows] at rates [epochs * steps]."""
        self.parameters.copy_(parameters)
        self.velocity.zero_()
        each = sent(rates, self.x.device).view(orders.shape[1], -1)
        for epoch in range(orders.shape[1]):
            self.order.copy_(orders[:, epoch])
            self.rates.copy_(each[epoch])
            self._replay()

    def logits(self, features: Any) -> Any:
        """[K, E, C] of features [E, D]."""
        models = len(self.parameters)
        at_once = max(1, FLOATS // (models * self.widest))
        return torch.cat([self._forward(part.expand(models, -1, -1))[-1] for part in features.split(at_once)], dim=1)

    def _epoch(self) -> None:
        for step, chosen in enumerate(self.order.split(self.recipe.batch, dim=1)):
            activations = self._forward(self.x[chosen])
            self._backward(activations, self.y[chosen])
            self._update(self.rates[step])

    def _forward(self, a: Any) -> list[Any]:
        """The features and every layer's activations; the last are the logits."""
        activations = [a]
        for layer in self.layers:
            z = torch.baddbmm(layer.bias, activations[-1], layer.weight)
            activations.append(z if layer is self.layers[-1] else z.relu_())
        return activations

    def _backward(self, activations: list[Any], labels: Any) -> None:
        """Write the gradient of each model's mean loss."""
        delta = torch.softmax(activations[-1], dim=2)
        delta.scatter_add_(2, labels.unsqueeze(2), torch.full_like(delta[:, :, :1], -1))
        delta.div_(labels.shape[1])
        for layer, a in zip(reversed(self.layers), reversed(activations[:-1]), strict=True):
            layer.weight_gradient.copy_(torch.bmm(a.transpose(1, 2), delta))
            layer.bias_gradient.copy_(delta.sum(dim=1, keepdim=True))
            if layer is not self.layers[0]:
                delta = torch.bmm(delta, layer.weight.transpose(1, 2)).mul_(a > 0)

    def _update(self, rate: Any) -> None:
        momentum = self.recipe.momentum
        self.gradient.add_(self.parameters, alpha=self.recipe.weight_decay)
        self.velocity.mul_(momentum).add_(self.gradient)
        change = self.gradient.add_(self.velocity, alpha=momentum) if self.recipe.nesterov else self.velocity
        self.parameters.addcmul_(change, rate, value=-1)


def _layers(sizes: list[int], parameters: Any, gradient: Any) -> Iterator[_Layer]:
    at = 0
    for inputs, outputs in pairwise(sizes):
        middle, end = at + inputs * outputs, at + (inputs + 1) * outputs
        views = [
            view
            for matrix in (parameters, gradient)
            for view in (
                matrix[:, at:middle].unflatten(1, (inputs, outputs)),
                matrix[:, middle:end].unflatten(1, (1, outputs)),
            )
        ]
        yield _Layer(*views)
        at = end
