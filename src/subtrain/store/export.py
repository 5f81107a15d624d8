"""The public layout: one .npy file an array, exactly as numpy would save it, written as a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from subtrain.design import EVALUATION
from subtrain.errors import InputError
from subtrain.store import files
from subtrain.store.study import Study

_BLOCK_BYTES = 64 << 20


def export(
    study: Study, folder: str | Path, name: str | None = None, progress: Callable[[str, int, int], None] | None = None
) -> list[Path]:
    """Write `{folder}/{name}/data/train_masks_{PCT}pct.npy` (bool), `test_margins_{PCT}pct.npy` and so on.

    name: by default that of the study's folder. Beside every array lies its sha256, and `study_{PCT}pct.json` says
    which rows are for judging only. Raises InputError while models are missing; files that exist are replaced whole.
    Returns the paths written. `progress(file, rows done, rows)` is called after each block.
    """
    missing = study.models - study.models_done()
    if missing:
        raise InputError(
            f"{missing} of {study.models} models of {study.path} are still missing; run collect first, then export"
        )
    data = Path(folder) / (name or study.path.resolve().name) / "data"
    with files.storage_errors(data):
        data.mkdir(parents=True, exist_ok=True)
    pct = "-".join(f"{alpha * 100:g}" for alpha in np.atleast_1d(study.design.alpha)) + "pct"
    written = [
        _write(data / f"train_masks_{pct}.npy", np.dtype(bool), (study.models, study.n), _masks(study), progress)
    ]
    for output, spec in study.outputs.items():
        shape = (study.models, *spec.shape)
        blocks = _outputs(study, output, spec.bytes)
        written.append(_write(data / f"{output}_{pct}.npy", np.dtype(spec.dtype), shape, blocks, progress))
    about = data / f"study_{pct}.json"
    files.replace(about, lambda file: file.write(files.json_bytes(_about(study))))
    return [*written, about]


def _about(study: Study) -> dict[str, Any]:
    judged = study.design.role_rows(EVALUATION)
    starts = np.flatnonzero(np.diff(judged, prepend=-2) != 1)
    stops = np.flatnonzero(np.diff(judged, append=judged[-1:] + 2) != 1)
    return {
        "rows": study.models,
        "units": study.n,
        "alpha": study.design.alpha,
        "evaluation": [[int(judged[a]), int(judged[b]) + 1] for a, b in zip(starts, stops, strict=True)],
        "design": study.design.to_json(),
        "outputs": {name: spec.to_json() for name, spec in study.outputs.items()},
    }


def _masks(study: Study) -> Iterator[NDArray[Any]]:
    rows = max(1, _BLOCK_BYTES // study.n)
    for start in range(0, study.models, rows):
        yield study.masks(range(start, min(start + rows, study.models))).unpack()


def _outputs(study: Study, output: str, bytes_each: int) -> Iterator[NDArray[Any]]:
    rows = max(1, _BLOCK_BYTES // bytes_each)
    for start in range(0, study.models, rows):
        yield study.read(output, range(start, min(start + rows, study.models)))


def _write(
    path: Path,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    blocks: Iterator[NDArray[Any]],
    progress: Callable[[str, int, int], None] | None,
) -> Path:
    digest = hashlib.sha256()

    def write(file: BinaryIO) -> None:
        tee = _Tee(file, digest.update)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(tee, header)
        done = 0
        for block in blocks:
            tee.write(np.ascontiguousarray(block, dtype).tobytes())
            done += len(block)
            if progress:
                progress(path.name, done, shape[0])

    files.replace(path, write)
    line = f"{digest.hexdigest()}  {path.name}\n".encode()
    files.replace(path.with_name(path.name + ".sha256"), lambda file: file.write(line))
    return path


class _Tee:
    """A file that shows every byte to `watch` as it is written."""

    def __init__(self, file: BinaryIO, watch: Callable[[bytes], object]) -> None:
        self.file, self.watch = file, watch

    def write(self, data: bytes) -> int:
        self.watch(data)
        return self.file.write(data)
