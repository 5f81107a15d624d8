"""Which of a design's subsets may be hard to train on, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.drawn import Design
from subtrain.tasks.base import Task

# Subsets that are looked at, and bits of masks at most.
LOOKED_AT = 512
_BITS = 50_000_000
# Subsets that are tried beside the hard ones.
TRIED = 30
_WAYS = 'keep every class present (create --stratified, Design(kind="stratified")), raise alpha, or leave rare ones out'


@dataclass(frozen=True)
class Hard:
    """What is hard about some of the first `looked` subsets: their rows by a sentence on each; notes for everyone."""

    looked: int
    rows: dict[int, str]
    notes: tuple[str, ...]

    def order(self, models: int) -> list[int]:
        """Rows to try: one of each hard kind, then the first of the others."""
        kinds: dict[str, int] = {}
        for row, why in self.rows.items():
            kinds.setdefault(why, row)
        firsts = list(kinds.values())
        return firsts + [row for row in range(min(TRIED, models)) if row not in firsts]


def hard_subsets(task: Task, design: Design) -> Hard:
    """Subsets that lack a class, hold only one, or leave one example over; of sizes that vary, the least and most."""
    looked = max(1, min(design.rows, LOOKED_AT, _BITS // task.n))
    masks = design.masks(range(looked)).unpack()
    rows: dict[int, str] = {}
    notes = _by_class(masks, getattr(task, "labels", None), rows)
    sizes = masks.sum(axis=1)
    minibatch = getattr(task, "minibatch", None)
    if minibatch and minibatch > 1:
        left = np.flatnonzero((sizes % minibatch == 1) & (sizes > 0))
        rows.update({int(row): "its last minibatch is one example" for row in left if int(row) not in rows})
    for word, at in (("smallest", sizes.argmin()), ("largest", sizes.argmax())):
        if np.ptp(sizes):
            rows.setdefault(int(at), f"the {word} of them, {sizes[at]} examples")
    return Hard(looked, rows, tuple(notes))


def _by_class(masks: NDArray[np.bool_], labels: Any, rows: dict[int, str]) -> list[str]:
    if labels is None or len(labels) != masks.shape[1]:
        return []
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return []
    held = masks.astype(np.float32) @ np.eye(len(classes), dtype=np.float32)[numbers] > 0.5
    kinds = held.sum(axis=1)
    rows.update({int(row): "its subset holds one class only" for row in np.flatnonzero(kinds <= 1)})
    lacking = np.flatnonzero((kinds > 1) & (kinds < len(classes)))
    rows.update({int(row): "its subset lacks a class" for row in lacking})
    notes, first = [], f"of the first {len(masks)} subsets"
    alone, without = int((kinds <= 1).sum()), int((kinds < len(classes)).sum())
    if alone:
        notes.append(f"{alone} {first} hold one class only, so that their models can learn nothing: {_WAYS}")
    if without > alone:
        rarest = int((~held).sum(axis=0).argmax())
        notes.append(
            f"{without} {first} lack a class, most often class {classes[rarest]}, which has "
            f"{int((labels == classes[rarest]).sum())} training examples: {_WAYS}"
        )
    return notes
