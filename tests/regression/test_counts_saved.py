"""Counts kept in a folder: resumed where they stopped, extended by the new models only, refused when damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import CorruptError, InputError
from subtrain.masks import Masks, pack
from subtrain.regression.counting import count_stream
from subtrain.regression.counting.count_stream import count, count_blocks
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.saved_counts import load_counts, save_counts

Block = tuple[Masks, np.ndarray]
KINDS = ("dense", "compact", "none")


@pytest.fixture(autouse=True)
def small_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_stream, "BLOCK", 100)


def world(m: int = 500, n: int = 70, targets: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.random((m, n)) < 0.5, random.normal(size=(m, targets)).astype(np.float16)


def blocks(masks: np.ndarray, y: np.ndarray, size: int = 60, fail_at: int = 10**9) -> Iterator[Block]:
    for start in range(0, len(y), size):
        if start >= fail_at:
            raise KeyboardInterrupt
        yield pack(masks[start : start + size]), y[start : start + size]


def assert_same(a: Counts, b: Counts) -> None:
    assert (a.m, a.n) == (b.m, b.n)
    np.testing.assert_array_equal(np.asarray(a.gram), np.asarray(b.gram))
    for name in ("ones", "xty", "y_sum", "y_min", "y_max"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_allclose(a.y_sq, b.y_sq, rtol=1e-13)


@pytest.mark.parametrize("gram", KINDS)
def test_what_is_saved_is_loaded(tmp_path: Path, gram: str) -> None:
    counts = count(*world(), gram=gram)
    save_counts(tmp_path / "c", counts)
    got = load_counts(tmp_path / "c")
    assert_same(got, counts)
    assert type(got.gram) is type(counts.gram)
    save_counts(tmp_path / "c", got + counts)
    assert_same(load_counts(tmp_path / "c"), counts + counts)
    names = {entry["file"] for entry in json.loads((tmp_path / "c" / "counts.json").read_text())["arrays"].values()}
    assert {path.name for path in (tmp_path / "c").iterdir()} == names | {"counts.json"}


@pytest.mark.parametrize("gram", KINDS)
def test_an_interrupted_count_goes_on_where_it_was(tmp_path: Path, gram: str) -> None:
    masks, y = world()
    with pytest.raises(KeyboardInterrupt):
        count_blocks(blocks(masks, y, fail_at=300), gram=gram, resume=tmp_path / "c", checkpoint_seconds=0)
    held = load_counts(tmp_path / "c")
    assert 0 < held.m < 300
    assert_same(held, count(masks[: held.m], y[: held.m], gram=gram))
    seen: list[int] = []
    again = blocks(masks, y, size=37)
    got = count_blocks(again, gram=gram, resume=tmp_path / "c", progress=lambda _, done, __: seen.append(done))
    assert_same(got, count(masks, y, gram=gram))
    assert seen[0] > held.m
    assert_same(load_counts(tmp_path / "c"), got)


@pytest.mark.parametrize("gram", KINDS)
def test_new_models_are_all_that_is_read(tmp_path: Path, gram: str) -> None:
    masks, y = world()
    first = count(masks[:310], y[:310], gram=gram)
    before = np.asarray(first.gram).copy(), first.xty.copy()
    assert_same(count_blocks(blocks(masks[310:], y[310:]), start=first, gram=gram), count(masks, y, gram=gram))
    np.testing.assert_array_equal(np.asarray(first.gram), before[0])
    np.testing.assert_array_equal(first.xty, before[1])
    # The same by a stream that has grown: what the earlier models' outputs were is not looked at again, but the last.
    count_blocks(blocks(masks[:310], y[:310]), gram=gram, resume=tmp_path / "c")
    y_lost = y.copy()
    y_lost[:240] = np.nan
    assert_same(count_blocks(blocks(masks, y_lost), gram=gram, resume=tmp_path / "c"), count(masks, y, gram=gram))


def test_another_stream_is_refused(tmp_path: Path) -> None:
    masks, y = world()
    count_blocks(blocks(masks[:310], y[:310]), resume=tmp_path / "c")
    with pytest.raises(InputError, match="does not begin with the 310 models"):
        count_blocks(blocks(masks[::-1], y[::-1]), resume=tmp_path / "c")
    with pytest.raises(InputError, match="200 models, fewer than the 310"):
        count_blocks(blocks(masks[:200], y[:200]), resume=tmp_path / "c")
    with pytest.raises(InputError, match="dense Gram; asked for is a compact"):
        count_blocks(blocks(masks, y), resume=tmp_path / "c", gram="compact")
    save_counts(tmp_path / "d", count(masks, y))
    with pytest.raises(InputError, match="start=load_counts"):
        count_blocks(blocks(masks, y), resume=tmp_path / "d")
    with pytest.raises(InputError, match="not both"):
        count_blocks(blocks(masks, y), resume=tmp_path / "c", start=count(masks, y))
    with pytest.raises(InputError, match="no counts in"):
        load_counts(tmp_path / "nowhere")


def test_damage_is_named(tmp_path: Path) -> None:
    counts = count(*world(), gram="compact")
    for damage in ("deviation-", "xty-", "counts.json"):
        folder = tmp_path / damage
        save_counts(folder, counts)
        (path,) = folder.glob(f"{damage}*")
        data = bytearray(path.read_bytes())
        data[-30] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptError, match=damage):
            load_counts(folder)
        path.unlink()
        if damage != "counts.json":
            with pytest.raises(CorruptError, match=damage):
                load_counts(folder)


def test_a_save_that_dies_leaves_the_old_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from subtrain.store import atomic_files

    masks, y = world()
    old = count(masks[:100], y[:100])
    save_counts(tmp_path, old)
    put = atomic_files.replace

    def dies(path: Path, *rest: object) -> None:
        if path.name == "counts.json":
            raise KeyboardInterrupt
        put(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic_files, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        save_counts(tmp_path, count(masks, y))
    assert_same(load_counts(tmp_path), old)


def test_counts_of_the_first_version_open_and_are_not_added_to(tmp_path, monkeypatch):
    """They have no y_dev: it follows from the sums, but a study counts again, for far from zero it would be lost."""
    from subtrain.regression.counting import saved_counts, study_counts

    random = np.random.default_rng(0)
    masks, y = random.random((60, 7)) < 0.5, random.normal(size=(60, 3)) + 5
    monkeypatch.setattr(saved_counts, "SUMS", tuple(name for name in saved_counts.SUMS if name != "y_dev"))
    saved_counts.save_counts(tmp_path / "old", count(masks, y))
    study = st.Study.from_arrays(tmp_path / "s", masks, {"test_margins": y}, heldout=10)
    models = study_counts.Models(study, "test_margins", study.done("fit"))
    study_counts.counted(models, models.rows, "all")
    monkeypatch.undo()
    np.testing.assert_allclose(saved_counts.load_counts(tmp_path / "old").y_dev, 60 * y.var(axis=0), rtol=1e-9)
    assert study_counts.kept_counts(models, models.rows, "all") is None
    study_counts.counted(models, models.rows, "all")
    np.testing.assert_allclose(
        study_counts.kept_counts(models, models.rows, "all").y_dev, 50 * y[:50].var(axis=0), rtol=1e-12
    )
