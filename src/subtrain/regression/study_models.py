"""The finished models of a study as a regression reads them: in blocks, some of them to choose λ by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.missing_models import SELECTED, missing_models
from subtrain.designs.model_rows import FIT, OWN_VALIDATION, VALIDATION
from subtrain.errors import InputError
from subtrain.masks import Masks, join, row_bytes
from subtrain.regression.counting.model_stream import LAST
from subtrain.regression.fit_warnings import warn
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.row_noise import RowNoise
from subtrain.regression.usable_models import usable
from subtrain.studies.stored_study import StoredStudy
from subtrain.tasks.reference import REFERENCE

BLOCK = 4096
MIN_MODELS = 10
# No weighting mends it: models without some units may be missing altogether.
BIASED = (
    f"differences of means are biased on {SELECTED}, for each holds the effects of units that come with it: "
    "fit Lasso() or Ridge() instead (--estimator lasso or ridge), which tell them apart"
)


@dataclass(frozen=True, eq=False)
class Models:
    """rows: int64, the numbers of the models to read, ascending; none of them is held out.

    blank: targets whose outputs are not finite, read as 0; notes: what to say of the models, in sentences; validation:
    models that the design has for choosing lambda, None where it has none.
    """

    study: StoredStudy
    output: str
    rows: NDArray[np.int64]
    blank: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    validation: NDArray[np.int64] | None = None

    @property
    def targets(self) -> int:
        return int(np.prod(self.study.outputs[self.output].shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the outputs."""
        return np.dtype(self.study.outputs[self.output].dtype)

    def read(self, rows: NDArray[np.int64]) -> tuple[Masks, NDArray[Any]]:
        """Masks and outputs [k, T] of these models."""
        return self.study.masks(rows), self.outputs_of(rows)

    def outputs_of(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Outputs [k, T] of these models as they were recorded."""
        outputs = self.study.read(self.output, rows).reshape(rows.size, -1)
        if self.blank:
            outputs[:, self.blank] = 0
        return outputs

    @property
    def validation_joins(self) -> bool:
        """Whether models that chose lambda are fitted on in the end, as others are."""
        return True

    @property
    def fitted_rows(self) -> NDArray[np.int64]:
        """All rows that are fitted on in the end."""
        own = self.validation if self.validation_joins else None
        return self.rows if own is None else np.union1d(self.rows, own)

    def models_in(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of the models that these rows are made of."""
        return rows

    def row_noise(self, rows: NDArray[np.int64]) -> RowNoise:
        """What the design says of how well these rows tell weights."""
        return RowNoise()

    def marks(self, rows: NDArray[np.int64]) -> list[str]:
        """What was done to the outputs of these rows, as digests; counts are of rows with the same marks."""
        return []

    def said(self, rows: NDArray[np.int64]) -> str:
        """What these rows are, in words, where a row is not one model; "" otherwise."""
        return ""

    def about(self) -> dict[str, Any]:
        """What was made of the design's pairs and shared seeds."""
        return {}

    def blocks(self, rows: NDArray[np.int64], unread: int = 0) -> Iterator[tuple[Masks, NDArray[Any]]]:
        """The same, a block at a time; of the first `unread` models all but the last few are zeros, not read."""
        bits = np.zeros(row_bytes(self.study.n), np.uint8)
        for start in range(0, rows.size, BLOCK):
            some = rows[start : start + BLOCK]
            if start + BLOCK <= unread - LAST:
                shape = some.size, self.targets
                yield Masks(np.broadcast_to(bits, (some.size, bits.size)), self.study.n), np.broadcast_to(0.0, shape)
            else:
                yield self.read(some)

    def in_memory(self, rows: NDArray[np.int64]) -> ValidationModels:
        """These models, whatever they are for, held in memory: `masks` packed, `outputs` [m, T] as they come."""
        masks, outputs = zip(*self.blocks(rows), strict=True)
        return ValidationModels(join(masks), np.concatenate(outputs))

    def by_alpha(self, rows: NDArray[np.int64]) -> dict[float, NDArray[np.int64]]:
        """These models by the alpha of their mask, which only a study's own design knows."""
        alphas = self.study.design.alphas(rows)
        return {float(alpha): rows[alphas == alpha] for alpha in np.unique(alphas)}

    def parts(self, validation: float | int | None, seed: int) -> dict[str, NDArray[np.int64]]:
        """The models by what they are for, under names that no other split gives.

        One part to fit on without `validation`; with a share, a second that chooses λ; with an integer, that many
        folds. Validation models that the design has are the second part in any case. Where a model goes depends on its
        subset, `validation` and `seed` alone: a study that grows never moves one.
        """
        if not validation:
            return {"all": self.rows}
        if self.validation is not None:
            return {"fit-all": self.rows, OWN_VALIDATION: self.validation}
        folds = int(validation) if isinstance(validation, (int, np.integer)) else 0
        if not (folds > 1 or 0.0 < validation < 1.0):
            raise InputError(f"validation must be a share below 1 or at least 2 folds, got {validation}")
        subsets = self.study.design.subsets(self.rows)
        drawn = np.random.Philox(key=[seed, 0]).random_raw(int(subsets.max()) + 1)[subsets]
        mark = f"{validation:g}-{seed}"
        if folds:
            parts = {f"fold-{k}-of-{mark}": self.rows[drawn % np.uint64(folds) == k] for k in range(folds)}
        else:
            choosing = drawn < np.uint64(int(validation * 2**53)) << np.uint64(11)
            parts = {f"fit-{mark}": self.rows[~choosing], f"validation-{mark}": self.rows[choosing]}
        least = min(parts, key=lambda name: parts[name].size)
        if parts[least].size < 2:
            raise InputError(
                f"validation = {validation} of {self.rows.size} models leaves {parts[least].size} for {least}; "
                "every part needs at least 2"
            )
        return parts


def finished_models(study: StoredStudy, output: str | None, drop_nonfinite: bool = False) -> Models:
    """The finished models of an output (by default the study's first), held-out ones left out.

    Raises InputError when there is no such output, when fewer than ten models are finished, or when an output is inf
    or NaN, which only imported ones can be; drop_nonfinite leaves those models out instead (see `usable`).
    """
    name = output or next(iter(study.outputs))
    if name not in study.outputs:
        raise InputError(f"{study.location} records no output {name!r}; it has {', '.join(study.outputs)}")
    if study.source is not None and study.source.name == REFERENCE:
        raise InputError(
            f"the masks of the models in {study.location} are among what their module returned: "
            f"subtrain import-reference {study.path.parent} NEW makes a study of those that have landed"
        )
    own = study.done(VALIDATION)
    models = Models(study, name, study.done(FIT), validation=own if own.size >= MIN_MODELS else None)
    if study.imported:
        models = usable(models, drop_nonfinite)
    missing = missing_models(study, FIT)
    models = replace(models, notes=(*((missing,) if missing else ()), *models.notes))
    if models.rows.size < MIN_MODELS:
        raise InputError(f"{study.location} has {models.rows.size} models to fit on; at least {MIN_MODELS} are needed")
    return models


def biased(models: Models) -> tuple[str, ...]:
    """What to say of differences of means over these models, where some are missing for what is in their subsets."""
    return (BIASED,) if any(SELECTED in note for note in models.notes) else ()


def models_to_average(study: StoredStudy, output: str | None) -> Models:
    """`finished_models` for differences of means, with a FitWarning of each thing there is to say of them."""
    models = finished_models(study, output)
    for note in (*models.notes, *biased(models)):
        warn(note)
    return models
