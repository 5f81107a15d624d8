"""What several routers answer with, and how they find the fit that a request is about."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from subtrain.errors import InputError
from subtrain.explorer.data.examples import About
from subtrain.explorer.jobs import State
from subtrain.explorer.open_studies import Library, OpenFit

LONGEST = 200


class Answer(BaseModel):
    """What every answer is: fields with defaults are there too, so a reader's types may count on them."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Background(Answer):
    """What is computed in the background when it is first asked for: ask again until state is done or failed.

    state: queued, computing, done or failed, and then why in one sentence; the rest is empty until it is done.
    """

    state: State = "done"
    why: str = ""


class Shown(Answer):
    """A training unit or a target as a person sees it. image: address of a PNG; row: columns of a table row."""

    number: int
    name: str
    alt: str
    label: str | None
    text: str | None
    note: str
    image: str | None
    row: dict[str, str] | None


class UnitWeight(Answer):
    """A unit with its weight; low, high: its 95 % interval, null where it is not known; itself: the unit is the very
    example that the target asks about."""

    unit: Shown
    weight: float
    low: float | None
    high: float | None
    itself: bool


class Available(Answer):
    """Whether something can be done here, and if not, why, in one sentence."""

    available: bool
    why: str


async def library_of(request: Request) -> Library:
    found = request.app.state.library
    assert isinstance(found, Library)
    return found


Books = Annotated[Library, Depends(library_of)]


async def fit_of(
    library: Books,
    fit: Annotated[
        str | None, Query(max_length=LONGEST, description="Name of a fit; NAME@b of the second study.")
    ] = None,
) -> OpenFit:
    held = library.held(fit)
    return held if held is not None else await run_in_threadpool(find_fit, library, fit)


def find_fit(library: Library, ref: str | None) -> OpenFit:
    """HTTPException 404 for a fit that is not there."""
    try:
        return library.fit(ref)
    except InputError as error:
        raise HTTPException(404, str(error)) from error


Fit = Annotated[OpenFit, Depends(fit_of)]
Number = Annotated[int, Path(ge=0, lt=2**31)]
Offset = Annotated[int, Query(ge=0, lt=2**31)]
Only = Annotated[
    str | None,
    Query(max_length=6000, pattern=r"^\d{1,10}(,\d{1,10})*$", description="Just these numbers, as in 3,17,42."),
]


async def target_of(fit: Fit, target: Number) -> int:
    if target >= fit.dm.targets:
        raise HTTPException(404, f"there is no target {target}: targets are numbered 0 to {fit.dm.targets - 1}")
    return target


async def unit_of(fit: Fit, unit: Number) -> int:
    check_unit(fit, unit)
    return unit


def numbers(only: str | None) -> set[int] | None:
    return None if only is None else {int(number) for number in only.split(",")}


def check_unit(fit: OpenFit, unit: int) -> None:
    """HTTPException 404 for a unit that is not there."""
    if not 0 <= unit < fit.dm.n:
        raise HTTPException(404, f"there is no unit {unit}: units are numbered 0 to {fit.dm.n - 1}")


Target = Annotated[int, Depends(target_of)]
Unit = Annotated[int, Depends(unit_of)]


def shown(about: About, fit: OpenFit) -> Shown:
    """As JSON, with the address of its picture if it has one."""
    suffix = "b" if fit.ref.endswith("@b") else "a"
    where = about.image
    image = None if where is None else f"/api/image/{suffix}/{where[0]}/{where[1]}.png"
    return Shown(
        number=about.number,
        name=about.name,
        alt=about.alt,
        label=about.label,
        text=about.text,
        note=about.note,
        image=image,
        row=None if about.row is None else dict(about.row),
    )


def target_shown(fit: OpenFit, target: int) -> Shown:
    return shown(fit.viewer.about_target(target), fit)


def unit_shown(fit: OpenFit, unit: int) -> Shown:
    return shown(fit.viewer.about_unit(unit), fit)


def known(value: Any) -> float | None:
    """A float, or null for a figure that does not exist."""
    number = float(value)
    return number if math.isfinite(number) else None


def rounded(values: Any, digits: int = 5) -> list[float | None]:
    """Floats with so many significant digits, null where they do not exist."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in values.tolist()]


def floats(values: Any) -> list[float]:
    """Floats with seven significant digits, as float32 has them."""
    return [float(f"{value:.7g}") for value in values.tolist()]
