"""Datamodels: one linear function of the mask per target, in raw-mask units, and what is known of how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import is_zipfile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.designs.model_rows import numbers_below, whole_numbers
from subtrain.errors import CorruptError, InputError
from subtrain.levels import ERROR as ERROR_ROW
from subtrain.levels import basis, places, said_of_level
from subtrain.masks import Masks, pack
from subtrain.store import atomic_files
from subtrain.store.folder import Folder
from subtrain.store.npy_files import open_npy, open_verified, parse_npy
from subtrain.store.protocol import JSON_BYTES, Store, parse_json, put_json, read_capped
from subtrain.store.seal import SEAL, replace_hashed, sealed, unsealed, verify_bytes, verify_file
from subtrain.studies.stored_study import FIT_META as META
from subtrain.system.notebook import html_table
from subtrain.system.paths import local_path
from subtrain.system.user_warning import warn_user

if TYPE_CHECKING:
    from subtrain.evaluation import Evaluation
    from subtrain.studies.stored_study import StoredStudy

TORCH = "datamodels.pt"
ARRAYS = ("weight", "bias", "lam")
# The arrays that not every fit has.
ERROR, LEVEL = MORE = "error", "level"
# Where the metadata keep the digests of the files, by array, and of the .pt file by this name.
DIGESTS, PT = "sha256", "pt"


class Influence(NamedTuple):
    """A unit and its weight: how much including it raises the target's output."""

    unit: int
    weight: float


@dataclass(frozen=True, eq=False)
class Datamodels:
    """g(mask) = weightᵀ mask + bias for every target (paper, equation 1), plus what the mask's size alone does.

    Args:
        weight: float32 [n, T], in raw 0/1-mask units: a positive weight means that training on the unit raises the
            output.
        bias: float64 [T].
        lam: float64 [T], the λ of each target in its solver's units.
        meta: How they were made, as plain JSON: output, scale, alpha, estimator, and the models that were used.
        error: float32 [n, T], the standard error of each weight, where the estimator itself tells it. Default None.
        level: float64 [3, T], of masks larger than alpha n, where anchors tell it: slope and bend of the output between
            alpha n and all units, beyond what the weights say, and the standard error of their sum. Default None: such
            predictions rest on the weights' sum, which models of one size do not identify.

    Raises:
        InputError: For arrays whose shapes do not fit.

    Example:
        >>> dm.n, dm.targets
        (30, 8)
        >>> dm.predict(study.masks([0, 1])).shape
        (2, 8)
        >>> len(dm.top(7, k=3))
        3
    """

    weight: NDArray[np.floating[Any]]
    bias: NDArray[np.floating[Any]]
    lam: NDArray[np.floating[Any]]
    meta: Mapping[str, Any] = field(default_factory=dict)
    error: NDArray[np.floating[Any]] | None = None
    level: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        if self.error is not None and self.error.shape != self.weight.shape:
            raise InputError(f"errors are of shape {list(self.error.shape)}, the weights of {list(self.weight.shape)}")
        if self.level is not None and self.level.shape != (3, self.weight.shape[-1]):
            raise InputError(f"a level is of shape [3, {self.weight.shape[-1]}], got {list(self.level.shape)}")
        if self.weight.ndim != 2 or self.bias.shape != self.lam.shape or self.bias.shape != self.weight.shape[1:]:
            raise InputError(
                "datamodels need weight [n, T], bias [T] and lam [T], got "
                f"{list(self.weight.shape)}, {list(self.bias.shape)}, {list(self.lam.shape)}"
            )

    @property
    def n(self) -> int:
        """Units."""
        return int(self.weight.shape[0])

    @property
    def targets(self) -> int:
        """Targets."""
        return int(self.weight.shape[1])

    def __repr__(self) -> str:
        nonzero = np.count_nonzero(self.weight) / max(1, self.targets)
        output = f", output={self.meta['output']!r}" if "output" in self.meta else ""
        return f"Datamodels(units={self.n}, targets={self.targets}, nonzero={nonzero:.0f} a target{output})"

    def _repr_html_(self) -> str:
        known = {k: self.meta[k] for k in ("output", "estimator", "models", "alpha", "created") if k in self.meta}
        facts = {"units": self.n, "targets": self.targets, **known}
        if self.targets:
            facts["λ, median over targets"] = float(np.median(self.lam))
        return html_table(repr(self), {"": list(facts), " ": list(facts.values())}, rows=len(facts))

    def predict(self, masks: Masks | ArrayLike, targets: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Predicted outputs [m, T] of models trained on these masks (bool, 0/1 or packed; [m, n] or one [n])."""
        one = not isinstance(masks, Masks) and np.ndim(masks) == 1
        packed = pack(np.asarray(masks)[None] if one else masks)
        if packed.n != self.n:
            raise InputError(f"these datamodels are over {self.n} units, the masks over {packed.n}")
        columns = slice(None) if targets is None else self._targets(targets)
        weight, bias = self.weight[:, columns].astype(np.float64), self.bias[columns].astype(np.float64)
        out = packed.times(weight) + bias
        if self.level is not None:
            out += self.level_of(packed.sizes(), targets)
        return out[0] if one else out

    def level_of(self, sizes: ArrayLike, targets: Sequence[int] | None = None) -> NDArray[np.float64]:
        """What masks of these sizes [k] add to the outputs, beside their units, float64 [k, T]; 0 without anchors.

        It is 0 for masks of the design's size, alpha n, on which datamodels are fitted and evaluated.
        """
        columns = slice(None) if targets is None else self._targets(targets)
        if self.level is None:
            return np.zeros((np.size(sizes), self.bias[columns].size))
        place = places(np.atleast_1d(sizes), self.n, float(self.meta["alpha"]))
        return np.asarray(basis(place) @ self.level[:ERROR_ROW, columns], np.float64)

    def whole(self, targets: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Predicted outputs [T] of a model of all units: right where anchors tell the level (see `level_said`).

        Example:
            >>> bool(np.allclose(dm.whole(), dm.predict(np.ones(dm.n, bool))))
            True
        """
        columns = slice(None) if targets is None else self._targets(targets)
        found = self.bias[columns] + self.weight[:, columns].sum(axis=0, dtype=np.float64)
        return np.asarray(found + self.level_of([self.n], targets)[0], np.float64)

    @property
    def level_said(self) -> str:
        """What tells the level of predictions for more units than alpha n, or that nothing does."""
        return said_of_level(self.meta, self.level is not None)

    def top(self, target: int, k: int = 10) -> list[Influence]:
        """The k units that raise the target's output most, largest weight first (units of weight ≤ 0 left out).

        Of margins these help; of losses they harm, and `bottom` helps.
        """
        return self._ranked(target, k, 1)

    def bottom(self, target: int, k: int = 10) -> list[Influence]:
        """The k units that lower the target's output most, most negative weight first: of margins they harm."""
        return self._ranked(target, k, -1)

    def _ranked(self, target: int, k: int, sign: int) -> list[Influence]:
        w = self.weight[:, int(self._targets([target])[0])]
        order = np.argsort(-sign * w, kind="stable")[: max(0, k)]
        return [Influence(int(u), float(w[u])) for u in order if sign * w[u] > 0]

    def effect_of_removing(self, units: Sequence[int], targets: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Predicted change of every target's output when these units leave the whole training set, [T].

        −Σ weight (paper, section 3.1, counterfactuals), and what so many units fewer do, whichever they are, where
        anchors tell it. A unit counts once, however often it is named.
        """
        index = np.unique(numbers_below("units", units, self.n))
        columns = slice(None) if targets is None else self._targets(targets)
        lost = self.weight[index][:, columns].sum(axis=0, dtype=np.float64)
        return np.asarray(0.0 - lost + self.level_lost([index.size], targets)[0])

    def level_lost(self, removed: ArrayLike, targets: Sequence[int] | None = None) -> NDArray[np.float64]:
        """What removing so many units [k] from all does to outputs [k, T], whichever they are; 0 without anchors."""
        return self.level_of(self.n - np.asarray(removed), targets) - self.level_of([self.n], targets)

    def evaluate(self, study: StoredStudy, output: str | None = None, **options: Any) -> Evaluation:
        """What these datamodels are worth on held-out models of a study that they never saw; see `subtrain.evaluate`.

        Example:
            >>> dm.evaluate(study).subsets
            10
        """
        from subtrain.evaluation import evaluate

        return evaluate(self, study, output, **options)

    def _targets(self, targets: Sequence[int]) -> NDArray[np.int64]:
        index = whole_numbers("targets", targets)
        if index.size and (index.min() < 0 or index.max() >= self.targets):
            bad = index[(index < 0) | (index >= self.targets)][0]
            raise InputError(f"there is no target {bad}: targets are numbered 0 to {self.targets - 1}")
        return index

    def save(self, path: str | Path) -> Path:
        """Write to `path`: one `.pt` file of exactly weight, bias, lam with `.json` beside it, or a folder.

        A folder holds weight.npy, bias.npy, lam.npy, error.npy and level.npy where these are known, and
        datamodels.json for numpy alone, and datamodels.pt, all of the weight's dtype and of these three alone, where
        torch is installed. The metadata, with a sha256 of each file, is written last, so that a folder without it is
        not yet whole.
        """
        path = local_path(path)
        folder = Folder(path.parent if path.suffix == ".pt" else path, links=True)
        folder.prepare()
        if path.suffix == ".pt":
            beside = path.with_suffix(".json").name
            folder.delete(beside)
            _put_meta(folder, beside, self, {PT: _save_torch(folder, path.name, self)})
        else:
            save_to(folder, "", self)
        return path

    @staticmethod
    def load(path: str | Path) -> Datamodels:
        """Datamodels from a folder or `.pt` file that `save` wrote, or a `.pt` file of {weight, bias, lam}.

        Files may be symbolic links, as in a download cache. Raises InputError if there are none, CorruptError if they
        are damaged. A foreign `.pt` file has no metadata: its weights are taken as they are, with a warning.
        """
        path = local_path(path)
        if path.is_dir():
            return load_from(Folder(path, links=True), "")
        if path.suffix != ".pt" or not path.is_file():
            raise InputError(f"{path} is neither a folder of datamodels nor a .pt file")
        beside = path.with_suffix(".json")
        meta: Mapping[str, Any] = {}
        if beside.is_file():
            meta, digests = split_meta(atomic_files.read_json(beside), beside)
            if digests is not None:
                verify_file(path, digests.get(PT))
        else:
            warn_user(f"{path} has no metadata beside it; its weights are taken to be in raw-mask units")
        weight, bias, lam = _load_torch(path)
        return Datamodels(weight, bias.astype(np.float64), lam.astype(np.float64), meta)


def save_to(store: Store, folder: str, datamodels: Datamodels) -> None:
    """Write datamodels to a folder of a store, as `Datamodels.save` does; the metadata last."""
    place = f"{folder}/" if folder else ""
    store.delete(place + META)
    digests = {}
    for name in MORE:
        store.delete(f"{place}{name}.npy")
    for name in (*ARRAYS, *(name for name in MORE if getattr(datamodels, name) is not None)):
        array = np.ascontiguousarray(getattr(datamodels, name))
        digests[name] = replace_hashed(
            store,
            f"{place}{name}.npy",
            lambda file, array=array: np.save(file, array, allow_pickle=False),  # type: ignore[misc]
        )
    if _has_torch():
        digests[PT] = _save_torch(store, place + TORCH, datamodels)
    _put_meta(store, place + META, datamodels, digests)


def _put_meta(store: Store, name: str, datamodels: Datamodels, digests: Mapping[str, str]) -> None:
    put_json(store, name, sealed({**datamodels.meta, DIGESTS: dict(digests)}))


def split_meta(data: Any, location: object, required: bool = False) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The metadata of datamodels, and the digests of their files; None for those of version 0.1.0, which has none.

    CorruptError if the metadata are not as they were written, or, if `required`, have no digests.
    """
    marked = required or (isinstance(data, dict) and (SEAL in data or DIGESTS in data))
    meta = unsealed(data, location, marked)
    digests = meta.pop(DIGESTS, None)
    if marked and not isinstance(digests, dict):
        raise CorruptError(f"{location} is damaged: it has lost the digests of the arrays beside it")
    return meta, digests


def load_from(store: Store, folder: str, required: bool = False) -> Datamodels:
    """Datamodels from a folder of a store: mapped where it lies on this machine, else read into memory.

    CorruptError unless every byte is as it was written. required: whether they must have digests, as all have that a
    version after 0.1.0 wrote.
    """
    place = f"{folder}/" if folder else ""
    seen = None
    while True:
        try:
            text = read_capped(store, place + META, JSON_BYTES)
        except FileNotFoundError:
            raise InputError(f"{store.location(folder)} holds no datamodels: there is no {META} in it") from None
        try:
            return _loaded(store, place, text, required)
        except (CorruptError, InputError, FileNotFoundError) as error:
            # Others may have been put in their place at this moment: then the metadata have changed, too.
            if text == seen:
                say = f"the datamodels in {store.location(folder)} are damaged: {error}; fit again to make them anew"
                raise CorruptError(say) from error
            seen = text


def _loaded(store: Store, place: str, text: bytes, required: bool) -> Datamodels:
    location = store.location(place + META)
    meta, digests = split_meta(parse_json(text, location), location, required)
    weight, bias, lam = (_array(store, place, name, digests) for name in ARRAYS)
    error, level = (_array(store, place, name, digests) if digests and name in digests else None for name in MORE)
    return Datamodels(weight, np.array(bias), np.array(lam), meta, error, None if level is None else np.array(level))


def _array(store: Store, place: str, name: str, digests: Mapping[str, Any] | None) -> NDArray[Any]:
    file = f"{place}{name}.npy"
    path, location = store.path(file), store.location(file)
    if path is None:
        data = store.read(file)
        if digests is not None:
            verify_bytes(data, digests.get(name), location)
        return parse_npy(data, location)
    return open_npy(path) if digests is None else open_verified(path, digests.get(name))


def _has_torch() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None


def _save_torch(store: Store, name: str, datamodels: Datamodels) -> str:
    """Returns the sha256 of the file."""
    try:
        import torch
    except ImportError:
        raise InputError(
            "writing a .pt file needs PyTorch: pip install 'subtrain[torch]', or save to a folder"
        ) from None
    # All of one dtype, as the published files are: torch.addmm(bias, masks, weight) takes no other.
    kind = datamodels.weight.dtype.newbyteorder("=")
    arrays = {name: torch.from_numpy(np.array(getattr(datamodels, name), kind)) for name in ARRAYS}
    return replace_hashed(store, name, lambda file: torch.save(arrays, file))


def _load_torch(path: Path) -> list[NDArray[Any]]:
    try:
        import torch
    except ImportError:
        raise InputError("reading a .pt file needs PyTorch: pip install 'subtrain[torch]'") from None
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
        return [data[name].detach().numpy() for name in ARRAYS]
    except Exception as error:
        raise CorruptError(f"{path} is not a whole file of {{weight, bias, lam}}: {error}") from error
