"""Group debiasing: leave out the units that hurt the group of targets on which models do worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.quantities import Quantity
from subtrain.regression.study_models import finished_models
from subtrain.study import Study
from subtrain.uses.kit.mean_differences import right
from subtrain.uses.kit.question import question
from subtrain.uses.select import Selection, aim_of, check_fit, selection, size_kept


@question
def debias_group(
    dm: Datamodels,
    study: Study,
    groups: Sequence[Any],
    drop: int,
    group: Any = None,
    others: float = 0.5,
    seed: int = 0,
    better: str | None = None,
) -> Selection:
    """Drop the units that harm the worst group of targets most; `verify` retrains without them and shows every group.

    Weights are averaged over the group's targets. After D3M (Jain et al. 2024), which weighs the groups by a softmax of
    their losses; here the worst has all the weight.

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on.
        groups: [T], the group of every target, of any kind that can be told apart (labels, sources).
        drop: How many units to leave out.
        group: The group to help; by default the one on which the study's models do worst.
        others: Share of the group's targets, from 0 to below 1, that the units are not chosen for.
        seed: Draws these targets.
        better: As for `select`.

    Returns:
        Selection: which units are kept, and the score that ranked them.

    Raises:
        InputError: For fewer than two groups, an unknown group, and where nothing tells which way is better.

    Example:
        >>> found = st.debias_group(dm, study, groups=list("aaaabbbb"), drop=5, group="b")
        >>> list(found.groups)
        ['b, chosen for', 'b, others', 'other groups']
    """
    check_fit(dm, study)
    aim = aim_of(dm, study, better)
    of_target = np.asarray([str(name) for name in groups])
    if of_target.shape != (dm.targets,) or np.unique(of_target).size < 2:
        raise InputError(f"groups must name the group of each of {dm.targets} targets, at least two different ones")
    if group is not None and str(group) not in of_target:
        raise InputError(f"no target is of group {group!r}; there are {', '.join(np.unique(of_target))}")
    helped = str(group) if group is not None else worst_group(dm, study, of_target, aim)
    members = np.random.default_rng(seed).permutation(np.flatnonzero(of_target == helped))
    rest = members[: min(members.size - 1, int(others * members.size))]
    chosen = np.setdiff1d(members, rest)
    named = {f"{helped}, chosen for": chosen}
    if rest.size:
        named[f"{helped}, others"] = np.sort(rest)
    named["other groups"] = np.flatnonzero(of_target != helped)
    return selection(dm, study, aim, size_kept(dm.n, None, drop), named)


def worst_group(dm: Datamodels, study: Study, of_target: NDArray[Any], aim: Quantity) -> str:
    """The group of targets on which the study's models, held-out ones aside, do worst on average."""
    models = finished_models(study, dm.meta["output"])
    read = right(aim)
    total = sum(read(outputs).sum(axis=0, dtype=np.float64) for _, outputs in models.blocks(models.rows))
    mean = aim.sign * np.asarray(total)
    return str(min(np.unique(of_target), key=lambda name: float(mean[of_target == name].mean())))
