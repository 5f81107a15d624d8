"""Guesses: influence tables of a study's own models, added up, as files in a study; and tables made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import NoArrayError, as_array
from subtrain.errors import CorruptError, InputError
from subtrain.masks import Masks
from subtrain.store.npy_files import open_npy, parse_npy
from subtrain.store.protocol import Store
from subtrain.store.seal import put_sealed, read_sealed, replace_hashed, verify_bytes, verify_file
from subtrain.studies.stored_study import StoredStudy

GUESSES, META = "guesses", "guess.json"
ARRAYS = ("inside", "outside", "holding")
DIGESTS = "sha256"
# Rows of a table looked at at a time.
ROWS = 1024


@dataclass(frozen=True, eq=False)
class Guess:
    """Influence tables of K trained models, added up: a first guess of every weight, which `SharedPrior` learns from.

    Args:
        inside: float32 [n, T], sums of the tables of the models whose subset holds the unit.
        outside: float32 [n, T], of the others.
        holding: int64 [n], how many of the models hold each unit.
        meta: How it was made, as plain JSON: output, models (their numbers), study_id, seconds_each.

    Example:
        >>> task = st.tasks.digits(n=30, targets=8)
        >>> study = st.Study.create(":memory:", task, st.Design(models=40))
        >>> _ = study.collect(progress=False)
        >>> st.guess(study, models=4, progress=False)
        Guess(units=30, targets=8, models=4, output='test_margins')
    """

    inside: NDArray[np.float32]
    outside: NDArray[np.float32]
    holding: NDArray[np.int64]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.inside.ndim != 2 or self.outside.shape != self.inside.shape or self.holding.shape != (self.n,):
            shapes = [list(part.shape) for part in (self.inside, self.outside, self.holding)]
            raise InputError(f"a guess needs inside and outside [n, T] and holding [n], got {shapes}")

    @property
    def n(self) -> int:
        """Units."""
        return len(self.inside)

    @property
    def targets(self) -> int:
        """Targets."""
        return int(self.inside.shape[1])

    @property
    def models(self) -> int:
        """Models whose tables were added up."""
        return len(self.meta["models"])

    def __repr__(self) -> str:
        return (
            f"Guess(units={self.n}, targets={self.targets}, models={self.models}, output={self.meta.get('output')!r})"
        )

    def __add__(self, other: Guess) -> Guess:
        """The guess of the models of both."""
        rows = [*self.meta["models"], *other.meta["models"]]
        if len(set(rows)) < len(rows) or self.meta["study_id"] != other.meta["study_id"]:
            raise InputError("guesses that share models, or are of two studies, cannot be added")
        sums = self.inside + other.inside, self.outside + other.outside, self.holding + other.holding
        return Guess(*sums, {**self.meta, **other.meta, "models": sorted(rows)})

    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean tables of the models with each unit and of those without it, [n, T] each.

        A unit that all or none of the models hold has the other mean in the place of the one that there is not.
        """
        inside, outside = self.mean_tables()
        return inside[:], outside[:]

    def mean_tables(self) -> tuple[MeanTable, MeanTable]:
        """The same, read and divided only where it is looked at."""
        held, others = self.holding, self.models - self.holding
        squares = np.zeros(2)
        for start in range(0, self.n, ROWS):
            rows = slice(start, start + ROWS)
            both = (held[rows] > 0) & (others[rows] > 0)
            for side, total, count in ((0, self.inside, held), (1, self.outside, others)):
                squares[side] += np.square(total[rows][both] / count[rows][both, None]).sum()
        ratio = float(np.sqrt(squares[0] / squares[1])) if squares.all() else 1.0
        return (
            MeanTable(self.inside, self.outside, held, others, ratio),
            MeanTable(self.outside, self.inside, others, held, 1.0 / ratio),
        )


@dataclass(frozen=True, eq=False)
class MeanTable:
    """Sums of tables over their counts [n], as an array float32 [n, T] of which table[rows] and table[:, targets] make
    only what they are asked for; `other` sums, times ratio, where a count is 0."""

    own: NDArray[np.float32]
    other: NDArray[np.float32]
    count: NDArray[np.int64]
    others: NDArray[np.int64]
    ratio: float
    ndim: ClassVar[int] = 2
    dtype: ClassVar[np.dtype[np.float32]] = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, T)."""
        return self.own.shape

    def __getitem__(self, at: slice | tuple[slice, slice]) -> NDArray[np.float32]:
        rows = at[0] if isinstance(at, tuple) else at
        count, others = self.count[rows, None], self.others[rows, None]
        found = self.own[at] / np.maximum(count, 1)
        if not count.all():
            found = np.where(count > 0, found, self.other[at] / np.maximum(others, 1) * self.ratio)
        return np.asarray(found, np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


def guess_prefix(name: str = "default") -> str:
    """Name in the store of the folder of this guess; InputError if it would leave the study."""
    if not name or "/" in name or name.startswith("."):
        raise InputError(f"a guess's name must be one plain folder name, got {name!r}")
    return f"{GUESSES}/{name}"


def guess_names(store: Store) -> list[str]:
    """The guesses of a study."""
    return sorted({name.split("/")[1] for name in store.names(GUESSES) if name.endswith(f"/{META}")})


def save_guess(study: StoredStudy, guess: Guess, name: str = "default") -> str:
    """Keep a guess in the study under this name, in place of any there; returns where it is."""
    folder = guess_prefix(name)
    study.store.delete(f"{folder}/{META}")
    digests = {
        part: replace_hashed(
            study.store,
            f"{folder}/{part}.npy",
            lambda file, part=part: np.save(file, getattr(guess, part), allow_pickle=False),  # type: ignore[misc]
        )
        for part in ARRAYS
    }
    put_sealed(study.store, f"{folder}/{META}", {**guess.meta, DIGESTS: digests})
    return study.store.location(folder)


def load_guess(study: StoredStudy, name: str = "default") -> Guess:
    """The guess of this name, mapped where it lies on this machine; InputError says which there are."""
    folder, store = guess_prefix(name), study.store
    try:
        meta = read_sealed(store, f"{folder}/{META}")
    except FileNotFoundError:
        there = guess_names(store)
        say = f"there are {', '.join(there)}" if there else f"run subtrain guess {study.location} first"
        raise InputError(f"{study.location} has no guess named {name!r}: {say}") from None
    digests = meta.pop(DIGESTS, None)
    if not isinstance(digests, dict):
        raise CorruptError(f"{store.location(folder)} is damaged: its metadata have lost the digests of the arrays")
    inside, outside, holding = (_array(store, f"{folder}/{part}.npy", digests.get(part)) for part in ARRAYS)
    return Guess(inside, outside, holding, meta)


def _array(store: Store, file: str, digest: object) -> NDArray[Any]:
    path, location = store.path(file), store.location(file)
    if not store.exists(file):
        raise CorruptError(f"{location} is missing: delete {store.location(file.rpartition('/')[0])}, and guess again")
    if path is None:
        data = store.read(file)
        verify_bytes(data, digest, location)
        return parse_npy(data, location)
    verify_file(path, digest)
    return open_npy(path)


# A table of influence: an array or tensor [n, T], the path of a .npy file, or what `st.guess` made.
Table = Guess | NDArray[Any] | str | Path
Named = tuple[str, Any]


def tables_for(study: StoredStudy, output: str, guess: Table | Sequence[Table]) -> tuple[list[Named], tuple[str, ...]]:
    """`tables_of` for an output of a study, whose guesses may be given by their names; and what to say of them."""
    found, notes = [], []
    for one in _several(guess):
        named = isinstance(one, (str, Path)) and Path(one).suffix != ".npy"
        table = load_guess(study, str(one)) if named else one
        found.append(table)
        if not isinstance(table, Guess):
            continue
        if table.meta.get("output") != output:
            raise InputError(
                f"the guess is of {table.meta.get('output')}, but {output} is fitted: make one of {output}"
            )
        if table.meta.get("study_id") != study.identity:
            notes.append("the guess was computed from models of another study: they may have seen held-out subsets")
    targets = int(np.prod(study.outputs[output].shape, dtype=np.int64))
    return tables_of(found, study.n, targets), tuple(notes)


def tables_of(guess: Table | Sequence[Table], n: int, targets: int) -> list[Named]:
    """Tables [n, T] by name, two `MeanTable` of a guess; InputError for another shape, and for what is not finite."""
    found: list[Named] = []
    for k, one in enumerate(_several(guess)):
        number = f"{k + 1}" if len(_several(guess)) > 1 else ""
        if isinstance(one, Guess):
            found += [
                (f"{side}{number}", part) for side, part in zip(("inside", "outside"), one.mean_tables(), strict=True)
            ]
        elif isinstance(one, (str, Path)):
            found.append((Path(one).stem, _file(Path(one))))
        else:
            found.append((f"table{number}", _array_of(one)))
    return [(name, _checked(name, part, n, targets)) for name, part in found]


def _several(guess: Any) -> Sequence[Any]:
    return guess if isinstance(guess, (list, tuple)) else [guess]


def _array_of(table: Any) -> NDArray[Any]:
    try:
        return as_array(table)
    except NoArrayError as error:
        raise InputError(f"a table must be an array of numbers [n, T], got {error}") from None


def _file(path: Path) -> NDArray[Any]:
    if path.suffix != ".npy" or not path.is_file():
        raise InputError(f"a table is an array [n, T] or the path of a .npy file; there is no such file {path}")
    return open_npy(path)


def _checked(name: str, found: Any, n: int, targets: int) -> Any:
    if found.ndim == 1 and targets == 1:
        found = found[:, None]
    if found.shape != (n, targets):
        turned = ": give its transpose" if found.shape == (targets, n) else ""
        raise InputError(f"the table {name} has shape {list(found.shape)}, not [{n} units, {targets} targets]{turned}")
    if found.dtype.kind not in "fiu":
        raise InputError(f"the table {name} must hold numbers, got dtype {found.dtype}")
    for start in range(0, n, ROWS):
        some = found[start : start + ROWS]
        bad = np.argwhere(~np.isfinite(some))
        if bad.size:
            row, target = bad[0].tolist()
            raise InputError(f"the table {name} is {some[row, target]} at unit {row + start}, target {target}")
    return found


@dataclass(frozen=True, eq=False)
class JudgedTable:
    """A table of influence as `evaluate` reads datamodels: weight [n, T], without a bias."""

    weight: NDArray[np.floating[Any]]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table, study: StoredStudy, output: str | None) -> JudgedTable:
        """InputError for another shape, and what is not finite. Of a guess, the sum of both of its tables."""
        name = output or (table.meta["output"] if isinstance(table, Guess) else next(iter(study.outputs)))
        targets = int(np.prod(study.outputs[name].shape, dtype=np.int64))
        parts = [part for _, part in tables_of(table, study.n, targets)]
        if len(parts) == 1:
            return cls(parts[0], {"output": name})
        return cls(np.sum([np.asarray(part) for part in parts], axis=0, dtype=np.float64), {"output": name})

    @property
    def n(self) -> int:
        """Units."""
        return len(self.weight)

    @property
    def targets(self) -> int:
        """Targets."""
        return int(self.weight.shape[1])

    @property
    def bias(self) -> NDArray[np.float64]:
        """None: zeros [T]."""
        return np.zeros(self.targets)

    def predict(self, masks: Masks) -> NDArray[np.float64]:
        """[m, T], right but for a constant and a scale."""
        return masks.times(self.weight)
