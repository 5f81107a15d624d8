"""Maps of targets and units, clusters of targets, and two fits beside each other: computed in the background."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from subtrain.explorer import jobs
from subtrain.explorer.answers import compare
from subtrain.explorer.answers import maps as answers
from subtrain.explorer.answers.compare import CompareOf
from subtrain.explorer.answers.maps import Clusters, MapOf
from subtrain.explorer.server.parameters import LONGEST, Books, Fit, Limit, Offset

router = APIRouter(prefix="/api", tags=["maps"])


@router.get("/map", operation_id="map")
def map_of(
    fit: Fit,
    library: Books,
    of: Literal["targets", "units"] = "targets",
    how: Literal["pca", "spectral", "tsne"] | None = None,
) -> MapOf:
    """Where targets or units lie by their weights; computed in the background when it is first asked for.

    how: t-SNE by default for up to 2,000 points, else principal components.
    """
    way = how or answers.default_map(fit, of)
    job = library.jobs.once(("map", of, way, fit.ref, fit.version), lambda: answers.draw(fit, of, way))
    found: MapOf = jobs.answer(job, answers.no_map(fit, of))
    return found


@router.get("/clusters", operation_id="clusters")
def clusters(fit: Fit, library: Books) -> Clusters:
    """Groups of targets that hang on the same units."""
    job = library.jobs.once(("clusters", fit.ref, fit.version), lambda: answers.clusters(fit))
    found: Clusters = jobs.answer(job, answers.NO_CLUSTERS)
    return found


@router.get("/compare", operation_id="compare", tags=["compare"])
def compared(
    fit: Fit,
    library: Books,
    other: Annotated[str, Query(max_length=LONGEST, description="Name of the other fit; NAME@b of the second study.")],
    offset: Offset = 0,
    limit: Limit = 100,
) -> CompareOf:
    """How alike two fits are, target by target; computed in the background when it is first asked for."""
    second = library.fit(other)
    key = ("compare", fit.ref, fit.version, second.ref, second.version)
    job = library.jobs.once(key, lambda: {"found": compare.likeness(fit, second)})
    rows = compare.compared(fit, second, job.value["found"], offset, limit) if job.state == "done" else compare.NOTHING
    return {"state": job.state, "why": job.why, "a": fit.ref, "b": second.ref, **rows}  # type: ignore[typeddict-item]
