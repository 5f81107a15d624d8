"""How units and targets look to a person: image (as a PNG file), label, text, or just their number."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.quantities import split_of
from subtrain.studies.view.stored_view import shows
from subtrain.study import Study
from subtrain.tasks.base import View


@dataclass(frozen=True)
class About:
    """One unit or target in words. name: what it is; label, text and table row (column: value) where the task has
    them; note: a remark; image: split and number of its picture, if it has one."""

    name: str
    number: int
    label: str | None = None
    text: str | None = None
    row: Mapping[str, str] | None = None
    note: str = ""
    image: tuple[str, int] | None = None

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

    def about_target(self, target: int) -> About:
        example, *rest = (int(i) for i in np.unravel_index(target, self.shape))
        noun = "image" if self.split in self.view.images else "example"
        name = f"{self.split} {noun} {example}" if self.split else f"target {target}"
        if rest:
            name += f", column {', '.join(map(str, rest))}"
        return self._about(self.split, example, name, target)

    def about_unit(self, unit: int) -> About:
        if self.groups is None:
            return self._about("train", unit, f"{self.unit_name} {unit}", unit)
        members = np.flatnonzero(self.groups == unit).tolist()
        labels = self.view.labels.get("train", ())
        common = {str(labels[i]) for i in members if i < len(labels)}
        label = common.pop() if len(common) == 1 else None
        return About(f"group {unit}", unit, label, note=f"{len(members)} example{'s' if len(members) != 1 else ''}")

    def pixels(self, split: str, number: int) -> NDArray[Any] | None:
        """The picture of an example as the task gives it; None if it has none."""
        found: NDArray[Any] | None = _at(self.view.images.get(split), number)
        return found

    def is_itself(self, unit: int, target: int) -> bool:
        """Whether the unit is the very training example that the target asks about."""
        return self.split == "train" and self.groups is None and int(np.unravel_index(target, self.shape)[0]) == unit

    def _about(self, split: str, example: int, name: str, number: int) -> About:
        label, text = (_at(part.get(split), example) for part in (self.view.labels, self.view.texts))
        columns = {key: _at(values, example) for key, values in self.view.tables.get(split, {}).items()}
        return About(
            name,
            number,
            None if label is None else str(label),
            None if text is None else str(text),
            {str(key): _value(value) for key, value in columns.items()} or None,
            image=(split, example) if self.pixels(split, example) is not None else None,
        )


def viewer(study: Study, output: str) -> Viewer:
    """How this study's examples look; only numbers if it stores nothing of them."""
    view, why_not = view_of(study)
    return Viewer(
        view,
        split_of(output),
        study.outputs[output].shape or (1,),
        None if study.groups is None else np.asarray(study.groups, np.int64),
        why_not,
    )


def view_of(study: Study) -> tuple[View, str]:
    """How this study's examples look, and a sentence if they cannot be shown."""
    view = study.view
    if view is None:
        return View(), f"Examples are shown by number, because {study.why_no_view}."
    said = "Examples are shown by number, because the task does not say how they look."
    return view, "" if shows(view) else said


def _are_classes(labels: Sequence[str]) -> bool:
    """Whether labels come back often enough to be classes, and not measurements."""
    return len(labels) > 0 and 2 * len({str(label) for label in labels}) <= len(labels)


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


def _at(values: NDArray[Any] | Sequence[str] | None, number: int) -> Any:
    return values[number] if values is not None and number < len(values) else None


TINY = 48


def png(pixels: NDArray[Any], side: int) -> bytes | None:
    """A picture at most `side` pixels wide and high of uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], else None.

    Tiny ones keep every pixel: the page enlarges them with their pixels square and sharp.
    """
    from PIL import Image

    array = np.asarray(pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != np.uint8 or array.size == 0 or not (array.ndim == 2 or array.shape[2:] in ((3,), (4,))):
        return None
    image = Image.fromarray(np.ascontiguousarray(array))
    if max(image.size) > max(side, TINY):
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
