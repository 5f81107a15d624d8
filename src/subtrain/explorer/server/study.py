"""The study itself: what was run, how it stands, what its fits are worth."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field

from subtrain._version import __version__
from subtrain.evaluation import weakness
from subtrain.explorer.data.provenance import provenance
from subtrain.explorer.open_studies import Library, OpenFit
from subtrain.explorer.server.maps import map_available
from subtrain.explorer.server.shared import LONGEST, Answer, Available, Books, find_fit
from subtrain.explorer.server.targets import Histogram
from subtrain.explorer.server.verify import verify_available

router = APIRouter(prefix="/api", tags=["study"])


class Problem(Answer):
    """What went wrong, in one sentence."""

    detail: str


class FitName(Answer):
    """A fit that can be asked for by its ref; study: the name of the study it belongs to."""

    ref: str
    name: str
    study: str


class Meaning(Answer):
    """Words for the output. short: what it is called; better: higher, lower, or null where neither is; zero: whether
    zero divides wrong from right; right: whether it tells who is right; helpful, harmful: headings for the units."""

    output: str
    short: str
    about: str
    better: str | None
    zero: bool
    right: bool
    helpful: str
    harmful: str


class IntervalOf(Answer):
    """An estimate with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None


class EvaluationOf(Answer):
    """What the fit is worth on held-out subsets. Per target, mean over targets, unless it says pooled; `lds` against
    the mean of `replicates` runs, `lds_one` against single runs, each with its own noise ceiling, an upper bound.
    targets_judged: over how many targets figures are means, 0 where that was not kept; notes: what was left out or is
    missing; fit_notes: what was said when it was fitted."""

    output: str
    subsets: int
    replicates: int
    targets: int
    alpha: float | None
    models_fitted: int
    lds: IntervalOf
    lds_ceiling: float | None
    lds_one: IntervalOf
    lds_one_ceiling: float | None
    noise_share: float | None
    pearson: float | None
    mse: float | None
    mse_floor: float | None
    r2: float | None
    pooled_spearman: float | None
    pooled_pearson: float | None
    targets_judged: int = 0
    notes: list[str] = Field(default_factory=list)
    fit_notes: list[str] = Field(default_factory=list)
    histogram: Histogram


class Facts(Answer):
    """Facts below a heading, as [name, value]."""

    title: str
    rows: list[tuple[str, str]]


class Provenance(Answer):
    """Where it all comes from, and the commands that make it again."""

    facts: list[Facts]
    commands: list[str]
    remarks: list[str]


class Features(Answer):
    """What can be asked of this study here."""

    map: Available
    clusters: Available
    leakage: Available
    compare: Available
    verify: Available


class StudyOf(Answer):
    """The study and the fit on show; fit and what follows from it are null while nothing is fitted."""

    name: str
    subtrain: str
    task: str | None
    n: int
    alpha: list[float]
    models: int
    seed: int | None
    outputs: dict[str, list[int]]
    fits: list[FitName]
    fit: str | None
    version: str | None
    output: str | None
    targets: int | None
    unit_name: str
    units_name: str
    classes: list[str] | None
    words: Meaning | None
    has_images: bool
    why_not: str
    evaluation: EvaluationOf | None
    no_evaluation: str
    weak: str
    provenance: Provenance | None
    features: Features


@router.get("/study", operation_id="study")
def study(
    library: Books, fit: Annotated[str | None, Query(max_length=LONGEST, description="Name of a fit.")] = None
) -> StudyOf:
    """What was run and fitted, what it is worth, and what can be done with it here."""
    found = find_fit(library, fit) if fit is not None or library.default() is not None else None
    of = library.study if found is None else found.study
    fits = [FitName(ref=ref, name=name, study=one.name) for ref, name, one in library.refs()]
    return StudyOf(
        name=of.name,
        subtrain=__version__,
        task=of.source.name.rpartition("/")[2] if of.source else None,
        n=of.n,
        alpha=[float(a) for a in np.atleast_1d(np.asarray(of.design.alpha))],
        models=of.models,
        seed=getattr(of.design, "seed", None),
        outputs={name: list(spec.shape) for name, spec in of.outputs.items()},
        fits=fits,
        **_fitted(library, found),
    )


def _fitted(library: Library, fit: OpenFit | None) -> dict[str, Any]:
    if fit is None:
        none = Available(available=False, why=f"Nothing is fitted yet: run subtrain fit {library.study.name}.")
        return {
            **dict.fromkeys(("fit", "version", "output", "targets", "classes", "words", "evaluation", "provenance")),
            "unit_name": "training example",
            "units_name": "training examples",
            "has_images": False,
            "why_not": "",
            "no_evaluation": none.why,
            "weak": "",
            "features": Features(map=none, clusters=none, leakage=none, compare=none, verify=none),
        }
    return {
        "fit": fit.ref,
        "version": fit.version,
        "output": fit.output,
        "targets": fit.dm.targets,
        "unit_name": fit.viewer.unit_name,
        "units_name": fit.viewer.units_name,
        "classes": _classes(fit.labels),
        "words": Meaning(**vars(fit.words)),
        "has_images": fit.viewer.has_images,
        "why_not": fit.viewer.why_not,
        "evaluation": _evaluation(fit),
        "no_evaluation": fit.sidecar.about["no_evaluation"],
        "weak": _weak(fit),
        "provenance": _provenance(fit),
        "features": _features(library, fit),
    }


def _classes(labels: list[str] | None) -> list[str] | None:
    """Each label once: in the order of their numbers if they are numbers."""
    found = sorted(set(labels or ()))
    return (sorted(found, key=int) if all(label.isdecimal() for label in found) else found) or None


def _features(library: Library, fit: OpenFit) -> Features:
    yes = Available(available=True, why="")
    several = sum(1 for _ in library.refs()) > 1
    compare = yes if several else Available(available=False, why="There is only one fit, and no second study.")
    mapped = map_available(fit)
    return Features(map=mapped, clusters=mapped, leakage=yes, compare=compare, verify=verify_available(fit))


def _evaluation(fit: OpenFit) -> EvaluationOf | None:
    about = fit.sidecar.about["evaluation"]
    if about is None:
        return None
    lds = fit.table("lds")
    counts, edges = np.histogram(lds[np.isfinite(lds)], np.linspace(-1, 1, 81))
    kept = slice(int(np.argmax(counts > 0)) if counts.any() else 0, None)
    histogram = Histogram(edges=np.round(edges[kept], 4).tolist(), counts=counts[kept].tolist())
    known = {k: v for k, v in about.items() if k != "baselines"}
    return EvaluationOf(**known, fit_notes=fit.dm.meta.get("notes") or [], histogram=histogram)


def _weak(fit: OpenFit) -> str:
    found = fit.sidecar.about["evaluation"]
    lds, ceiling = (None, None) if found is None else (found["lds"]["value"], found["lds_ceiling"])
    return "" if lds is None else weakness(lds, math.nan if ceiling is None else ceiling, fit.study.name)


def _provenance(fit: OpenFit) -> Provenance:
    found = provenance(fit.study, fit.dm)
    return Provenance(
        facts=[Facts(title=title, rows=list(rows.items())) for title, rows in found.facts.items()],
        commands=[" ".join(command) for command in found.commands],
        remarks=list(found.remarks),
    )
