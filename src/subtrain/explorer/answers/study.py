"""The study itself: what was run, what its fits are worth, and what can be asked of it here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from subtrain._version import __version__
from subtrain.evaluation import weakness
from subtrain.explorer.answers.numbers import mean
from subtrain.explorer.answers.targets import Histogram
from subtrain.explorer.data.provenance import provenance
from subtrain.explorer.data.words import Words
from subtrain.explorer.open_studies import Library, OpenFit
from subtrain.explorer.retraining import why_not_retrained


class Available(TypedDict):
    """Whether something can be done here, and if not, why, in one sentence."""

    available: bool
    why: str


class FitName(TypedDict):
    """A fit that can be asked for by its ref; study: the name of the study it belongs to."""

    ref: str
    name: str
    study: str


class IntervalOf(TypedDict):
    """An estimate with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None


class Baseline(TypedDict):
    """What a simpler predictor scores on the same held-out subsets, per target, mean over targets."""

    name: str
    lds: float | None
    mse: float | None


class EvaluationOf(TypedDict):
    """What the fit is worth on held-out subsets. Per target, mean over targets, unless it says pooled; `lds` against
    the mean of `replicates` runs, `lds_one` against single runs, each with its own noise ceiling, an upper bound.
    targets_judged: over how many targets figures are means, 0 where that was not kept; notes: what was left out or is
    missing; fit_notes: the warnings of the fit."""

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
    targets_judged: int
    notes: list[str]
    fit_notes: list[str]
    baselines: list[Baseline]
    histogram: Histogram


class Facts(TypedDict):
    """Facts below a heading, as [name, value]."""

    title: str
    rows: list[tuple[str, str]]


class Provenance(TypedDict):
    """Where it all comes from, and the commands that make it again."""

    facts: list[Facts]
    commands: list[str]
    remarks: list[str]


class Features(TypedDict):
    """What can be asked of this study here."""

    map: Available
    clusters: Available
    leakage: Available
    compare: Available
    verify: Available


class StudyOf(TypedDict):
    """The study and the fit on show; fit and what follows from it are null while nothing is fitted. accuracy: share of
    right answers of all models on all targets, null where the output does not tell."""

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
    words: Words | None
    has_images: bool
    accuracy: float | None
    why_not: str
    evaluation: EvaluationOf | None
    no_evaluation: str
    weak: str
    provenance: Provenance | None
    features: Features


def study(library: Library, ref: str | None = None) -> StudyOf:
    """What was run and fitted, what it is worth, and what can be done with it here."""
    fit = library.fit(ref) if ref is not None or library.default() is not None else None
    of = library.study if fit is None else fit.study
    about: Any = {
        "name": of.name,
        "subtrain": __version__,
        "task": of.source.name.rpartition("/")[2] if of.source else None,
        "n": of.n,
        "alpha": [float(alpha) for alpha in np.atleast_1d(np.asarray(of.design.alpha))],
        "models": of.models,
        "seed": getattr(of.design, "seed", None),
        "outputs": {name: list(spec.shape) for name, spec in of.outputs.items()},
        "fits": [{"ref": ref, "name": name, "study": one.name} for ref, name, one in library.refs()],
        **(_unfitted(library) if fit is None else _fitted(library, fit)),
    }
    found: StudyOf = about
    return found


def _unfitted(library: Library) -> dict[str, Any]:
    none = _only_if(f"Nothing is fitted yet: run subtrain fit {library.study.name}.")
    return {
        **dict.fromkeys(("fit", "version", "output", "targets", "classes", "words", "evaluation", "provenance")),
        "unit_name": "training example",
        "units_name": "training examples",
        "has_images": False,
        "accuracy": None,
        "why_not": "",
        "no_evaluation": none["why"],
        "weak": "",
        "features": dict.fromkeys(Features.__annotations__, none),
    }


def _fitted(library: Library, fit: OpenFit) -> dict[str, Any]:
    return {
        "fit": fit.ref,
        "version": fit.version,
        "output": fit.output,
        "targets": fit.dm.targets,
        "unit_name": fit.viewer.unit_name,
        "units_name": fit.viewer.units_name,
        "classes": _classes(fit.labels),
        "words": fit.words,
        "has_images": fit.viewer.has_images,
        "accuracy": mean(fit.table("correct")),
        "why_not": fit.viewer.why_not,
        "evaluation": _evaluation(fit),
        "no_evaluation": fit.sidecar.about["no_evaluation"],
        "weak": _weak(fit),
        "provenance": _provenance(fit),
        "features": _features(library, fit),
    }


def _only_if(why_not: str) -> Available:
    return {"available": not why_not, "why": why_not}


def _features(library: Library, fit: OpenFit) -> Features:
    several = sum(1 for _ in library.refs()) > 1
    mapped = _only_if("There are fewer than three targets." if fit.dm.targets < 3 else "")
    return {
        "map": mapped,
        "clusters": mapped,
        "leakage": _only_if(""),
        "compare": _only_if("" if several else "There is only one fit, and no second study."),
        "verify": _only_if(why_not_retrained(fit.study)),
    }


def _classes(labels: list[str] | None) -> list[str] | None:
    """Each label once: in the order of their numbers if they are numbers."""
    found = sorted(set(labels or ()))
    return (sorted(found, key=int) if all(label.isdecimal() for label in found) else found) or None


def _evaluation(fit: OpenFit) -> EvaluationOf | None:
    about = fit.sidecar.about["evaluation"]
    if about is None:
        return None
    lds = fit.table("lds")
    counts, edges = np.histogram(lds[np.isfinite(lds)], np.linspace(-1, 1, 81))
    kept = slice(int(np.argmax(counts > 0)) if counts.any() else 0, None)
    evaluation: Any = {"targets_judged": 0, "notes": []} | {
        name: about[name] for name in EvaluationOf.__annotations__ if name in about
    }
    evaluation["fit_notes"] = fit.dm.meta.get("notes") or []
    evaluation["baselines"] = [{"name": name, **of} for name, of in about.get("baselines", {}).items()]
    evaluation["histogram"] = {"edges": np.round(edges[kept], 4).tolist(), "counts": counts[kept].tolist()}
    found: EvaluationOf = evaluation
    return found


def _weak(fit: OpenFit) -> str:
    found = fit.sidecar.about["evaluation"]
    lds, ceiling = (None, None) if found is None else (found["lds"]["value"], found["lds_ceiling"])
    return "" if lds is None else weakness(lds, math.nan if ceiling is None else ceiling, fit.study.name)


def _provenance(fit: OpenFit) -> Provenance:
    found = provenance(fit.study, fit.dm)
    return {
        "facts": [{"title": title, "rows": list(rows.items())} for title, rows in found.facts.items()],
        "commands": [" ".join(command) for command in found.commands],
        "remarks": list(found.remarks),
    }
