"""Functions of version 0.1 that became methods, as they were called then: for one release, by way of `_old_names`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from subtrain.datamodels import Datamodels
from subtrain.study import Study
from subtrain.uses import training_sets
from subtrain.uses.compare import Comparison
from subtrain.uses.embedding import Embedding
from subtrain.uses.kit.removal_effects import RemovalEffects
from subtrain.uses.kit.removals import Removal
from subtrain.uses.kit.removals import removals as find_removals
from subtrain.uses.select import Selection
from subtrain.uses.training_sets import TrainingSets


def compare_without(study: Study, units: Sequence[int], runs: int = 5, *given: Any, **options: Any) -> TrainingSets:
    names = ("output", "groups", "randoms", "seed")
    return training_sets.compare_without(study, units, runs, **dict(zip(names, given, strict=False)), **options)


def removals(
    dm: Datamodels,
    targets: Iterable[int],
    sizes: Sequence[int] | None = None,
    directions: Sequence[str] | None = None,
    random_sets: int = 1,
    seed: int = 0,
    study: Study | None = None,
) -> list[Removal]:
    return find_removals(dm, study, targets, sizes, directions, random_sets, seed)


def remove_tails(
    found: Embedding,
    dm: Datamodels,
    study: Study,
    component: int = 0,
    units: int = 20,
    runs: int = 5,
    targets: int = 20,
    draws: int = 5,
    seed: int = 0,
    **options: Any,
) -> RemovalEffects:
    found.about(dm, study, found.weak)
    return found.verify(runs, component, units, targets, draws, seed, **options)


def verify_difference(
    found: Comparison,
    study_a: Study,
    study_b: Study,
    component: int = 0,
    side: str = "a",
    units: int = 20,
    runs: int = 5,
    targets: int = 20,
    draws: int = 5,
    seed: int = 0,
    **options: Any,
) -> RemovalEffects:
    found.about(found.dm, study_a, found.weak)
    object.__setattr__(found, "other_study", study_b)
    return found.verify(runs, component, side, units, targets, draws, seed, **options)


def verify_selection(
    study: Study, chosen: Selection, runs: int = 5, randoms: int = 5, seed: int = 0, **options: Any
) -> TrainingSets:
    chosen.about(chosen.dm, study, chosen.weak)
    return chosen.verify(runs, randoms, seed, **options)
