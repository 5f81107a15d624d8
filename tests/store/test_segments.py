"""Committed segments: what is read is what was written, or an error that names the file."""

from __future__ import annotations

import itertools
import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from subtrain import Output
from subtrain.errors import CorruptError, InputError
from subtrain.store.folder import Folder
from subtrain.studies.segments import segment_file
from subtrain.studies.segments.output_rows import SegmentRows, plan_segments

SCHEMA = {"a": Output((3,), "float16"), "b": Output((), "int64"), "c": Output((3,), "float16")}
RANDOM = np.random.default_rng(0)
VALUES = {
    "a": RANDOM.normal(size=(6, 3)).astype(np.float16),
    "b": RANDOM.integers(0, 99, 6),
    "c": RANDOM.normal(size=(6, 3)).astype(np.float16),
}


def written(folder, kind=segment_file.WHOLE, name=None):
    """Models 8 to 13, or of a segment with gaps all but 10 and 11."""
    rows = [8, 9, 12, 13] if kind == segment_file.GAPS else list(range(8, 14))
    arrays = {k: v[np.array(rows) - 8] for k, v in VALUES.items()}
    path = folder / (name or segment_file.file_name(8, 14, kind))
    assert segment_file.write_segment(*placed(path), rows, arrays, "me", "sha of masks", {"host": "h"})
    return path, rows, arrays


def placed(path):
    return Folder(path.parent), path.name


def read_rows(path):
    return segment_file.read_rows(*placed(path))


def read(path, names=("a", "b", "c"), schema=SCHEMA, identity="me"):
    return segment_file.read_segment(*placed(path), schema, list(names), identity)


KINDS = [segment_file.WHOLE, segment_file.GAPS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_segment_comes_back(tmp_path, kind):
    path, rows, arrays = written(tmp_path, kind)
    found, header = read(path)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    assert header["masks_sha256"] == "sha of masks"
    assert [r for a, b in segment_file.read_rows(*placed(path)) for r in range(a, b)] == rows
    assert read(path, ["b"])[0].keys() == {"b"}
    assert np.array_equal(load_file(path)["a"], arrays["a"]), "safetensors alone can open it"
    assert not segment_file.write_segment(*placed(path), rows, {k: v * 0 for k, v in arrays.items()}, "me", "", {})
    assert np.array_equal(read(path)[0]["a"], arrays["a"])


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere(tmp_path, kind):
    path, _, _ = written(tmp_path, kind)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptError, match=rf"segment {path} is damaged: .*; delete the file and collect again"):
            read(path)
        with pytest.raises(CorruptError, match=path.name):
            read_rows(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptError, match=path.name):
        read(path)


@pytest.fixture(scope="module", params=KINDS)
def intact(request, tmp_path_factory):
    path, rows, arrays = written(tmp_path_factory.mktemp("flip"), request.param)
    return path, path.read_bytes(), rows, arrays


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_flipped_anywhere(intact, data):
    """A changed byte is an error that names the file; a change that means nothing may go by, with the right data."""
    path, raw, rows, arrays = intact
    whole = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        found, header = read(path)
    except CorruptError as error:
        said = str(error)
    else:
        said = str(path)
        assert [r for a, b in header["rows"] for r in range(a, b)] == rows
        assert all(found[name].tobytes() == array.tobytes() for name, array in arrays.items())
    assert str(path) in said


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_the_header_and_the_data_counts(tmp_path, kind):
    path, rows, arrays = written(tmp_path, kind)
    whole = path.read_bytes()
    passed = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            found, header = read(path)
        except CorruptError:
            continue
        passed += 1
        assert [r for a, b in header["rows"] for r in range(a, b)] == rows
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert passed == 0


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff" * 100, b"not a segment", b"\x02\0\0\0\0\0\0\0{}"])
def test_other_files_under_its_name(tmp_path, content):
    path = tmp_path / segment_file.file_name(0, 4)
    path.write_bytes(content)
    with pytest.raises(CorruptError, match=path.name):
        read(path)


def test_a_segment_that_lost_its_header(tmp_path):
    path, _, arrays = written(tmp_path)
    for metadata in (None, {"subtrain": "{}"}, {"subtrain": json.dumps({"rows": [[8, 14]]})}):
        save_file(arrays, path, metadata)
        with pytest.raises(CorruptError, match=path.name):
            read(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (segment_file.WHOLE, "000009-000014.seg"),
        (segment_file.WHOLE, "000008-000012.seg"),
        (segment_file.WHOLE, "000008-000014.seg"),
        (segment_file.GAPS, "000008-000013.seg"),
        (segment_file.GAPS, "000009-000014.gaps"),
        (segment_file.GAPS, "000000-000007.gaps"),
    ],
)
def test_a_renamed_segment_is_refused(tmp_path, kind, name):
    path, _, _ = written(tmp_path, kind)
    path = path.rename(tmp_path / name)
    for action in (read, read_rows):
        with pytest.raises(CorruptError, match=f"{name} is damaged: .*its name does not fit the models in it"):
            action(path)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({**SCHEMA, "a": Output((4,), "float16")}, r"a is float16 \[6, 3\], not float16 \[6, 4\]"),
        ({**SCHEMA, "a": Output((3,), "float32")}, r"a is float16 \[6, 3\], not float32 \[6, 3\]"),
        ({**SCHEMA, "a": Output((3,), "int16")}, r"a is float16 \[6, 3\], not int16"),
        ({**SCHEMA, "d": Output((3,), "int16")}, "it cannot be read"),
    ],
)
def test_another_schema_is_refused(tmp_path, schema, sentence):
    path, _, _ = written(tmp_path)
    with pytest.raises(CorruptError, match=f"{path.name} is damaged: {sentence}"):
        read(path, schema, schema)


def test_arrays_that_changed_places_are_refused(tmp_path):
    path, _, arrays = written(tmp_path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file({**arrays, "a": arrays["c"], "c": arrays["a"]}, path, metadata)
    with pytest.raises(CorruptError, match="the bytes of a have changed"):
        read(path)


def test_a_segment_of_another_study_is_refused(tmp_path, make_study):
    one, other = make_study(name="one"), make_study(name="other", seed=2)
    stranger = other.path / "segments" / "000004-000007.seg"
    shutil.copy(stranger, one.path / "segments")
    assert one.read("test_margins", range(4)).shape == (4, 3)
    with pytest.raises(CorruptError, match=r"one/segments/000004-000007.seg is damaged: it belongs to another study"):
        one.read("test_margins")


def test_rows_from_many_files_in_any_order(make_study):
    study = make_study()
    everything = study.read("test_margins", range(16))
    assert np.array_equal(study.read("test_margins"), everything)
    for rows in ([15, 0, 9, 9, 10], slice(None, None, -3), [], [13]):
        index = np.arange(16)[rows] if isinstance(rows, slice) else rows
        assert np.array_equal(study.read("test_margins", rows), everything[index])
    os.unlink(study.path / "segments" / "000004-000007.seg")
    assert study.done().tolist() == [0, 1, 2, 3, *range(8, 16)]
    assert np.array_equal(study.read("test_margins"), everything[study.done()])
    with pytest.raises(InputError, match="2 of 3 models have no outputs yet, the first is model 5; run collect"):
        study.read("test_margins", [3, 5, 4])


def test_gaps_are_used_until_the_whole_is_there(tmp_path):
    folder = tmp_path / "segments"
    folder.mkdir()
    written(folder, segment_file.GAPS)
    rows = SegmentRows(Folder(tmp_path), "segments", SCHEMA, frozenset([(0, 8), (8, 14)]), "me")
    (folder / "000000-000099.seg").write_bytes(b"no segment of this study")
    assert rows.committed() == [(8, 10), (12, 14)]
    assert rows.whole() == set()
    assert np.array_equal(rows.read("b", np.array([13, 8])), VALUES["b"][[5, 0]])
    with pytest.raises(InputError, match="1 of 2 models have no outputs yet, the first is model 10"):
        rows.read("b", np.array([9, 10]))
    written(folder)
    assert rows.committed() == [(8, 14)]
    assert rows.whole() == {(8, 14)}
    assert np.array_equal(rows.read("b", np.arange(8, 14)), VALUES["b"])


@given(st.lists(st.integers(0, 10**7), unique=True))
def test_runs_cover_every_number_once(numbers):
    numbers.sort()
    found = segment_file.runs(numbers)
    assert [x for a, b in found for x in range(a, b)] == numbers
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))


def test_file_names_hold_both_ends():
    assert segment_file.file_name(0, 64) == "000000-000063.seg"
    assert segment_file.parse_file_name("000000-000063.seg") == (0, 64)
    assert segment_file.parse_file_name(segment_file.file_name(5, 1_234_567_890, ".gaps")) == (5, 1_234_567_890)
    for name in ("0-63.seg", "000000-000063.seg.tmp", ".000000-000063.seg.host.1.ab.tmp", "readme"):
        assert segment_file.parse_file_name(name) is None


def test_segments_never_cross_a_block_of_the_design(make_study):
    study = make_study(done=False, models=10, heldout=3, replicates=2, segment=4)
    assert study.segments == [(0, 4), (4, 8), (8, 10), (10, 14), (14, 16)]
    longer = study.extend(models=5)
    assert longer.segments == [*study.segments, (16, 20), (20, 21)]
    assert plan_segments(study.design.blocks, 100) == [(0, 10), (10, 16)]
