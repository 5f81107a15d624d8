"""What held-out models did, and what the datamodels said they would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import EVALUATION
from subtrain.evaluation import Evaluation
from subtrain.evaluation_models import held_out
from subtrain.explorer.figures import spread
from subtrain.masks import Masks
from subtrain.quantities import Quantity
from subtrain.study import Study
from subtrain.uses.kit.direction import quantity

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


def read_heldout(dm: Datamodels, study: Study, evaluation: Evaluation) -> Heldout:
    """The held-out models that `evaluate` judges by, but of the subsets that had as many runs when it did, if any."""
    rows = study.done(EVALUATION)
    _, inverse, counts = np.unique(study.design.subsets(rows), return_inverse=True, return_counts=True)
    kept = (counts == evaluation.replicates)[inverse]
    found = held_out(dm, study, rows[kept] if kept.any() else rows, evaluation.output)
    actual = found.outputs.mean(axis=1).astype(np.float32)
    runs = found.outputs.reshape(found.rows.size, -1)
    masks = study.masks(found.rows[:: found.replicates])
    return Heldout(masks, actual, _correct(quantity(study, evaluation.output), runs))


def _correct(output: Quantity, values: NDArray[Any]) -> Array | None:
    threshold = output.right_above
    return None if threshold is None else np.asarray((values > threshold).mean(axis=0))
