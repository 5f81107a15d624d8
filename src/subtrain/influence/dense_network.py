"""A fully connected ReLU network around its trained parameters."""

from __future__ import annotations

import numpy as np

from subtrain.influence.jacobians import DenseLayer, Floats, Ints, Linearized


def linearized(x: Floats, sizes: Ints, parameters: Floats) -> Linearized:
    """Of examples x [N, D]; sizes and parameters as `trainers.kit.dense_layers` lays them out."""
    logits, layers, _ = dense_layers(x, sizes, parameters)
    return Linearized(logits.astype(np.float64), layers)


def dense_layers(x: Floats, sizes: Ints, parameters: Floats) -> tuple[Floats, tuple[DenseLayer, ...], Floats]:
    """Logits [N, C], the layers, and the slopes of the logits in x, [N or 1, C, D].

    Backwards: the slope of a logit in a layer's outputs is that in the inputs of the layer above, where the rectifier
    between them is open.
    """
    weights, inputs = layer_weights(sizes, parameters), [x]
    for weight, bias in weights[:-1]:
        inputs.append(np.maximum(inputs[-1] @ weight + bias, 0))
    logits = inputs[-1] @ weights[-1][0] + weights[-1][1]
    layers: list[DenseLayer] = []
    slopes: Floats | None = None
    for inside, (weight, _) in zip(inputs[::-1], weights[::-1], strict=True):
        layers.insert(0, DenseLayer(with_one(inside), slopes))
        below = np.ascontiguousarray(weight.T)[None] if slopes is None else slopes @ weight.T
        slopes = below * (inside > 0)[:, None, :] if inside is not x else below
    assert slopes is not None
    return logits, tuple(layers), slopes


def layer_weights(sizes: Ints, parameters: Floats) -> list[tuple[Floats, Floats]]:
    """Weights [inputs, outputs] and biases [outputs] of each layer."""
    found, at = [], 0
    for inputs, outputs in zip(sizes[:-1].tolist(), sizes[1:].tolist(), strict=True):
        end = at + inputs * outputs
        found.append((parameters[at:end].reshape(inputs, outputs), parameters[end : end + outputs]))
        at = end + outputs
    return found


def with_one(inputs: Floats) -> Floats:
    """[…, d + 1], with a one for the bias."""
    return np.concatenate([inputs, np.ones((*inputs.shape[:-1], 1), np.float32)], axis=-1)
