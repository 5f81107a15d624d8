"""Gradients of weighted sums of logits in a network's parameters, layer by layer, as products where they are some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
# Rows whose gradients are written out at a time.
ROWS = 512


class LayerRows(Protocol):
    """Gradients G_r [d, k] of R weighted sums of logits in one layer's parameters, d inputs by k outputs."""

    def gram(self, other: LayerRows) -> Floats:
        """Inner products [R, R'] of these rows with those of another set of the same layer."""

    def sides(self) -> tuple[Floats, Floats]:
        """Σ G_r G_rᵀ [d, d] and Σ G_rᵀ G_r [k, k]."""

    def turned(self, inputs: Floats, outputs: Floats, at: tuple[Ints, Ints]) -> Floats:
        """The entries at these places of inputsᵀ G_r outputs, [R, places]."""


class Layer(Protocol):
    """One layer of a network around its parameters, on N examples."""

    def along(self, owner: Ints, weights: Floats) -> LayerRows:
        """Gradients of the logits of the examples `owner` [R], summed with these weights [R, C]."""


@dataclass(frozen=True, eq=False)
class OuterRows:
    """Rows inputs[owner[r]] ⊗ outputs[r], as of dense layers. inputs: [N, d]; owner: [R]; outputs: [R, k]."""

    inputs: Floats
    owner: Ints
    outputs: Floats

    def gram(self, other: LayerRows) -> Floats:
        assert isinstance(other, OuterRows)
        found: Floats = self.outputs @ other.outputs.T
        found *= (self.inputs @ other.inputs.T).take(self.owner, axis=0).take(other.owner, axis=1)
        return found

    def sides(self) -> tuple[Floats, Floats]:
        of_outputs = np.einsum("rk,rk->r", self.outputs, self.outputs)
        of_inputs = np.einsum("nd,nd->n", self.inputs, self.inputs)
        share = np.bincount(self.owner, of_outputs, len(self.inputs)).astype(np.float32)
        scaled = self.outputs * np.sqrt(of_inputs[self.owner])[:, None]
        found = np.asarray((self.inputs * share[:, None]).T @ self.inputs, np.float32)
        return found, scaled.T @ scaled

    def turned(self, inputs: Floats, outputs: Floats, at: tuple[Ints, Ints]) -> Floats:
        found: Floats = (self.inputs @ inputs).take(at[0], axis=1)[self.owner]
        found *= (self.outputs @ outputs).take(at[1], axis=1)
        return found


@dataclass(frozen=True, eq=False)
class MatrixRows:
    """Rows written out, [R, d, k], as of convolutions."""

    gradients: Floats

    def gram(self, other: LayerRows) -> Floats:
        assert isinstance(other, MatrixRows)
        mine, their = (part.gradients.reshape(len(part.gradients), -1) for part in (self, other))
        return np.asarray(mine @ their.T)

    def sides(self) -> tuple[Floats, Floats]:
        rows, d, k = self.gradients.shape
        by_output = self.gradients.reshape(rows * d, k)
        by_input = np.ascontiguousarray(self.gradients.transpose(1, 0, 2)).reshape(d, rows * k)
        return by_input @ by_input.T, by_output.T @ by_output

    def turned(self, inputs: Floats, outputs: Floats, at: tuple[Ints, Ints]) -> Floats:
        return np.concatenate(
            [
                (inputs.T @ (self.gradients[start : start + ROWS] @ outputs))[:, at[0], at[1]]
                for start in range(0, len(self.gradients), ROWS)
            ]
        )


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """inputs: [N, d], of each example, with a one for the bias; slopes: [N, C, k], of the logits in the layer's
    outputs, [1, C, k] where they are all alike, or None where the outputs are the logits."""

    inputs: Floats
    slopes: Floats | None

    def along(self, owner: Ints, weights: Floats) -> OuterRows:
        if self.slopes is None:
            return OuterRows(self.inputs, owner, weights)
        if len(self.slopes) == 1:
            return OuterRows(self.inputs, owner, weights @ self.slopes[0])
        return OuterRows(self.inputs, owner, np.matmul(weights[:, None, :], self.slopes[owner])[:, 0])


@dataclass(frozen=True, eq=False)
class ConvolutionLayer:
    """A convolution whose outputs are pooled.

    windows: [N, places, d], what the kernel sees at each place, with a one for the bias; outputs: k, of the kernel;
    slopes: [N, C, pooled k], of the logits in the outputs that won a pool; winners: [N, pooled k], their numbers among
    the places x k outputs.
    """

    windows: Floats
    slopes: Floats
    winners: Ints
    outputs: int

    def along(self, owner: Ints, weights: Floats) -> MatrixRows:
        places, d = self.windows.shape[1:]
        k = self.outputs
        found = np.empty((len(owner), d, k), np.float32)
        for start in range(0, len(owner), ROWS):
            some = owner[start : start + ROWS]
            won = np.matmul(weights[start : start + ROWS, None, :], self.slopes[some])[:, 0]
            slopes = np.zeros((len(some), places * k), np.float32)
            np.put_along_axis(slopes, self.winners[some], won, axis=1)
            windows = self.windows[some].transpose(0, 2, 1)
            np.matmul(windows, slopes.reshape(-1, places, k), out=found[start : start + ROWS])
        return MatrixRows(found)


@dataclass(frozen=True, eq=False)
class Linearized:
    """A trained network around its parameters: logits [N, C] of N examples, and its layers there."""

    logits: NDArray[np.float64]
    layers: tuple[Layer, ...]

    def along(self, owner: Ints, weights: NDArray[np.float64]) -> tuple[LayerRows, ...]:
        """Gradients of weighted sums of logits, as `Layer.along`, layer by layer."""
        narrow = weights.astype(np.float32)
        return tuple(layer.along(owner, narrow) for layer in self.layers)
