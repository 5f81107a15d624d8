"""Compiled loops of fully connected ReLU networks with softmax cross-entropy: forward, backward, descend.

A network's parameters are one float32 vector: layer by layer the weights [inputs, outputs] in row order, then the
biases. `sizes` int64 [layers + 1] are the widths from features to classes. The activations of a minibatch are one
vector as well, layer by layer [rows, outputs]. Every matrix is contiguous, so `np.dot` hands it to BLAS as it lies,
transposed or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.system.kernel import contracting_kernel

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_CHUNK = 128
_ZERO = np.float32(0)
_ONE = np.float32(1)
_TINY = np.float32(1e-30)


@contracting_kernel
def descend(
    x: Floats,
    y: Ints,
    order: NDArray[np.int32],
    batch: int,
    sizes: Ints,
    parameters: Floats,
    rates: Floats,
    momentum: Any,
    decay: Any,
    nesterov: bool,
) -> None:
    """Train one network in place on the examples of `order` [epochs, subset], in that order, `batch` a step."""
    epochs, examples = order.shape
    batch = min(batch, examples)
    features = np.empty((batch, x.shape[1]), np.float32)
    labels = np.empty(batch, np.int64)
    activations = np.empty(batch * width(sizes), np.float32)
    deltas = np.empty(activations.size, np.float32)
    gradient = np.empty(parameters.size, np.float32)
    velocity = np.zeros(parameters.size, np.float32)
    step = 0
    for epoch in range(epochs):
        for start in range(0, examples, batch):
            rows = min(batch, examples - start)
            some = features[:rows]
            _gather(x, y, order[epoch, start : start + rows], some, labels)
            forward(some, parameters, sizes, activations)
            backward(some, labels, parameters, sizes, activations, deltas, gradient)
            update(parameters, gradient, velocity, rates[step], momentum, decay, nesterov)
            step += 1


@contracting_kernel
def predict(x: Floats, parameters: Floats, sizes: Ints, logits: Floats) -> None:
    """Write the logits [N, C] of x [N, D]."""
    activations = np.empty(_CHUNK * width(sizes), np.float32)
    for start in range(0, x.shape[0], _CHUNK):
        z = forward(x[start : start + _CHUNK], parameters, sizes, activations)
        # Element by element: assigning one matrix slice to another takes seconds to compile.
        for r in range(z.shape[0]):
            for j in range(z.shape[1]):
                logits[start + r, j] = z[r, j]


@contracting_kernel
def width(sizes: Ints) -> Any:
    """Activations of one example, all layers together."""
    total = 0
    for layer in range(1, sizes.size):
        total += sizes[layer]
    return total


@contracting_kernel
def parameter_count(sizes: Ints) -> Any:
    """Weights and biases of all layers."""
    total = 0
    for layer in range(sizes.size - 1):
        total += (sizes[layer] + 1) * sizes[layer + 1]
    return total


@contracting_kernel
def matrix(vector: Floats, start: int, rows: int, columns: int) -> Floats:
    return vector[start : start + rows * columns].reshape(rows, columns)


@contracting_kernel
def _gather(x: Floats, y: Ints, chosen: NDArray[np.int32], features: Floats, labels: Ints) -> None:
    for r in range(chosen.size):
        labels[r] = y[chosen[r]]
        source, target = x[chosen[r]], features[r]
        for j in range(source.size):
            target[j] = source[j]


@contracting_kernel
def forward(a: Floats, parameters: Floats, sizes: Ints, activations: Floats) -> Floats:
    """Fill `activations`; returns their last part, the logits [rows, C]."""
    rows, layers = a.shape[0], sizes.size - 1
    at = filled = 0
    for layer in range(layers):
        inputs, outputs = sizes[layer], sizes[layer + 1]
        z = matrix(activations, filled, rows, outputs)
        np.dot(a, matrix(parameters, at, inputs, outputs), z)
        at += (inputs + 1) * outputs
        _add_bias(z, parameters[at - outputs : at], layer < layers - 1)
        filled += rows * outputs
        a = z
    return a


@contracting_kernel
def _add_bias(z: Floats, bias: Floats, relu: bool) -> None:
    for r in range(z.shape[0]):
        row = z[r]
        for j in range(row.size):
            v = row[j] + bias[j]
            # `v < 0`, not `v > 0`, so that NaN stays NaN: a diverged model must not look like a finite one.
            row[j] = _ZERO if relu and v < _ZERO else v


@contracting_kernel
def backward(
    x: Floats, labels: Ints, parameters: Floats, sizes: Ints, activations: Floats, deltas: Floats, gradient: Floats
) -> None:
    """Write the gradient of the mean loss; `deltas` are the gradients of the activations, laid out like them."""
    rows, outputs = x.shape[0], sizes[-1]
    at, filled = parameters.size, rows * (width(sizes) - outputs)
    delta = matrix(deltas, filled, rows, outputs)
    _loss_gradient(matrix(activations, filled, rows, outputs), labels, delta)
    for layer in range(sizes.size - 2, -1, -1):
        inputs, outputs = sizes[layer], sizes[layer + 1]
        column_sums(delta, gradient[at - outputs : at])
        at -= (inputs + 1) * outputs
        slope = matrix(gradient, at, inputs, outputs)
        if layer == 0:
            np.dot(x.T, delta, slope)
        else:
            filled -= rows * inputs
            a = matrix(activations, filled, rows, inputs)
            below = matrix(deltas, filled, rows, inputs)
            np.dot(a.T, delta, slope)
            np.dot(delta, matrix(parameters, at, inputs, outputs).T, below)
            rectify(below, a)
            delta = below


@contracting_kernel
def rectify(delta: Floats, activation: Floats) -> None:
    for r in range(delta.shape[0]):
        row, a = delta[r], activation[r]
        for j in range(row.size):
            row[j] = _ZERO if a[j] <= _ZERO else row[j]


@contracting_kernel
def column_sums(delta: Floats, sums: Floats) -> None:
    for j in range(sums.size):
        sums[j] = _ZERO
    for r in range(delta.shape[0]):
        row = delta[r]
        for j in range(row.size):
            sums[j] += row[j]


@contracting_kernel
def _loss_gradient(logits: Floats, labels: Ints, delta: Floats) -> None:
    """delta = (softmax(logits) - one-hot labels) / rows."""
    rows, classes = logits.shape
    for r in range(rows):
        z, row = logits[r], delta[r]
        largest = z[0]
        for j in range(1, classes):
            largest = max(largest, z[j])
        for j in range(classes):
            row[j] = z[j] - largest
    _exp(delta.reshape(rows * classes))
    share = _ONE / np.float32(rows)
    for r in range(rows):
        row = delta[r]
        total = _ZERO
        for j in range(classes):
            total += row[j]
        scale = share / total
        for j in range(classes):
            row[j] *= scale
        row[labels[r]] -= share


@contracting_kernel
def _exp(v: Floats) -> None:
    """exp in place for numbers <= 0, within 2 units in the last place (the polynomial of Cephes' expf).

    The C library's is not vectorized and differs between machines. Below -64 the result stays at exp(-64): such a
    probability moves no weight, and denormal numbers would slow every product they enter.
    """
    for i in range(v.size):
        x = np.float32(-64) if v[i] < np.float32(-64) else v[i]
        k = x * np.float32(1.44269504) + np.float32(12582912) - np.float32(12582912)
        r = (x - k * np.float32(0.693359375)) - k * np.float32(-2.12194440e-4)
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        p = p * r * r + r + _ONE
        v[i] = p * np.int32((np.int32(k) + 127) << 23).view(np.float32)


@contracting_kernel
def update(
    parameters: Floats, gradient: Floats, velocity: Floats, rate: Any, momentum: Any, decay: Any, nesterov: bool
) -> None:
    for p in range(parameters.size):
        g = gradient[p] + decay * parameters[p]
        v = momentum * velocity[p] + g
        # Momentum of a unit that died would decay into denormal numbers and stay there, at a tenth of the speed.
        velocity[p] = _ZERO if abs(v) < _TINY else v
        parameters[p] -= rate * (g + momentum * v if nesterov else v)
