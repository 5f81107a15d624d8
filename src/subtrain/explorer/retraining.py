"""Retraining with and without some units: the order, and the process that does it, so that it can be stopped."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.workers import task_message
from subtrain.errors import InputError
from subtrain.masks import Masks, pack, row_bytes
from subtrain.study import Study
from subtrain.uses.counterfactual import ALPHA


@dataclass(frozen=True)
class RetrainOrder:
    """What to retrain: the study, without which units, how often, and the target and output that are asked about.

    base: what the units are removed from, the whole training set ("full") or random subsets of the design's size that
    hold them all ("alpha"), where datamodels were fitted; predicted: output of "full", with them, and "removed".
    """

    study: Study = field(repr=False)
    output: str
    target: int
    removed: tuple[int, ...]
    runs: int
    base: str
    predicted: Mapping[str, float]

    @property
    def label(self) -> str:
        """Of the folder of the retrained models, which serve every target."""
        return f"without-{_digest([self.base, self.removed, self.runs if self.base == ALPHA else 0])}"

    @property
    def id(self) -> str:
        return _digest([self.output, self.target, self.removed, self.runs, self.base])

    def masks(self) -> NDArray[np.bool_]:
        """bool [2 runs, n], or [2, n] where each is trained `runs` times: with and without the units, in turn."""
        subsets = self.runs if self.base == ALPHA else 1
        random = np.random.default_rng(int(_digest(self.removed), 16))
        size = round(float(np.mean(self.study.design.alpha)) * self.study.n)
        masks = np.ones((2 * subsets, self.study.n), bool)
        for k in range(subsets if self.base == ALPHA else 0):
            masks[2 * k : 2 * k + 2] = False
            masks[2 * k : 2 * k + 2, random.permutation(self.study.n)[:size]] = True
        masks[0::2, self.removed], masks[1::2, self.removed] = True, False
        return masks

    @property
    def folder(self) -> str:
        """Address of the study of the retrained models."""
        return f"{self.study.store.address.rstrip('/')}/retrained/{self.label}"

    def to_json(self) -> dict[str, Any]:
        """What `main` reads."""
        return {
            "study": self.study.store.address,
            "greeting": task_message.pack_of(self.study),
            "masks": base64.b64encode(pack(self.masks()).data.tobytes()).decode(),
            "runs": 1 if self.base == ALPHA else self.runs,
            "name": self.label,
            "output": self.output,
            "target": self.target,
        }


def why_not_retrained(study: Study) -> str:
    """Why this study's models cannot be trained here, in one sentence; "" if they can."""
    if study.imported:
        return "This study was imported: its training is not at hand."
    if study.task_at_hand is None and study.source is None:
        return "This study's task was made in Python and does not know its import path."
    try:
        task_message.making_of(study)  # only whether it may be made: making it runs its author's code
    except InputError:
        return (
            "This study was not created by the one who serves this page, so its training code is not run: start the "
            "explorer with --trust if you trust it, or with --task."
        )
    return ""


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]


def main() -> None:
    """Do the order on standard input; outputs of the models with the units and without them go to standard output as
    JSON. On failure the last line on standard error says why."""
    from subtrain.study import Study
    from subtrain.uses.retrain import retrain

    order = json.load(sys.stdin)
    try:
        study = task_message.open_study(order["study"], order["greeting"], Study)
        data = np.frombuffer(base64.b64decode(order["masks"]), np.uint8)
        masks = Masks(data.reshape(-1, row_bytes(study.n)).copy(), study.n)
        found = retrain(study, masks, order["runs"], name=order["name"], progress=False)
        values = found.outputs(order["output"], [order["target"]])[:, :, 0].astype(float)
    except Exception as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        sys.exit(1)
    print(json.dumps({"full": values[0::2].ravel().tolist(), "removed": values[1::2].ravel().tolist()}))


if __name__ == "__main__":
    main()
