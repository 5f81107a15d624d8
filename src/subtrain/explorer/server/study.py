"""The study: what was run, how it stands, and what more models would be worth."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from subtrain.explorer import jobs
from subtrain.explorer.answers import status
from subtrain.explorer.answers.status import Curve, StatusOf
from subtrain.explorer.answers.study import StudyOf
from subtrain.explorer.answers.study import study as answer
from subtrain.explorer.server.parameters import LONGEST, Books, Fit

router = APIRouter(prefix="/api", tags=["study"])


@router.get("/study", operation_id="study")
def study(
    library: Books, fit: Annotated[str | None, Query(max_length=LONGEST, description="Name of a fit.")] = None
) -> StudyOf:
    """What was run and fitted, what it is worth, and what can be done with it here."""
    return answer(library, fit)


@router.get("/status", operation_id="status")
def status_of(library: Books) -> StatusOf:
    """How the study stands now, read from what is committed."""
    return status.status(library)


@router.get("/curve", operation_id="curve")
def curve(fit: Fit, library: Books) -> Curve:
    """LDS against models, computed in the background when it is first asked for."""
    job = library.jobs.once(("curve", fit.ref, fit.version), lambda: status.curve(fit))
    found: Curve = jobs.answer(job, status.NO_CURVE)
    return found
