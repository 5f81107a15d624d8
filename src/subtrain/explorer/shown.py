"""How units and targets look to a person: image, label, text, or just their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.explorer.images import Picture, picture
from subtrain.outputs import SPLITS
from subtrain.store.study import Study
from subtrain.tasks.base import View

TARGET_SIDE, UNIT_SIDE = 112, 64
TARGET_TEXT, UNIT_TEXT = 400, 160


@dataclass(frozen=True)
class Shown:
    """One unit or target. name: what it is, in words; label, image and text where the task has them; note: a remark."""

    name: str
    number: int
    label: str | None = None
    image: Picture | None = None
    text: str | None = None
    note: str = ""

    @property
    def alt(self) -> str:
        return self.name if self.label is None else f"{self.name}, label {self.label}"


@dataclass(frozen=True, eq=False)
class Viewer:
    """Shows the units of a study, and the targets of one of its outputs of this shape and split.

    why_not: a sentence if the task's examples cannot be shown.
    """

    view: View
    split: str
    shape: tuple[int, ...]
    groups: NDArray[np.int64] | None
    why_not: str = field(default="")

    @property
    def has_images(self) -> bool:
        """Whether units have images of their own."""
        return self.groups is None and "train" in self.view.images

    @property
    def has_classes(self) -> bool:
        """Whether units have labels of their own that are classes."""
        return self.groups is None and _are_classes(self.view.labels.get("train", ()))

    @property
    def unit_name(self) -> str:
        """What one unit is called."""
        if self.groups is not None:
            return "group of training examples"
        return "training image" if self.has_images else "training example"

    @property
    def units_name(self) -> str:
        """What units are called."""
        return "groups of training examples" if self.groups is not None else f"{self.unit_name}s"

    def labels(self) -> list[str] | None:
        """Class of every target; None where labels are not classes."""
        labels = self.view.labels.get(self.split, ())
        if len(labels) != self.shape[0] or not _are_classes(labels):
            return None
        each = int(np.prod(self.shape[1:], dtype=np.int64))
        return [str(label) for label in labels for _ in range(each)]

    def target(self, target: int) -> Shown:
        place = [int(i) for i in np.unravel_index(target, self.shape)]
        noun = "image" if self.split in self.view.images else "example"
        name = f"{self.split} {noun} {place[0]}" if self.split else f"target {target}"
        if len(place) > 1:
            name += f", column {', '.join(map(str, place[1:]))}"
        return self._example(self.split, place[0], name, target, TARGET_SIDE, TARGET_TEXT)

    def unit(self, unit: int) -> Shown:
        if self.groups is None:
            return self._example("train", unit, f"{self.unit_name} {unit}", unit, UNIT_SIDE, UNIT_TEXT)
        members = np.flatnonzero(self.groups == unit).tolist()
        labels = self.view.labels.get("train", ())
        common = {str(labels[i]) for i in members if i < len(labels)}
        label = common.pop() if len(common) == 1 else None
        return Shown(f"group {unit}", unit, label, note=f"{len(members)} example{'s' if len(members) != 1 else ''}")

    def is_itself(self, unit: int, target: int) -> bool:
        """Whether the unit is the very training example that the target asks about."""
        return self.split == "train" and self.groups is None and int(np.unravel_index(target, self.shape)[0]) == unit

    def _example(self, split: str, number: int, name: str, shown_as: int, side: int, length: int) -> Shown:
        image = _at(self.view.images.get(split), number)
        label, text = (_at(part.get(split), number) for part in (self.view.labels, self.view.texts))
        return Shown(
            name,
            shown_as,
            None if label is None else str(label),
            None if image is None else picture(image, side),
            None if text is None else _cut(str(text), length),
        )


def viewer(study: Study, output: str) -> Viewer:
    """How this study's examples look; only numbers if its task is not at hand and cannot be made again."""
    view, why_not = _view(study)
    split = output.partition("_")[0]
    return Viewer(
        view or View(),
        split if split in SPLITS else "",
        study.outputs[output].shape or (1,),
        None if study.groups is None else np.asarray(study.groups, np.int64),
        why_not,
    )


def _view(study: Study) -> tuple[View | None, str]:
    try:
        view = getattr(study.task, "view", None)
    except Exception as error:  # making a task runs its author's code: a report without pictures beats none
        return None, f"Examples are shown by number, because their task could not be made again: {error}"
    return view, "" if view else "Examples are shown by number, because the task does not say how they look."


def _are_classes(labels: Sequence[str]) -> bool:
    """Whether labels come back often enough to be classes, and not measurements."""
    return len(labels) > 0 and 2 * len({str(label) for label in labels}) <= len(labels)


def _at(values: NDArray[Any] | Sequence[str] | None, number: int) -> Any:
    return values[number] if values is not None and number < len(values) else None


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
