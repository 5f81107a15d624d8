"""Influence tables of the networks that compiled loops train: trained again from mask and seed, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.influence import conv_network, dense_network
from subtrain.influence.gauss_newton import influence_table
from subtrain.influence.jacobians import Floats, Ints, Linearized
from subtrain.influence.losses import output_slopes
from subtrain.quantities import parse_name
from subtrain.trainers import cnn, mlp
from subtrain.trainers.kit import convolution, dense_layers
from subtrain.trainers.kit.many_models import descend, writable

Data = Mapping[str, tuple[Floats, Ints]]
# A network's shape, its start from a seed, its loops, how it takes examples, and what it is around its parameters.
Kind = tuple[Any, Callable[[int], Floats], Any, Callable[[Floats], Floats], Callable[[Floats, Floats], Linearized]]


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """One model of a task, trained again: data, labels and settings of the task, and what makes the network's form."""

    data: Data
    settings: Mapping[str, Any]
    kind: Kind
    parameters: Floats
    mask: NDArray[np.bool_]
    seed: int

    @classmethod
    def of(
        cls,
        network: str,
        data: Data,
        settings: Mapping[str, Any],
        classes: int,
        mask: NDArray[np.bool_],
        seed: int,
    ) -> TrainedNetwork:
        """Train it; arguments as those of `network_table`."""
        layers = {name: value for name, value in settings.items() if name not in ("recipe", "init")}
        x, y = data["train"]
        kind = KINDS[network](x, classes, layers)
        shape, start, loops, seen, _ = kind
        parameters = start(0 if settings["init"] == "shared" else seed)
        descend(loops, shape, parameters, (writable(seen(x)), y), mask, seed, settings["recipe"])
        return cls(data, settings, kind, parameters, mask, seed)

    def table(self, margin: str, output: str) -> Floats:
        """Its influence table [n, targets]."""
        *_, seen, linearized = self.kind
        split, recipe = parse_name(output)[0], self.settings["recipe"]
        around = {name: linearized(seen(self.data[name][0]), self.parameters) for name in {"train", split}}
        slopes = output_slopes(output, around[split].logits, self.data[split][1], margin)
        damping = recipe.damping(int(self.mask.sum()))
        y = self.data["train"][1]
        return influence_table(around["train"], around[split], y, self.mask, slopes, damping, seed=self.seed)

    def logits(self, split: str, classes: int) -> Floats:
        """[N, classes], bit for bit those that its task records outputs of."""
        shape, _, loops, seen, _ = self.kind
        x = self.data[split][0]
        found = np.empty((len(x), classes), np.float32)
        loops.predict(writable(seen(x)), self.parameters, shape, found)
        return found


def network_table(
    network: str,
    data: Data,
    settings: Mapping[str, Any],
    classes: int,
    margin: str,
    mask: NDArray[np.bool_],
    seed: int,
    output: str,
) -> Floats:
    """The table [n, targets] of one model.

    Args:
        network: "mlp" or "cnn".
        data: Examples and labels of each split.
        settings: The network's layers, its `recipe` and `init`.
        classes: Classes.
        margin: Which margin the output records.
        mask: The model's subset, bool [n].
        seed: Its training seed.
        output: Name of the recorded output, as test_margins.
    """
    return TrainedNetwork.of(network, data, settings, classes, mask, seed).table(margin, output)


def _mlp(x: Floats, classes: int, layers: Mapping[str, Any]) -> Kind:
    sizes = mlp.layer_sizes(x, layers["widths"], classes)

    def linearized(part: Floats, parameters: Floats) -> Linearized:
        return dense_network.linearized(part, sizes, parameters)

    return sizes, partial(mlp.initial_parameters, sizes), dense_layers, lambda part: part, linearized


def _cnn(x: Floats, classes: int, layers: Mapping[str, Any]) -> Kind:
    net = cnn.network(x.shape, **layers, classes=classes)

    def linearized(framed: Floats, parameters: Floats) -> Linearized:
        return conv_network.linearized(framed, net, parameters)

    start = partial(cnn.initial_parameters, net)
    return net, start, convolution, partial(cnn.with_frame, kernel=net.kernel), linearized


KINDS: dict[str, Callable[[Floats, int, Mapping[str, Any]], Kind]] = {"mlp": _mlp, "cnn": _cnn}
