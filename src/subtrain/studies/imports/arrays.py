"""Masks and outputs made elsewhere, as a study: read where they lie, never changed."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.arrays import concat
from subtrain.designs.imported import SUBSETS, ImportedDesign
from subtrain.designs.mask_survey import Survey, survey
from subtrain.designs.model_rows import row_numbers
from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.store import atomic_files
from subtrain.store.memory import IN_MEMORY
from subtrain.store.npy_files import opened
from subtrain.store.seal import sealed
from subtrain.studies.imports.consistency import check_targets, compare_margins, never_filled
from subtrain.studies.imports.exported_design import ExportedDesign, read_export, recorded_design
from subtrain.studies.imports.imported_outputs import array_fingerprint
from subtrain.studies.manifest import FORMAT, MANIFEST
from subtrain.studies.segments import npy_writer
from subtrain.studies.segments.npy_writer import Progress
from subtrain.studies.segments.segment_file import runs
from subtrain.studies.stored_study import StoredStudy
from subtrain.studies.view.stored_view import bounded, put_view
from subtrain.system.paths import local_path
from subtrain.system.user_warning import warn_user
from subtrain.tasks.base import View

PUBLISHED_EVALUATION = 10_000
_MASKS = re.compile(r"train_masks_([0-9.-]+)pct\.npy")


def import_folder(
    path: str | Path,
    folder: str | Path,
    pct: str | None = None,
    heldout: int | None = None,
    verify: bool = True,
    progress: Progress | None = None,
    better: str | Mapping[str, str] | None = None,
    labels: ArrayLike | None = None,
) -> StoredStudy:
    """A study from a folder in the public layout: `train_masks_{PCT}pct.npy` and outputs of the same PCT beside it.

    `folder` may also be the parent of its `data` folder. pct: alpha as the files have it in percent (50), or as a
    share (0.5). A `study_{PCT}pct.json` there (our own export) says which rows are held out; `heldout` overrides it.
    verify: read every file that has its sha256 beside it, and compare; progress(file, bytes, of bytes) is called
    meanwhile. better: as for `import_arrays`. labels: int [N], classes of the test targets, by which margins are
    compared with logits. Raises CorruptError where they differ, before anything is written.
    """
    data = local_path(folder)
    data = data / "data" if (data / "data").is_dir() else data
    found = {m[1]: p for p in sorted(data.glob("*.npy")) if (m := _MASKS.fullmatch(p.name))}
    if not found:
        raise InputError(f"{data} holds no train_masks_…pct.npy; give --masks and --output instead")
    if pct is None and len(found) > 1:
        raise InputError(f"{data} holds masks of several alphas ({', '.join(found)}); say which with pct")
    pct = pct or next(iter(found))
    pct = _named_in(found, pct)
    if pct not in found:
        raise InputError(f"{data} holds no train_masks_{pct}pct.npy, only {', '.join(found)}")
    outputs = {
        p.name.removesuffix(f"_{pct}pct.npy"): p for p in sorted(data.glob(f"*_{pct}pct.npy")) if p != found[pct]
    }
    about = data / f"study_{pct}pct.json"
    # Whoever says which rows judge says it of all rows.
    said = read_export(about) if about.is_file() and heldout is None else None
    for file in (found[pct], *outputs.values()) if verify else ():
        npy_writer.verify(file, progress)
    # Masks of our own exports are over units, which can be groups of the examples that train targets are.
    over = not about.is_file()
    evaluation = None if said is None else said.evaluation
    return import_arrays(
        *(path, found[pct], outputs, heldout, evaluation, better, labels), pct=pct, over_examples=over, exported=said
    )


def _named_in(found: Mapping[str, Path], pct: str) -> str:
    """The percentage of these that is meant: written in another way (50.0), or as a share (0.5)."""
    number = _percentage(pct)
    for meant in (number, 100 * number):
        for name in found if pct not in found else ():
            if math.isclose(_percentage(name), meant):
                return name
    return pct


def _percentage(text: str) -> float:
    """The number of a name; NaN of several (20-50) or none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def import_arrays(
    path: str | Path,
    masks: str | Path | ArrayLike,
    outputs: Mapping[str, str | Path | ArrayLike],
    heldout: int | None = None,
    evaluation: list[list[int]] | None = None,
    better: str | Mapping[str, str] | None = None,
    labels: ArrayLike | None = None,
    left_out: int = 0,
    view: View | None = None,
    *,
    pct: str = "",
    over_examples: bool = False,
    exported: ExportedDesign | None = None,
) -> StoredStudy:
    """A study in folder `path` from masks [M, n] and outputs [M, …], each a .npy file or an array.

    Files are read where they lie, arrays are saved in the study. The last `heldout` rows are for judging only; by
    default the last 10,000 of 20,000 rows or more (the published data's), else the last tenth. better: "higher",
    "lower" or "neither", of all outputs or by their names, where those do not tell ("losses" does). labels: int [N],
    classes of the test targets: test_margins are compared with test_logits. Rows that were never filled (a mask without
    units and outputs of 0 or NaN) count as missing, as a note says. left_out: how many models were to be trained and
    are not among the rows, which fits then say. view: what is shown of units and targets, stored in the study;
    by default the labels of targets, if they are given. pct: alpha as the files' names have it, in percent;
    over_examples: whether units are training examples, so that train targets must be as many; exported: what an export
    of ours says of validation models, anchors, pairs and seeds. Raises InputError if
    lengths differ, masks are not 0/1, or the folder is a study already.
    """
    root = folder_to_import_into(path)
    if (root / MANIFEST).exists():
        raise InputError(f"{root} is a study already; choose another folder")
    if not outputs:
        raise InputError("give at least one output to import, for example test_margins=file.npy")
    given = {"masks": masks, **outputs}
    found = survey(masks)
    rows = found.sizes.size
    arrays = {name: np.asarray(opened(value)) for name, value in outputs.items()}
    ways = _better(outputs, better)
    schema = {name: _schema(name, array, rows, ways.get(name)) for name, array in arrays.items()}
    check_targets(schema, found.n if over_examples else None)
    spans = evaluation if evaluation is not None else [[rows - _heldout(rows, heldout), rows]]
    choosing, leveling = ([], []) if exported is None else (exported.validation, exported.anchors)
    concat([row_numbers(range(a, b), rows) for a, b in (*spans, *choosing, *leveling)])  # For its check.
    unfilled = never_filled(np.flatnonzero(found.sizes == 0), arrays)
    others = np.union1d(unfilled, concat([np.arange(a, b) for a, b in leveling]))
    alpha, notes = _alpha(found, others, pct)
    if labels is not None:
        notes.append(_margins_told(arrays, labels, np.setdiff1d(np.arange(rows), unfilled), root))
    _say(found, unfilled, alpha)
    if view is None and labels is not None:
        view = View(labels={"test": [str(label) for label in np.asarray(labels)]})
    shown = None if view is None else bounded(view)
    with atomic_files.storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    places = {name: _place(root, name, value) for name, value in given.items()}
    atomic_files.replace(root / SUBSETS, lambda file: np.save(file, found.first))
    inside = [place for place in places.values() if not place.startswith("..")]
    design = ImportedDesign(
        Path(places.pop("masks")),
        rows,
        found.n,
        alpha,
        tuple((a, b) for a, b in spans),
        unfilled=tuple(runs(unfilled.tolist())),
        pct=pct,
        validation=tuple((a, b) for a, b in choosing),
        anchors=tuple((a, b) for a, b in leveling),
        recorded=None if exported is None else recorded_design(exported.design, masks, rows, found.n),
    )
    manifest = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "design": design.to_json(),
        "task": {"source": None, "fingerprint": array_fingerprint(given)},
        "outputs": {name: spec.to_json() for name, spec in schema.items()},
        "segment": rows,
        "evaluation_from": _known_from(rows, heldout, evaluation),
        "arrays": places,
        "notes": notes,
        "left_out": left_out,
        "sha256": _digests(root, [SUBSETS, *inside]),
    }
    content = atomic_files.json_bytes(sealed(manifest))
    if not atomic_files.commit_new(root / MANIFEST, lambda file: file.write(content)):
        raise InputError(f"{root} has become a study in the meantime; choose another folder")
    made = StoredStudy.open(root)
    if shown is not None:
        put_view(made.store, made.fingerprint, shown)
    return made


def folder_to_import_into(path: str | Path) -> Path:
    """The folder at this path; InputError for what is none."""
    if "://" in str(path):
        raise InputError(f"{path}: an imported study must be in a folder, because its files are read in place")
    if Path(path).name == IN_MEMORY:
        raise InputError(f"only Python imports into memory, as in Study.from_arrays({IN_MEMORY!r}, …): name a folder")
    return local_path(path)


def _alpha(found: Survey, unfilled: NDArray[np.int64], pct: str) -> tuple[float, list[str]]:
    """The share of units in a mask: as the files' names have it if the masks agree, else as it is; and what to say."""
    filled = np.delete(found.sizes, unfilled)
    if not filled.size:
        raise InputError("no row of the masks was ever filled: there is no unit in any")
    alpha = round(float(filled.mean() / found.n), 4)
    named = _percentage(pct) / 100
    if not named > 0:
        return alpha, []
    chance = 5 * np.sqrt(max(named * (1 - named), 0) / (found.n * filled.size))
    if abs(named - alpha) <= 1 / found.n + chance + 1e-3:
        return named, []
    return alpha, [f"The files' names say {pct} % of the units, their masks hold {100 * alpha:.4g} %: that is alpha"]


def _margins_told(opened: Mapping[str, NDArray[Any]], labels: ArrayLike, rows: NDArray[np.int64], root: Path) -> str:
    names = ("test_margins", "test_logits")
    for name in names:
        if name not in opened:
            raise InputError(f"there are no {name}: margins can be compared with logits only where both are")
    return compare_margins(opened[names[0]], opened[names[1]], labels, rows, names, root)[1]


def _say(found: Survey, unfilled: NDArray[np.int64], alpha: float) -> None:
    """Warn of rows that contradict that every row is a model trained on a random subset."""
    rows = found.sizes.size
    if unfilled.size:
        warn_user(
            f"{unfilled.size:,} of {rows:,} rows were never filled (the first is row {unfilled[0]:,}): their masks "
            "have no unit, their outputs are 0 or NaN; they are left out, as models that are missing"
        )
    empty = np.count_nonzero(found.sizes == 0) - unfilled.size
    if empty and rows * (1 - alpha) ** found.n < 0.01:
        warn_user(
            f"{empty:,} of {rows:,} masks have no unit, though they have outputs: were they never written? They are "
            "taken as models that were trained on nothing"
        )


def _better(outputs: Mapping[str, Any], better: str | Mapping[str, str] | None) -> dict[str, str]:
    """Which way each output is better, of those that it was said of."""
    if better is None or isinstance(better, str):
        return {} if better is None else dict.fromkeys(outputs, better)
    unknown = [name for name in better if name not in outputs]
    if unknown:
        raise InputError(f"better names {unknown[0]!r}, which is no output here: there are {', '.join(outputs)}")
    return dict(better)


def _digests(root: Path, names: list[str]) -> dict[str, str]:
    """sha256 of files that lie in the study."""
    return {name: npy_writer.digest(root / name) for name in dict.fromkeys(names)}


def _schema(name: str, array: NDArray[Any], rows: int, better: str | None) -> Output:
    if not name.isidentifier():
        raise InputError(f"output name {name!r} must be a plain word, for example test_margins")
    if array.ndim == 0 or array.shape[0] != rows:
        raise InputError(f"output {name} has {array.shape[0] if array.ndim else 0} rows, the masks have {rows}")
    return Output(array.shape[1:] or (1,), array.dtype.newbyteorder("=").name, better=better)


def _heldout(rows: int, heldout: int | None) -> int:
    if heldout is None:
        heldout = PUBLISHED_EVALUATION if rows >= 2 * PUBLISHED_EVALUATION else max(1, rows // 10)
    if not 0 <= heldout < rows:
        raise InputError(f"heldout must be between 0 and {rows - 1}, got {heldout}")
    return heldout


def _known_from(rows: int, heldout: int | None, evaluation: list[list[int]] | None) -> str:
    """How it is known which models only judge, in words."""
    if evaluation is not None:
        return "the export says so"
    if heldout is not None:
        return f"the last {heldout:,} rows, as asked"
    if rows >= 2 * PUBLISHED_EVALUATION:
        return (
            f"the last {PUBLISHED_EVALUATION:,} rows; the published data have that many more models for evaluation, "
            "but do not say which rows they are: give heldout if you know better"
        )
    return "the last tenth of the rows, for want of anything better: give heldout if you know"


def _place(root: Path, name: str, value: Any) -> str:
    """Where the array lies, relative to the study; arrays from memory are saved there first."""
    if isinstance(value, (str, Path)):
        return os.path.relpath(local_path(value).resolve(), root.resolve())
    array: NDArray[Any] = np.asarray(value)
    folder = root / "arrays"
    folder.mkdir(exist_ok=True)
    atomic_files.replace(folder / f"{name}.npy", lambda file: np.save(file, array, allow_pickle=False))
    return f"arrays/{name}.npy"
