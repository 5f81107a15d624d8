"""What has been published: every file with its shape, dtype and size, those known to be missing, and who says so."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np

from subtrain.errors import CorruptError, InputError
from subtrain.public.price import FREE, Rates
from subtrain.store.protocol import checked, parse_json
from subtrain.system.paths import local_path

FORMAT = 1
ALL = "all"
# What numpy writes before the values of an array like these.
NPY_HEADER = 128
DTYPES = ("bool", "float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64")


@dataclass(frozen=True)
class File:
    """One file: an array `.npy`, or datamodels `.pt`, for which shape and dtype are those of `weight`.

    pct: alpha in percent. missing: why it is not there although it was advertised, "" for files that are there.
    shape_certain: False where the shape rests on a note, so that the file's own header decides.
    """

    key: str
    dataset: str
    kind: str
    pct: float
    shape: tuple[int, ...]
    dtype: str
    sources: tuple[str, ...] = ()
    missing: str = ""
    shape_certain: bool = True

    @property
    def is_array(self) -> bool:
        """Whether it is a .npy file."""
        return self.key.endswith(".npy")

    @property
    def size(self) -> int:
        """Bytes, by arithmetic: of datamodels without what torch adds, some kB."""
        values = math.prod(self.shape)
        if not self.is_array:
            values += 2 * self.shape[1]
        return values * np.dtype(self.dtype).itemsize + NPY_HEADER * self.is_array

    def to_json(self) -> dict[str, Any]:
        """As a catalogue's file has it, with the size."""
        kept = {name: getattr(self, name) for name in ("key", "dataset", "kind", "pct", "dtype", "missing")}
        return kept | {"shape": list(self.shape), "bytes": self.size, "sources": list(self.sources)}


@dataclass(frozen=True)
class Dataset:
    """What the arrays of one data set are about: units (training examples) and targets (test examples).

    heldout: how many of the last models were trained for evaluation; no datamodel may be fitted on them.
    """

    title: str
    units: int
    targets: int
    heldout: int
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """Files at an address, `s3://bucket[/prefix]` or a folder; `rates` are what the requester pays.

    quoted: dollars that the data's own page says of many files, by the words of `group`.
    """

    name: str
    address: str
    requester_pays: bool
    rates: Rates
    sources: Mapping[str, str]
    datasets: Mapping[str, Dataset]
    files: tuple[File, ...] = field(repr=False)
    quoted: Mapping[str, float] = field(default_factory=dict, repr=False)

    def group(self, words: Sequence[str]) -> list[File]:
        """The files that "all" means, or "all but logits", those that are missing left out; none for other words.

        After "but" stands a kind of file or the last part of one. InputError if no file is of that kind.
        """
        name = group_name(words)
        there = self.find()
        if name == ALL:
            return there
        if not name.startswith(f"{ALL} but "):
            return []
        but = name.removeprefix(f"{ALL} but ").replace(" ", "_")
        left = [file for file in there if file.kind != but and not file.kind.endswith(f"_{but}")]
        if len(left) == len(there):
            kinds = ", ".join(dict.fromkeys(file.kind for file in there))
            raise InputError(f"no file of the catalogue is of the kind {but!r}; its kinds are {kinds}")
        return left

    def find(
        self,
        dataset: str | None = None,
        kind: str | None = None,
        pct: float | None = None,
        missing: bool | None = False,
    ) -> list[File]:
        """Files of this data set, kind and alpha in percent; missing: only those that are (True), or both (None).

        Raises InputError for a data set or kind that no file has.
        """
        for name, given, known in (
            ("data set", dataset, self.datasets),
            ("kind of file", kind, dict.fromkeys(f.kind for f in self.files)),
        ):
            if given is not None and given not in known:
                raise InputError(f"there is no {name} {given!r} in the catalogue; it has {', '.join(known)}")
        return [
            file
            for file in self.files
            if (dataset is None or file.dataset == dataset)
            and (kind is None or file.kind == kind)
            and (pct is None or math.isclose(file.pct, pct))
            and (missing is None or bool(file.missing) == missing)
        ]

    def get(self, key: str) -> File:
        """The file with this key; InputError, with the nearest keys, if there is none or it is known to be missing."""
        for file in self.files:
            if file.key == key:
                if file.missing:
                    raise InputError(f"{key} is not in the bucket: {file.missing} ({', '.join(file.sources)})")
                return file
        near = difflib.get_close_matches(key, [f.key for f in self.files if not f.missing], 3, 0.5)
        hint = f"; near it are {', '.join(near)}" if near else ""
        raise InputError(f"the catalogue has no file {key!r}{hint}; `subtrain public list` shows all")

    def cited(self, names: Sequence[str]) -> list[str]:
        """The sources of these names, in full."""
        return [self.sources.get(name, name) for name in names]


def group_name(words: Sequence[str]) -> str:
    """ "all but logits" of ["all", "but", "logits"], and of ["all-but-logits"]."""
    return " ".join(" ".join(words).replace("-", " ").split()).lower()


def percent(alpha: float) -> float:
    """Alpha as files name it: 50 of 0.5, and of 50. Raises InputError for what is neither a share nor a percentage."""
    if not 0 < alpha <= 100:
        raise InputError(f"alpha is a share of the units, as 0.5, or a percentage, as 50, got {alpha:g}")
    return round(100 * alpha, 6) if alpha <= 1 else float(alpha)


def read_catalogue(path: str | Path | None = None) -> Catalogue:
    """The catalogue of the published datamodels data, or the one in a JSON file of the same form.

    A relative address in a file is a folder beside it. Raises InputError for a file that is not a catalogue.
    """
    if path is None:
        location: Any = resources("subtrain.public") / "catalogue.json"
        return _parsed(json.loads(location.read_text(encoding="utf-8")), location)
    try:
        data = parse_json(local_path(path).read_bytes(), path)
    except OSError as error:
        raise InputError(f"cannot read the catalogue {path}: {error.strerror}") from None
    except CorruptError as error:
        raise InputError(f"{path} is not a catalogue: {error}") from error
    return _parsed(data, local_path(path))


def _parsed(data: Any, location: Any) -> Catalogue:
    entry: Any = None
    try:
        if data["format"] != FORMAT:
            raise InputError(
                f"{location} has format {data['format']}; this version reads catalogues of format {FORMAT}"
            )
        address = str(data["address"])
        if "://" not in address:
            address = str(Path(location).parent / address)
        datasets = {}
        for name, entry in data["datasets"].items():
            known: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
            datasets[name] = Dataset(**known)
        found = []
        for entry in data["files"]:
            found.append(_file(entry, datasets))
        rates = Rates(**data["rates"]) if data.get("rates") else FREE
        pays = bool(data.get("requester_pays", False))
        quoted = {str(name): float(dollars) for name, dollars in data.get("quoted", {}).items()}
        sources = data.get("sources", {})
        return Catalogue(str(data["name"]), address, pays, rates, sources, datasets, tuple(found), quoted)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        at = f", at {json.dumps(entry)[:120]}" if entry is not None else ""
        raise InputError(f"{location} is not a catalogue{at}: {error!r}") from error


def _file(entry: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> File:
    made = File(**{**entry, "shape": tuple(entry["shape"]), "sources": tuple(entry.get("sources", ()))})
    checked(made.key)
    if made.dataset not in datasets:
        raise ValueError(f"there is no data set {made.dataset!r}")
    if made.dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}")
    if not made.shape or not all(type(size) is int and size >= 0 for size in made.shape):
        raise ValueError(f"{list(made.shape)} is no shape")
    if not made.key.endswith((".npy", ".pt")):
        raise ValueError("a key must end in .npy or .pt")
    if not made.is_array and len(made.shape) != 2:
        raise ValueError("the shape of datamodels is [units, targets]")
    return made
