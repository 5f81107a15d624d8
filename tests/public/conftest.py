"""Mirrors of the published data for each test, in memory and in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from mirror import ADDRESS, Mirror, Watched, catalogue_data, key_of, npy, toy_arrays


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Mirror:
    monkeypatch.setenv("SUBTRAIN_CACHE", str(tmp_path / "cache"))
    store, arrays = MemoryStore(), toy_arrays()
    made = Mirror(store, Watched(store, ADDRESS, True), arrays, tmp_path / "catalogue.json")
    for kind, array in arrays.items():
        made.put(kind, npy(array))
    made.catalogue.write_text(json.dumps(catalogue_data()))
    return made


@pytest.fixture
def published(mirror) -> Callable:
    """published(**options): the mirror's models, opened."""
    from subtrain import public

    def opened(**options) -> public.Published:
        plan = {"catalogue_file": mirror.catalogue, "address": mirror.source} | options
        return public.open("toy", 0.5, **plan)

    return opened


@pytest.fixture
def folder(mirror, tmp_path, monkeypatch) -> Path:
    """The same files in a folder, with a catalogue beside it whose address is the folder."""
    root = tmp_path / "files"
    for kind, array in mirror.arrays.items():
        path = root / key_of(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(npy(array))
    mirror.catalogue.write_text(json.dumps(catalogue_data("files", pays=False)))
    return root
