"""The order of minibatches where nobody says one: by unit, and by position in a study that was begun so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeVar

from subtrain.tasks.base import BatchTask, FunctionTask, with_changes
from subtrain.trainers.kit.sgd import BY_POSITION, BY_UNIT, Sgd
from subtrain.trainers.torch.recipe import TorchRecipe

T = TypeVar("T", BatchTask, FunctionTask)
Recipe = TypeVar("Recipe", Sgd, TorchRecipe)


def by_default(make: Callable[[Recipe], T], recipe: Recipe) -> T:
    """The task make(recipe), whose recipe goes by unit unless it says an order itself.

    make gets a recipe whose order is "unit", or None for the order by position, as recipes of version 0.1.0 were: so
    tasks by position have the fingerprints that they had.
    """
    before = replace(recipe, order=None)
    if recipe.order == BY_POSITION:
        return make(before)
    task = make(replace(recipe, order=BY_UNIT))
    return task if recipe.order == BY_UNIT else with_changes(task, earlier=partial(make, before))


def settings_of(recipe: Sgd) -> dict[str, Any]:
    """The recipe as JSON for a fingerprint; without an order if that is by position."""
    settings = asdict(recipe)
    if recipe.order is None:
        del settings["order"]
    return settings
