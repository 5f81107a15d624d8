"""One self-contained HTML page: targets, the training data that made them, and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import FIT
from subtrain.errors import InputError
from subtrain.evaluation import Evaluation
from subtrain.explorer import figures
from subtrain.explorer.cards import cards
from subtrain.explorer.data.examples import viewer
from subtrain.explorer.data.heldout_models import Heldout, read_heldout
from subtrain.explorer.data.provenance import name_of, provenance
from subtrain.explorer.data.target_choice import Choice, choose, ranked
from subtrain.explorer.data.words import comparison, meaning
from subtrain.store import atomic_files
from subtrain.study import Study
from subtrain.system.paths import local_path
from subtrain.uses.kit.direction import quantity

TEMPLATE = "report.html.j2"


def write_report(
    study: Study,
    dm: Datamodels,
    evaluation: Evaluation,
    path: str | Path,
    targets: Sequence[int] | None = None,
    k: int = 6,
    notes: Sequence[tuple[str, Evaluation]] = (),
) -> Path:
    """Write `report_page` of these datamodels to the HTML file `path`, whole or not at all; returns the path."""
    path = local_path(path)
    page = report_page(study, dm, evaluation, targets, k, notes)
    with atomic_files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.replace(path, lambda file: file.write(page))
    return path


def report_page(
    study: Study,
    dm: Datamodels,
    evaluation: Evaluation,
    targets: Sequence[int] | None = None,
    k: int = 6,
    notes: Sequence[tuple[str, Evaluation]] = (),
) -> bytes:
    """A report of these datamodels: one HTML page that needs no network and no script.

    targets: which to show in detail, by default a dozen, chosen by a rule that the page states; k: units shown on
    either side of each; notes: (label, evaluation) of other studies to set beside this one. Raises InputError if study,
    datamodels and evaluation do not belong together.
    """
    asked = list(dict.fromkeys(int(t) for t in (() if targets is None else targets)))
    _check(study, dm, evaluation, asked, k)
    return _render(_context(study, dm, evaluation, asked, k, notes)).encode(errors="replace")


def _check(study: Study, dm: Datamodels, evaluation: Evaluation, asked: list[int], k: int) -> None:
    if evaluation.output not in study.outputs:
        raise InputError(f"the evaluation is of output {evaluation.output!r}, which {study.location} does not record")
    if dm.n != study.n:
        raise InputError(f"these datamodels are over {dm.n} units, the study over {study.n}")
    if dm.targets != evaluation.targets:
        raise InputError(f"these datamodels have {dm.targets} targets, the evaluation {evaluation.targets}")
    bad = [t for t in asked if not 0 <= t < dm.targets]
    if bad:
        raise InputError(f"there is no target {bad[0]}: targets are numbered 0 to {dm.targets - 1}")
    if k < 1:
        raise InputError(f"k must be 1 or more, got {k}")


def _context(
    study: Study,
    dm: Datamodels,
    evaluation: Evaluation,
    asked: list[int],
    k: int,
    notes: Sequence[tuple[str, Evaluation]],
) -> dict[str, Any]:
    heldout = read_heldout(dm, study, evaluation)
    seen_as = viewer(study, evaluation.output)
    lds = evaluation.per_target["lds"]
    choices = ranked(asked, lds) if asked else choose(lds, heldout.correct, seen_as.labels())
    return {
        "name": name_of(study),
        "study": study,
        "dm": dm,
        "e": evaluation,
        "words": meaning(
            quantity(study, evaluation.output), evaluation.output, study.outputs[evaluation.output].meaning
        ),
        "unit": seen_as.unit_name,
        "units": seen_as.units_name,
        **_runs(evaluation.replicates),
        "models_fitted": evaluation.models_fitted or study.done(FIT).size,
        "accuracy": None if heldout.correct is None else float(heldout.correct.mean()),
        "figures": _figures(dm, evaluation, heldout),
        "comparison": comparison(evaluation, notes),
        "cards": cards(choices, dm, evaluation, heldout, seen_as, k),
        "pictures": seen_as.has_images,
        "labelled": seen_as.labels() is not None,
        "labelled_units": seen_as.has_classes,
        "why_these": _why_these(choices, asked, dm.targets),
        "contested": sum(choice.contested for choice in choices),
        "k": k,
        "why_not": seen_as.why_not,
        "provenance": provenance(study, dm),
    }


def _runs(replicates: int) -> dict[str, str]:
    """What an actual output is, as a phrase with and without its article."""
    if replicates == 1:
        return {"runs": "1 run", "mean": "one run", "the_mean": "one run"}
    mean = f"mean of {replicates} runs"
    return {"runs": f"{replicates} runs", "mean": mean, "the_mean": f"the {mean}"}


def _why_these(choices: Sequence[Choice], asked: list[int], of: int) -> str:
    if asked:
        return "asked for"
    return "all" if len(choices) == of else "rule"


def _figures(dm: Datamodels, evaluation: Evaluation, heldout: Heldout) -> dict[str, Any]:
    each = evaluation.per_target
    predicted, actual = heldout.pairs(dm)
    known = math.isfinite(evaluation.lds_ceiling)
    finite = math.isfinite(evaluation.lds.value)
    return {
        "scores": figures.scores(each["lds"], each["lds_ceiling"]) if finite else None,
        "sorted": figures.sorted_scores(each["lds"], each["lds_ceiling"]) if known and finite else None,
        "pooled": figures.pooled(predicted, actual),
        "pooled_targets": predicted.shape[1],
    }


def _render(context: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(fixed=_fixed, short=_short, percent=_percent, part=_part, svg=Markup)
    return environment.get_template(TEMPLATE).render(context)


def _fixed(value: float, places: int = 3) -> str:
    return f"{value:.{places}f}".replace("-", "−") if math.isfinite(value) else "unknown"


def _short(value: float) -> str:
    return f"{value:#.3g}".rstrip(".").replace("-", "−") if math.isfinite(value) else "unknown"


def _percent(value: float, places: int = 1) -> str:
    return f"{100 * value:.{places}f}%" if math.isfinite(value) else "unknown"


def _part(value: float) -> float:
    """A number between 0 and 1 as a percentage for a bar; others become the nearest end."""
    return round(100 * min(1.0, max(0.0, value)), 2) if math.isfinite(value) else 0.0
