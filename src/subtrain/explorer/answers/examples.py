"""Units and targets as a person sees them."""

from __future__ import annotations

from typing_extensions import TypedDict

from subtrain.errors import InputError
from subtrain.explorer.data.examples import About, png, view_of
from subtrain.explorer.open_studies import Library, OpenFit


class Shown(TypedDict):
    """A training unit or a target as a person sees it. image: address of a PNG; row: columns of a table row."""

    number: int
    name: str
    alt: str
    label: str | None
    text: str | None
    note: str
    image: str | None
    row: dict[str, str] | None


class UnitWeight(TypedDict):
    """A unit with its weight; low, high: its 95 % interval, null where it is not known; itself: the unit is the very
    example that the target asks about."""

    unit: Shown
    weight: float
    low: float | None
    high: float | None
    itself: bool


def target_shown(fit: OpenFit, target: int) -> Shown:
    return _shown(fit.viewer.about_target(target), fit)


def unit_shown(fit: OpenFit, unit: int) -> Shown:
    return _shown(fit.viewer.about_unit(unit), fit)


def check_target(fit: OpenFit, target: int) -> None:
    """InputError for a target that is not there."""
    if not 0 <= target < fit.dm.targets:
        raise InputError(f"there is no target {target}: targets are numbered 0 to {fit.dm.targets - 1}")


def check_unit(fit: OpenFit, unit: int) -> None:
    """InputError for a unit that is not there."""
    if not 0 <= unit < fit.dm.n:
        raise InputError(f"there is no unit {unit}: units are numbered 0 to {fit.dm.n - 1}")


def picture_of(library: Library, which: str, split: str, number: int, side: int) -> bytes | None:
    """PNG of an example of the study ("a") or of the one beside it ("b"); None if there is no such picture."""
    study = library.studies.get("" if which == "a" else "@b")
    images = view_of(study)[0].images.get(split) if study is not None else None
    return png(images[number], side) if images is not None and number < len(images) else None


def _shown(about: About, fit: OpenFit) -> Shown:
    which = "b" if fit.ref.endswith("@b") else "a"
    return {
        "number": about.number,
        "name": about.name,
        "alt": about.alt,
        "label": about.label,
        "text": about.text,
        "note": about.note,
        "image": None if about.image is None else f"/api/image/{which}/{about.image[0]}/{about.image[1]}.png",
        "row": None if about.row is None else dict(about.row),
    }
