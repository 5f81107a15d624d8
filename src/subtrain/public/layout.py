"""Checks of a folder in the published layout: do its margins follow from its logits?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.studies.imports.consistency import compare_margins
from subtrain.study import Study


def check_margins(study: Study, labels: ArrayLike, split: str = "test") -> str:
    """Which margin `{split}_margins` holds, from `{split}_logits`: "max" or "logsumexp".

    labels: int [N], the correct class of each target. float16 outputs must agree within their rounding. Of large logits
    64 models are compared, spread evenly. Raises CorruptError, naming the first model and target that do not agree,
    when neither definition fits.
    """
    names = (f"{split}_margins", f"{split}_logits")
    for name in names:
        if name not in study.outputs:
            raise InputError(f"{study.location} has no {name}: margins can be compared with logits only where both are")
    given, logits = (_Rows(study, name) for name in names)
    return compare_margins(given, logits, labels, study.done(), names, study.location)[0]


@dataclass(frozen=True)
class _Rows:
    """An output of a study, its rows read when they are asked for."""

    study: Study
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.study.models, *self.study.outputs[self.name].shape)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self.study.read(self.name, rows)
