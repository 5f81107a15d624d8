"""A small mirror of the published data: true headers, dtypes and order, in obstore's store in memory."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import obstore
from obstore.store import MemoryStore

from subtrain.public.remote.source import RemoteSource

MODELS, HELDOUT, UNITS, TARGETS = 260, 60, 24, 5
ADDRESS = "s3://mirror"
FILES = {
    "train_masks": ([MODELS, UNITS], "bool"),
    "test_margins": ([MODELS, TARGETS], "float16"),
    "train_margins": ([MODELS, UNITS], "float16"),
    "test_logits": ([MODELS, TARGETS, 3], "float16"),
}


def key_of(kind: str) -> str:
    return f"toy/data/{kind}_50pct.npy"


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def catalogue_data(address: str = ADDRESS, pays: bool = True) -> dict:
    files = [
        {"key": key_of(kind), "dataset": "toy", "kind": kind, "pct": 50, "shape": shape, "dtype": dtype}
        for kind, (shape, dtype) in FILES.items()
    ]
    lost = {"key": "toy/datamodels/train_50pct.pt", "kind": "train_datamodels", "missing": "it was never there"}
    files.append({**files[0], **lost, "shape": [UNITS, UNITS], "dtype": "float32"})
    about = {"title": "Toy", "units": UNITS, "targets": TARGETS, "heldout": HELDOUT}
    rates = {"per_gib": 0.09, "per_request": 4e-7, "per_list": 5e-6}
    return {
        "format": 1,
        "name": "a toy",
        "address": address,
        "requester_pays": pays,
        "rates": rates,
        "sources": {},
        "datasets": {"toy": about},
        "files": files,
    }


def toy_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Masks, and outputs that depend on a few units."""
    random = np.random.default_rng(seed)
    masks = random.random((MODELS, UNITS)) < 0.5
    weight = np.zeros((UNITS, TARGETS))
    weight[random.permutation(UNITS)[:TARGETS], range(TARGETS)] = 2.0
    margins = masks @ weight + random.normal(size=(MODELS, TARGETS)) * 0.2
    return {
        "train_masks": masks,
        "test_margins": margins.astype(np.float16),
        "train_margins": random.normal(size=(MODELS, UNITS)).astype(np.float16),
        "test_logits": random.normal(size=(MODELS, TARGETS, 3)).astype(np.float16),
    }


def came(journal: Path) -> int:
    """Bytes that a journal says are there; the line of a write under way counts for nothing."""
    found = 0
    for line in journal.read_text().split("\n") if journal.exists() else ():
        try:
            noted = json.loads(line)
        except ValueError:
            continue
        found += noted["to"] - noted["at"] if "at" in noted else 0
    return found


@dataclass(frozen=True)
class Watched(RemoteSource):
    """A source that remembers which bytes were asked of it."""

    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def stream(self, key, start, stop, version, chunk=1 << 20):
        self.asked.append((key, start, stop))
        yield from super().stream(key, start, stop, version, chunk)

    def bytes_asked(self) -> int:
        return sum(stop - start for _, start, stop in self.asked)


@dataclass(frozen=True)
class Mirror:
    store: MemoryStore
    source: Watched
    arrays: dict[str, np.ndarray]
    catalogue: Path

    def put(self, kind: str, data: bytes) -> None:
        """Put other bytes in the place of an array's."""
        obstore.put(self.store, key_of(kind), data)
