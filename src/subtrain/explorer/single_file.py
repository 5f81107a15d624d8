"""The explorer as one file: the same page with the answers to its questions inside. It needs no web server."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from subtrain.datamodels import Datamodels
from subtrain.explorer.answers import leakage, maps, status, study, targets, units
from subtrain.explorer.answers.examples import check_target, picture_of
from subtrain.explorer.data.sidecar import Progress, make_sidecar, nothing
from subtrain.explorer.data.target_choice import choose
from subtrain.explorer.jobs import computed
from subtrain.explorer.open_studies import Library, OpenFit, opened
from subtrain.explorer.page import with_data
from subtrain.store import atomic_files
from subtrain.store.folder import Folder
from subtrain.study import Study
from subtrain.system.paths import local_path

MOST_TARGETS = 200
MOST_WEIGHTS = 300
UNITS = 500
PER_UNIT = 10
IMAGES = 4000
SIDE = 96


def write_page(
    library: Library,
    path: str | Path,
    which: Sequence[int] | None = None,
    most: int = MOST_TARGETS,
    progress: Progress = nothing,
) -> str:
    """Write the page to `path`, whole or not at all.

    Args:
        library: The study, and the fit to show.
        path: An HTML file; folders above it are made.
        which: Numbers of the targets to show; by default `most` of them, at evenly spaced ranks of LDS, with some on
            which the models disagree.
        most: The largest number of targets where `which` names none.
        progress: Called with (stage, done, total).

    Returns:
        A sentence about what is in the file.

    Raises:
        InputError: Nothing is fitted, or there is no such target.
    """
    content, note = page_bytes(library, which, most, progress)
    path = local_path(path)
    with atomic_files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.replace(path, lambda file: file.write(content))
    return note


def page_bytes(
    library: Library, which: Sequence[int] | None = None, most: int = MOST_TARGETS, progress: Progress = nothing
) -> tuple[bytes, str]:
    """The page, and a sentence about what is in it."""
    data = gather(library, which, most, progress)
    content = with_data(data).encode(errors="replace")
    return content, f"{data['note']}; {len(content) / 1e6:.1f} MB"


def gather(
    library: Library, which: Sequence[int] | None = None, most: int = MOST_TARGETS, progress: Progress = nothing
) -> dict[str, Any]:
    """Answers by the path and query that ask for them, for one fit."""
    fit = library.fit()
    chosen = sorted(set(choose(fit.table("lds"), _correct(fit), fit.labels, most) if which is None else which))
    for target in chosen:
        check_target(fit, target)
    return {
        "fit": fit.ref,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": f"{len(chosen):,} of {fit.dm.targets:,} targets",
        "answers": _answers(library, fit, chosen, progress),
    }


def _correct(fit: OpenFit) -> Any:
    share = fit.table("correct")
    return None if share.size and share[0] != share[0] else share


def _answers(library: Library, fit: OpenFit, chosen: Sequence[int], progress: Progress) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "/api/study": study.study(library),
        "/api/status": status.status(library),
        "/api/curve": computed(lambda: status.curve(fit), status.NO_CURVE),
        "/api/clusters": computed(lambda: maps.clusters(fit), maps.NO_CLUSTERS),
        "/api/leakage": leakage.pairs(fit),
    }
    for of in ("targets", "units"):
        answers[f"/api/map?of={of}"] = _map(fit, of)
    for feature in ("verify", "compare"):
        answers["/api/study"]["features"][feature] = {"available": False, "why": "This page has no server behind it."}
    rows = [targets.row(fit, target) for target in chosen]
    answers["/api/targets"] = {"total": len(rows), "offset": 0, "version": fit.version, "items": rows}
    for number, target in enumerate(chosen):
        answers[f"/api/targets/{target}"] = targets.target(fit, target)
        answers[f"/api/targets/{target}/weights"] = targets.weights(fit, target, MOST_WEIGHTS)
        progress("page", number + 1, len(chosen))
    for unit in _units(answers[f"/api/targets/{target}"] for target in chosen):
        answers[f"/api/units/{unit}"] = units.unit(fit, unit, PER_UNIT)
    _add_images(library, answers)
    return answers


def _map(fit: OpenFit, of: str) -> Any:
    return computed(lambda: maps.draw(fit, of, maps.default_map(fit, of)), maps.no_map(fit, of))


def _units(details: Iterable[Any]) -> list[int]:
    """The units that the embedded targets name most often."""
    seen: Counter[int] = Counter()
    for detail in details:
        seen.update(one["unit"]["number"] for one in (*detail["helpful"], *detail["harmful"]))
    return [unit for unit, _ in seen.most_common(UNITS)]


def _add_images(library: Library, answers: dict[str, Any]) -> None:
    """Every picture that an answer names, as a data address; where there are too many, the later ones are left out."""
    count = 0
    for holder in list(_pictured(answers)):
        address = holder["image"]
        if address not in answers:
            _, _, _, which, split, name = address.split("/")
            png = picture_of(library, which, split, int(name.partition(".")[0]), SIDE) if count < IMAGES else None
            if png is None:
                holder["image"] = None
                continue
            answers[address] = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            count += 1


def _pictured(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in an answer that has a picture."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _pictured(one)


def write_report(
    study: Study,
    dm: Datamodels,
    evaluation: object,
    path: str | Path,
    targets: Sequence[int] | None = None,
    k: int = 6,
    notes: object = (),
) -> Path:
    """Version 0.1's page of datamodels that need not be a fit of the study: today the explorer's, in one file.

    The page evaluates the datamodels itself and shows 50 units a side: `evaluation`, `k` and `notes` change nothing.
    """
    with TemporaryDirectory() as folder:
        sidecar = make_sidecar(study, dm, Folder(Path(folder)))
        library = Library({"": study}, shown=opened(study, dm, sidecar, "", "datamodels"))
        write_page(library, path, None if targets is None else [int(target) for target in targets])
    return local_path(path)
