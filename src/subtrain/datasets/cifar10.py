"""CIFAR-10 from its official archives, python or binary, in the default order of the published columns."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.system.paths import local_path

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


class Version(NamedTuple):
    """One official archive (https://www.cs.toronto.edu/~kriz/cifar.html): its files, and how one of them is read."""

    archive: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    read: Callable[[bytes], Split]


def cifar10(path: str | Path, download: bool = False, verify: bool = True) -> dict[str, Split]:
    """Both splits, "train" [50000] and "test" [10000]: images uint8 [N, 32, 32, 3] and labels int64 0..9.

    path: an official archive (cifar-10-python.tar.gz or cifar-10-binary.tar.gz), the folder it unpacks to, or a folder
    that holds either; nothing is unpacked and no code in a pickle is run. Image i is row or column i of the published
    matrices. download: fetch the binary archive (170 MB) into the folder `path` if there is nothing yet. verify:
    compare an archive with the official md5. Raises InputError if nothing is there, CorruptError for damaged files.
    """
    where = _found(local_path(path))
    if where is None and download:
        where = _download(local_path(path))
    if where is None:
        names = " or ".join(version.archive for version in VERSIONS)
        raise InputError(f"{path} holds no CIFAR-10: give {names}, a folder with it, or download=True")
    version, contents = _archived(where, verify) if where.is_file() else _unpacked(where)
    parts = [_read(version, name, contents[name]) for name in (*version.train, version.test)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True))
    return {"train": (images, labels), "test": parts[-1]}


def _found(path: Path) -> Path | None:
    """The archive or folder of batches that `path` is, or holds."""
    if path.is_file():
        return path
    choices = [path, *(path / name for version in VERSIONS for name in (version.folder, version.archive))]
    return next((choice for choice in choices if choice.is_file() or _version(choice)), None)


def _version(folder: Path) -> Version | None:
    return next((version for version in VERSIONS if (folder / version.test).is_file()), None)


def _unpacked(folder: Path) -> tuple[Version, dict[str, bytes]]:
    version = _version(folder)
    assert version is not None
    try:
        return version, {name: (folder / name).read_bytes() for name in (*version.train, version.test)}
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not the whole of CIFAR-10: it has no {Path(error.filename).name}") from None


def _archived(archive: Path, verify: bool) -> tuple[Version, dict[str, bytes]]:
    if verify:
        _check_md5(archive)
    try:
        with tarfile.open(archive) as tar:
            members = {Path(member.name).name: member for member in tar if member.isfile()}
            version = next((v for v in VERSIONS if v.test in members), None)
            if version is None:
                raise CorruptError(f"{archive} holds no CIFAR-10 batches")
            missing = [name for name in version.train if name not in members]
            if missing:
                raise CorruptError(f"{archive} lacks {', '.join(missing)}")
            return version, {name: _member(tar, members[name]) for name in (*version.train, version.test)}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CorruptError(f"{archive} is not a whole archive: {error}") from error


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _check_md5(archive: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    official = {version.md5 for version in VERSIONS}
    if found not in official:
        raise CorruptError(
            f"{archive} has md5 {found}, the official archives have {' and '.join(sorted(official))}: "
            "fetch it again, or say verify=False if it is meant to differ"
        )


def _read(version: Version, name: str, content: bytes) -> Split:
    try:
        return version.read(content)
    except Exception as error:  # A damaged pickle can raise almost anything.
        raise CorruptError(f"{name} is not a batch of CIFAR-10: {error}") from error


def _binary(content: bytes) -> Split:
    """Records of a label byte and 1,024 bytes each of red, green and blue."""
    if not content or len(content) % (PIXELS + 1):
        raise ValueError(f"{len(content)} bytes are no whole number of records of {PIXELS + 1}")
    records = np.frombuffer(content, np.uint8).reshape(-1, PIXELS + 1)
    return _split(records[:, 1:], records[:, 0])


def _pickled(content: bytes) -> Split:
    batch = _Plain(io.BytesIO(content), encoding="bytes").load()
    return _split(np.asarray(batch[b"data"]), np.asarray(batch[b"labels"]))


def _split(rows: NDArray[Any], labels: NDArray[Any]) -> Split:
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != PIXELS or labels.shape != (len(rows),):
        raise ValueError(f"pixels {rows.dtype} {list(rows.shape)} and labels {list(labels.shape)} are no batch")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise ValueError("its labels are not numbers 0 to 9")
    images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels.astype(np.int64)


class _Plain(pickle.Unpickler):
    """Unpickles arrays, lists, strings and numbers, and refuses everything else: a pickle may hold code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.rpartition(".")[2], name) == ("multiarray", "_reconstruct") and module.startswith("numpy."):
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: str(text).encode("latin1")
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which a batch of images does not need")


VERSIONS = (
    Version(
        "cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
        "test_batch.bin",
        _binary,
    ),
    Version(
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        "cifar-10-batches-py",
        tuple(f"data_batch_{k}" for k in range(1, 6)),
        "test_batch",
        _pickled,
    ),
)
SITE = "https://www.cs.toronto.edu/~kriz/"


def _download(folder: Path) -> Path:
    """The binary archive, fetched into the folder; it takes its name there only once it is whole and its md5 right."""
    import shutil
    import urllib.request

    archive = folder / VERSIONS[0].archive
    partial = archive.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(SITE + archive.name, timeout=60) as reply, partial.open("wb") as file:
            shutil.copyfileobj(reply, file)
        _check_md5(partial)
        partial.replace(archive)
    except OSError as error:
        raise StorageError(f"{SITE}{archive.name} could not be fetched into {folder}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return archive
