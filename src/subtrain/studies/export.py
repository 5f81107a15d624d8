"""The public layout: one .npy file an array, exactly as numpy would save it, written as a stream."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.model_rows import ANCHOR, EVALUATION, VALIDATION
from subtrain.errors import InputError, StorageError
from subtrain.store import atomic_files
from subtrain.store.seal import sealed
from subtrain.studies.manifest import FORMAT
from subtrain.studies.segments.npy_writer import Array, ExportJournal, Progress, part_of, write_array
from subtrain.studies.segments.segment_file import runs
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.paths import local_path

_BLOCK_BYTES = 64 << 20


def export(
    study: StoredStudy, folder: str | Path, name: str | None = None, progress: Progress | None = None
) -> list[Path]:
    """Write `{folder}/{name}/data/train_masks_{PCT}pct.npy` (bool), `test_margins_{PCT}pct.npy` and so on.

    name: by default that of the study's folder. Beside every array lies its sha256, and `study_{PCT}pct.json` says
    which rows are for judging only. An export that was interrupted goes on where it stopped, after checking what is
    there; one that was finished is written anew. Raises InputError while models are missing, StorageError when the disk
    is too small, or fails. Returns the paths written. `progress(file, rows done, rows)` is called after each block.
    """
    missing = study.models - study.models_done()
    if missing and not study.imported:
        raise InputError(
            f"{missing} of {study.models} models of {study.location} are still missing; run collect first, then export"
        )
    data = local_path(folder) / (name or study.name) / "data"
    with atomic_files.storage_errors(data, answers=()):
        return _write(study, data, progress)


def _write(study: StoredStudy, data: Path, progress: Progress | None) -> list[Path]:
    data.mkdir(parents=True, exist_ok=True)
    atomic_files.sweep_temporaries(data)
    pct = study.design.percent + "pct"
    arrays = _arrays(study, pct)
    of = {"study": study.identity, "rows": study.models, "bytes": {array.name: array.bytes() for array in arrays}}
    journal = ExportJournal.open(data / f".export_{pct}.json", of)
    _check_space(data, arrays, journal)
    written = [write_array(data, array, journal, progress) for array in arrays]
    about = data / f"study_{pct}.json"
    atomic_files.replace(about, lambda file: file.write(atomic_files.json_bytes(sealed(_about(study)))))
    journal.path.unlink(missing_ok=True)
    return [*written, about]


def _arrays(study: StoredStudy, pct: str) -> list[Array]:
    """Every file of the export, masks first."""

    def masks(start: int, stop: int) -> NDArray[Any]:
        return study.masks(range(start, stop)).unpack()

    found = [Array(f"train_masks_{pct}.npy", np.dtype(bool), (study.models, study.n), _rows(study.n), masks)]
    for output, spec in study.outputs.items():
        found.append(
            Array(
                f"{output}_{pct}.npy",
                np.dtype(spec.dtype),
                (study.models, *spec.shape),
                _rows(spec.bytes),
                partial(_outputs, study, output),
            )
        )
    return found


def _outputs(study: StoredStudy, output: str, start: int, stop: int) -> NDArray[Any]:
    return study.read(output, range(start, stop))


def _rows(each: int) -> int:
    """Rows of so many bytes in a block."""
    return max(1, _BLOCK_BYTES // max(1, each))


def _check_space(data: Path, arrays: list[Array], journal: ExportJournal) -> None:
    """StorageError before anything is written if the disk will not hold it; old files stay until the new are whole."""
    room = shutil.disk_usage(data).free
    for array in arrays:
        old = _size(data / array.name)
        if journal.done.get(array.name, (0, ""))[0] == array.shape[0] and old == array.bytes():
            continue
        room -= array.bytes() - _size(part_of(data / array.name))
        if room < 0:
            raise StorageError(
                f"no space left on the disk of {data}: {-room / 1e6:,.1f} MB more are needed for {array.name}; "
                "free some and run the same again"
            )
        room += old


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _about(study: StoredStudy) -> dict[str, Any]:
    own = {"validation": study.design.role_rows(VALIDATION), "anchors": study.design.role_rows(ANCHOR)}
    return {
        "format": FORMAT,
        "rows": study.models,
        "units": study.n,
        "alpha": study.design.alpha,
        "evaluation": [list(span) for span in runs(study.design.role_rows(EVALUATION).tolist())],
        **{name: [list(span) for span in runs(rows.tolist())] for name, rows in own.items() if rows.size},
        # Where the masks lie on this machine is nobody else's business.
        "design": {name: value for name, value in study.design.to_json().items() if name != "masks"},
        "outputs": {name: spec.to_json() for name, spec in study.outputs.items()},
    }
