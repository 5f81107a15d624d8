"""What is known of each pair of a unit and a target before any model is trained: their classes, how alike they look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.quantities import split_of
from subtrain.studies.stored_study import StoredStudy

# Similarities are cut into so many levels, finer towards the most alike.
LEVELS = 15
CLASSES = 50
# Principal components of the units' inputs in which weights may be linear within a class; traits in all.
COMPONENTS, TRAITS = 12, 200


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is known of pairs of n units and T targets; `Pairs.of` makes it of labels and inputs."""

    kinds: tuple[NDArray[np.int64], ...] = ()
    """Tables of integers [n, T]: pairs that have the same number are of one kind."""
    names: tuple[str, ...] = ()
    """What each table goes by, in words."""
    traits: NDArray[np.float64] | None = None
    """Of the units, float64 [n, r]: each target's weights may be linear in them."""
    groups: NDArray[np.int64] | None = None
    """int64 [r], numbered from 0: traits whose coefficients are of one size."""

    def __repr__(self) -> str:
        return f"Pairs({', '.join(self.names) or 'nothing known'})"

    @classmethod
    def of(
        cls,
        labels: tuple[ArrayLike, ArrayLike] | None = None,
        inputs: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Self:
        """Pairs by the classes of unit and target, and by how alike their inputs are.

        Args:
            labels: Classes of the units [n] and of the targets [T], numbers or words. Default None, not known.
            inputs: Numbers of the units [n, …] and of the targets [T, …]: pixels, features or embeddings. How alike
                two of them are is the cosine of what is left when the units' mean is taken away. Default None.

        Returns:
            The pairs, for `SharedPrior(pairs=…)`.

        Raises:
            InputError: for shapes that do not match.

        Example:
            >>> Pairs.of(labels=(["cat", "dog", "dog"], ["dog"]))
            Pairs(class of unit x class of target)
        """
        kinds, names = [], []
        same: NDArray[np.int64] | None = None
        classes = None
        if labels is not None:
            of_units, of_targets = (np.asarray(part).astype(str) for part in labels)
            found, codes = np.unique(np.concatenate([of_units, of_targets]), return_inverse=True)
            units, targets = codes[: of_units.size], codes[of_units.size :]
            same = (units[:, None] == targets).astype(np.int64)
            few = found.size <= CLASSES
            classes = units if few else None
            kinds.append(units[:, None] * found.size + targets if few else same)
            names.append("class of unit x class of target" if few else "same class")
        if inputs is not None:
            x, z = (np.asarray(part, np.float64).reshape(len(part), -1) for part in inputs)  # type: ignore[arg-type]
            if x.shape[1] != z.shape[1]:
                raise InputError(f"inputs of units have {x.shape[1]} numbers each, those of targets {z.shape[1]}")
            kinds.append(levels(_cosine(x - x.mean(axis=0), z - x.mean(axis=0))))
            names.append("similarity of inputs")
            if same is not None and same.shape == kinds[-1].shape:
                kinds[-1] = kinds[-1] + LEVELS * same
                names[-1] += " x same class"
        if len({table.shape for table in kinds}) > 1:
            raise InputError(
                f"labels are of {list(kinds[0].shape)} units and targets, inputs of {list(kinds[1].shape)}"
            )
        n = len(kinds[0]) if kinds else 0
        traits, groups = _traits(n, classes, None if inputs is None else x)
        return cls(tuple(kinds), tuple(names), traits, groups)

    def check(self, n: int, targets: int) -> None:
        """InputError unless they are of n units and these many targets."""
        if self.traits is not None and len(self.traits) != n:
            raise InputError(f"traits are of {len(self.traits)} units, the masks over {n}")
        for table in self.kinds:
            if table.shape != (n, targets):
                raise InputError(f"pairs are of shape {list(table.shape)}, not [{n}, {targets}]")


def pairs_of_study(study: StoredStudy, output: str) -> tuple[Pairs, tuple[str, ...]]:
    """What the task's view shows of units and targets, labels and images, and a sentence where it shows nothing.

    A study that stores no view (an imported one, or one of an older version) is fitted without it.
    """
    split, view = split_of(output), study.view
    if view is None:
        return Pairs(), (f"labels and images of units and targets are not used: {study.why_no_view}",)
    if study.groups is not None:
        return Pairs(), ()
    targets = int(np.prod(study.outputs[output].shape, dtype=np.int64))
    labels, images = (units_and_targets(part, split, study.n, targets) for part in (view.labels, view.images))
    return Pairs.of(labels, images), ()


def levels(similarity: NDArray[np.float64]) -> NDArray[np.int64]:
    """LEVELS levels of a table by rank, so that the last, of the most alike, holds the fewest pairs."""
    rank = np.empty(similarity.size)
    rank[similarity.ravel().argsort(kind="stable")] = np.arange(similarity.size) / similarity.size
    level = (LEVELS * (1.0 - np.sqrt(1.0 - rank**2))).astype(np.int64)
    return np.minimum(level, LEVELS - 1).reshape(similarity.shape)


def _traits(
    n: int, classes: NDArray[np.int64] | None, x: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.int64] | None]:
    """Principal components of the inputs and a constant, apart for each class; a group for each component."""
    if classes is None and x is None:
        return None, None
    _, codes = np.unique(np.zeros(n) if classes is None else classes, return_inverse=True)
    found = int(codes.max()) + 1
    parts = [np.ones((n, 1))]
    if x is not None:
        left, _, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
        parts.append(left[:, : min(COMPONENTS, max(0, TRAITS // found - 1))] * np.sqrt(n))
    values = np.concatenate(parts, axis=1)
    traits = np.zeros((n, found, values.shape[1]))
    traits[np.arange(n), codes] = values
    return traits.reshape(n, -1), np.tile(np.arange(values.shape[1]), found)


def _cosine(x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    x, z = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (x, z))
    return np.asarray(x @ z.T)


def units_and_targets(part: Mapping[str, Any], split: str, n: int, targets: int) -> tuple[Any, Any] | None:
    """What part of a view, one value or row of columns each, has of units and of targets of `split`, if as many."""
    if "train" not in part or split not in part:
        return None
    units, of_targets = part["train"], part[split]
    return (units, of_targets) if (_count(units), _count(of_targets)) == (n, targets) else None


def _count(shown: Any) -> int:
    return len(next(iter(shown.values()), ())) if isinstance(shown, Mapping) else len(shown)
