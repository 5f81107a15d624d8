"""Masks and outputs made elsewhere, as a study: read where they lie, never changed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.design import concat, row_numbers
from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.paths import local_path
from subtrain.store import files, stream
from subtrain.store.given import array_fingerprint, check_masks, given_masks, replicate_ids
from subtrain.store.rows import open_npy
from subtrain.store.stream import Progress
from subtrain.store.study import FORMAT, MANIFEST, Study

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
) -> Study:
    """A study from a folder in the public layout: `train_masks_{PCT}pct.npy` and outputs of the same PCT beside it.

    `folder` may also be the parent of its `data` folder. A `study_{PCT}pct.json` there (our own export) says which rows
    are held out; `heldout` overrides it. verify: read every file that has its sha256 beside it, and compare;
    progress(file, bytes, of bytes) is called meanwhile. better: as for `import_arrays`. Raises CorruptError where they
    differ.
    """
    data = local_path(folder)
    data = data / "data" if (data / "data").is_dir() else data
    found = {m[1]: p for p in sorted(data.glob("*.npy")) if (m := _MASKS.fullmatch(p.name))}
    if not found:
        raise InputError(f"{data} holds no train_masks_…pct.npy; give --masks and --output instead")
    if pct is None and len(found) > 1:
        raise InputError(f"{data} holds masks of several alphas ({', '.join(found)}); say which with pct")
    pct = pct or next(iter(found))
    if pct not in found:
        raise InputError(f"{data} holds no train_masks_{pct}pct.npy, only {', '.join(found)}")
    outputs = {
        p.name.removesuffix(f"_{pct}pct.npy"): p for p in sorted(data.glob(f"*_{pct}pct.npy")) if p != found[pct]
    }
    about = data / f"study_{pct}pct.json"
    evaluation = _held_out(about) if about.is_file() and heldout is None else None
    for file in (found[pct], *outputs.values()) if verify else ():
        stream.verify(file, progress)
    return import_arrays(path, found[pct], outputs, heldout, evaluation, better)


def _held_out(about: Path) -> list[list[int]]:
    try:
        return [[int(a), int(b)] for a, b in files.read_json(about)["evaluation"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{about} does not say which rows are held out: give their number with heldout") from error


def import_arrays(
    path: str | Path,
    masks: str | Path | ArrayLike,
    outputs: Mapping[str, str | Path | ArrayLike],
    heldout: int | None = None,
    evaluation: list[list[int]] | None = None,
    better: str | Mapping[str, str] | None = None,
) -> Study:
    """A study in folder `path` from masks [M, n] and outputs [M, …], each a .npy file or an array.

    Files are read where they lie, arrays are saved in the study. The last `heldout` rows are for judging only; by
    default the last 10,000 of 20,000 rows or more (the published data's), else the last tenth. better: "higher",
    "lower" or "neither", of all outputs or by their names, where those do not tell ("losses" does). Raises InputError
    if lengths differ, masks are not 0/1, or the folder is a study already.
    """
    if "://" in str(path):
        raise InputError(f"{path}: an imported study must lie in a folder, for its files are read where they lie")
    root = local_path(path)
    if (root / MANIFEST).exists():
        raise InputError(f"{root} is a study already; choose another folder")
    if not outputs:
        raise InputError("give at least one output to import, for example test_margins=file.npy")
    given = {"masks": masks, **outputs}
    rows, units, alpha = check_masks(masks if isinstance(masks, (str, Path)) else np.asarray(masks))
    ways = _better(outputs, better)
    schema = {name: _schema(name, value, rows, ways.get(name)) for name, value in outputs.items()}
    spans = evaluation if evaluation is not None else [[rows - _heldout(rows, heldout), rows]]
    judged = concat([row_numbers(range(a, b), rows) for a, b in spans])
    ids = replicate_ids(given_masks(masks, judged), judged)
    with files.storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    places = {name: _place(root, name, value) for name, value in given.items()}
    files.replace(root / "evaluation_subsets.npy", lambda file: np.save(file, ids))
    design = {"kind": "given", "masks": places.pop("masks"), "rows": rows, "n": units, "alpha": alpha}
    manifest = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "design": {**design, "evaluation": spans},
        "task": {"source": None, "fingerprint": array_fingerprint(given)},
        "outputs": {name: spec.to_json() for name, spec in schema.items()},
        "segment": rows,
        "evaluation_from": _known_from(rows, heldout, evaluation),
        "arrays": places,
    }
    if not files.commit_new(root / MANIFEST, lambda file: file.write(files.json_bytes(manifest))):
        raise InputError(f"{root} has become a study in the meantime; choose another folder")
    return Study.open(root)


def _better(outputs: Mapping[str, Any], better: str | Mapping[str, str] | None) -> dict[str, str]:
    """Which way each output is better, of those that it was said of."""
    if better is None or isinstance(better, str):
        return {} if better is None else dict.fromkeys(outputs, better)
    unknown = [name for name in better if name not in outputs]
    if unknown:
        raise InputError(f"better names {unknown[0]!r}, which is no output here: there are {', '.join(outputs)}")
    return dict(better)


def _schema(name: str, value: Any, rows: int, better: str | None) -> Output:
    if not name.isidentifier():
        raise InputError(f"output name {name!r} must be a plain word, for example test_margins")
    array = open_npy(local_path(value)) if isinstance(value, (str, Path)) else np.asarray(value)
    if array.ndim == 0 or array.shape[0] != rows:
        raise InputError(f"output {name} has {array.shape[0] if array.ndim else 0} rows, the masks have {rows}")
    return Output(array.shape[1:] or (1,), array.dtype.newbyteorder("=").name, better=better)


def _heldout(rows: int, heldout: int | None) -> int:
    if heldout is None:
        heldout = PUBLISHED_EVALUATION if rows >= 2 * PUBLISHED_EVALUATION else max(1, rows // 10)
    if not 0 <= heldout < rows:
        raise InputError(f"heldout must lie between 0 and {rows - 1}, got {heldout}")
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
    files.replace(folder / f"{name}.npy", lambda file: np.save(file, array, allow_pickle=False))
    return f"arrays/{name}.npy"
