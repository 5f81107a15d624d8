"""study.json: what it holds, how large a study may be, and what its extensions add."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from subtrain._version import __version__
from subtrain.designs import DESIGNS
from subtrain.designs.design_protocol import AnyDesign
from subtrain.designs.model_rows import whole
from subtrain.errors import CorruptError, InputError
from subtrain.fingerprint import fingerprint
from subtrain.outputs import Output
from subtrain.store.protocol import Store, Write, checked, json_bytes, read_json
from subtrain.store.seal import read_sealed, unsealed
from subtrain.tasks.base import Source

MANIFEST = "study.json"
EXTENSIONS = "extensions"
# Studies of format 1 are those of version 0.1.0, whose JSON carries no digest.
FORMAT, UNSEALED = 2, 1
# The paper's largest study has 1.5 million models of 50,000 units.
MAX_MODELS, MAX_UNITS, MAX_SEGMENTS = 20_000_000, 20_000_000, 2_000_000
_EXTENSION = re.compile(rf"{EXTENSIONS}/(\d{{6,9}})\.json")


def identity_of(design: AnyDesign, print_: str, outputs: Mapping[str, Output]) -> str:
    """A digest of design, task and outputs: equal for equal studies, wherever they lie."""
    about = {k: v for k, v in design.to_json().items() if k not in ("extensions", "masks")}
    return fingerprint(about, print_, {k: v.to_json() for k, v in outputs.items()})


def check_size(design: AnyDesign, segment: int) -> None:
    """InputError, before anything is made of them, for numbers that no study has."""
    size = whole("segment", segment, 1)
    segments = 1 if design.trained_elsewhere else sum(-(-block.rows // size) for block in design.blocks)
    for name, count, most in (
        ("models", design.rows, MAX_MODELS),
        ("units", design.n or 0, MAX_UNITS),
        ("segments", segments, MAX_SEGMENTS),
    ):
        if count > most:
            raise InputError(f"{str(count)[:20]} {name} are too many: a study has {most:,} at most")


def not_a_study(store: Store, why: str) -> str:
    return f"{store.location(MANIFEST)} is not a study of this version: {why if len(why) < 500 else why[:499] + '…'}"


def json_writer(data: Mapping[str, Any]) -> Write:
    content = json_bytes(data)
    return lambda file: file.write(content)


def read_manifest(store: Store) -> dict[str, Any]:
    try:
        data = read_json(store, MANIFEST)
    except FileNotFoundError:
        say = f"{store.location()} is not a study: it has no {MANIFEST}; create one, or check the path"
        raise InputError(say) from None
    old = isinstance(data, dict) and data.get("format") == UNSEALED
    data = unsealed(data, store.location(MANIFEST), required=not old)
    found = data.get("format")
    if found not in (UNSEALED, FORMAT):
        raise InputError(
            f"{store.location()} has format {found!r}; this version of subtrain reads formats up to {FORMAT}"
        )
    return data


def extension_files(store: Store) -> list[str]:
    """The files of the study's extensions, in order; CorruptError if one of them is missing."""
    found = [(name, int(m[1])) for name in store.names(EXTENSIONS) if (m := _EXTENSION.fullmatch(name))]
    for k, (_, number) in enumerate(found, 1):
        if number != k:
            raise CorruptError(
                f"{store.location(f'{EXTENSIONS}/{k:06d}.json')} is missing: put it back, or collect anew"
            )
    return [name for name, _ in found]


def extended(store: Store, design: AnyDesign, required: bool) -> AnyDesign:
    for name in extension_files(store):
        entry = read_sealed(store, name, required)
        if entry.pop("after", design.rows) != design.rows:
            raise CorruptError(f"{store.location(name)} is damaged: it extends a study of another size")
        design = design.extend(**entry)
    return design


def checked_output_name(name: str) -> str:
    """An output's name, which becomes part of file names; ValueError for one that could lead elsewhere."""
    if "/" in checked(name):
        raise ValueError(f"{name!r} is no name of an output")
    return name


def package_versions() -> dict[str, str]:
    return {
        "subtrain": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "scikit-learn")},
    }


@contextmanager
def must_make_sense(store: Store) -> Iterator[None]:
    """What goes wrong with a study.json that somebody else wrote, or another version, is one CorruptError."""
    try:
        yield
    except InputError as error:
        raise CorruptError(not_a_study(store, str(error))) from error
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CorruptError(not_a_study(store, repr(error))) from error


def fields_of(store: Store, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the `StoredStudy` whose study.json this is, by name."""
    design: AnyDesign = DESIGNS[data["design"]["kind"]].from_manifest(data, store)
    if design.can_extend:
        design = extended(store, design, data["format"] != UNSEALED)
    source, print_ = data["task"]["source"], data["task"]["fingerprint"]
    if not isinstance(print_, str) or not (source is None or isinstance(source["name"], str)):
        raise TypeError("its task has no name or fingerprint")
    return {
        "design": design,
        "outputs": {checked_output_name(name): Output(**spec) for name, spec in data["outputs"].items()},
        "segment": data["segment"],
        "fingerprint": print_,
        "format": data["format"],
        "source": Source.from_json(source) if source else None,
        "signature": data["task"].get("signature"),
        "shows": data.get("view"),
    }
