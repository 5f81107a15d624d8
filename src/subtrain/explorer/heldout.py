"""What held-out models did, and what the datamodels said they would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.design import EVALUATION
from subtrain.evaluation import Evaluation
from subtrain.explorer.figures import spread
from subtrain.masks import Masks
from subtrain.quantities import Quantity
from subtrain.store.study import Study
from subtrain.uses.direction import quantity

Array = NDArray[np.floating[Any]]
PAIRS = 300_000


@dataclass(frozen=True, eq=False)
class Heldout:
    """masks of S held-out subsets; actual [S, T]: outputs, mean over the subset's runs; correct [T]: share of the
    held-out models that were right about each target, None where the output does not tell."""

    masks: Masks
    actual: Array
    correct: Array | None

    def predicted(self, dm: Datamodels, targets: NDArray[np.int64]) -> Array:
        return dm.predict(self.masks, targets.tolist())

    def pairs(self, dm: Datamodels) -> tuple[Array, Array]:
        """Predicted and actual outputs [S, targets], of evenly spaced targets where all would be too many to draw."""
        targets = spread(np.arange(dm.targets), max(1, PAIRS // len(self.masks)))
        return self.predicted(dm, targets), self.actual[:, targets]


def read_heldout(study: Study, evaluation: Evaluation) -> Heldout:
    """The finished held-out subsets that have as many runs as the evaluation counted, or all if none has."""
    rows = study.done(EVALUATION)
    _, inverse, counts = np.unique(study.design.subsets(rows), return_inverse=True, return_counts=True)
    kept = counts == evaluation.replicates
    chosen = np.flatnonzero(kept[inverse]) if kept.any() else np.arange(rows.size)
    chosen = chosen[np.argsort(inverse[chosen], kind="stable")]
    outputs = study.read(evaluation.output, rows[chosen]).reshape(chosen.size, -1)
    _, starts, runs = np.unique(inverse[chosen], return_index=True, return_counts=True)
    actual = np.add.reduceat(outputs.astype(np.float32), starts, axis=0) / runs[:, None]
    return Heldout(study.masks(rows[chosen][starts]), actual, _correct(quantity(study, evaluation.output), outputs))


def _correct(output: Quantity, values: NDArray[Any]) -> Array | None:
    threshold = output.right_above
    return None if threshold is None else np.asarray((values > threshold).mean(axis=0))
