"""What several routers take from a request: the fit that it is about, numbers, and pages of a list."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool

from subtrain.explorer.answers.examples import check_target, check_unit
from subtrain.explorer.open_studies import Library, OpenFit

LONGEST = 200
MOST_ROWS = 500


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
    return held if held is not None else await run_in_threadpool(library.fit, fit)


Fit = Annotated[OpenFit, Depends(fit_of)]
Number = Annotated[int, Path(ge=0, lt=2**31)]
Offset = Annotated[int, Query(ge=0, lt=2**31)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Only = Annotated[
    str | None,
    Query(max_length=6000, pattern=r"^\d{1,10}(,\d{1,10})*$", description="Just these numbers, as in 3,17,42."),
]


async def target_of(fit: Fit, target: Number) -> int:
    check_target(fit, target)
    return target


async def unit_of(fit: Fit, unit: Number) -> int:
    check_unit(fit, unit)
    return unit


Target = Annotated[int, Depends(target_of)]
Unit = Annotated[int, Depends(unit_of)]


def numbers(only: str | None) -> set[int] | None:
    return None if only is None else {int(number) for number in only.split(",")}
