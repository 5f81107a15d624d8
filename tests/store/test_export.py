"""The public layout: byte for byte what numpy would save, or nothing."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil

import numpy as np
import pytest

from subtrain import Output, Study, banzhaf, learning_curve, standard_errors
from subtrain.designs.model_rows import FIT, ROLES, VALIDATION
from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.explorer.data.provenance import provenance
from subtrain.store import atomic_files
from subtrain.store.seal import sealed
from subtrain.studies import export as export_module
from subtrain.studies.export import export
from subtrain.studies.imports.arrays import import_folder
from subtrain.studies.segments import npy_writer
from subtrain.tasks import batch
from uses.planted import seeded_study
from worlds import linear


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def logits_task():
    def train(masks, seeds):
        return {"test_logits": masks[:, :6].reshape(-1, 2, 3) * 1.5, "loss": seeds.astype(float) % 7}

    return batch(train, 20, {"test_logits": (2, 3), "loss": Output((), "int16")})


@pytest.mark.parametrize("block", [1, 100, 64 << 20])
def test_files_are_what_numpy_saves(make_study, tmp_path, monkeypatch, block):
    monkeypatch.setattr(export_module, "_BLOCK_BYTES", block)
    study = make_study(task=logits_task(), alpha=0.29)
    written = export(study, tmp_path / "out", "name")
    data = tmp_path / "out" / "name" / "data"
    arrays = {
        "train_masks_29pct.npy": study.masks().unpack(),
        "test_logits_29pct.npy": study.read("test_logits"),
        "loss_29pct.npy": study.read("loss"),
    }
    assert written == [*(data / name for name in arrays), data / "study_29pct.json"]
    assert sorted(os.listdir(data)) == sorted([*arrays, *(f"{name}.sha256" for name in arrays), "study_29pct.json"])
    for name, array in arrays.items():
        raw = (data / name).read_bytes()
        assert raw == saved(array)
        assert (data / f"{name}.sha256").read_text() == f"{hashlib.sha256(raw).hexdigest()}  {name}\n"
        mapped = np.load(data / name, mmap_mode="r")
        assert isinstance(mapped, np.memmap)
        assert np.array_equal(mapped, array)
    assert np.load(data / "train_masks_29pct.npy").dtype == bool
    assert np.load(data / "test_logits_29pct.npy").dtype == np.float16
    assert np.load(data / "test_logits_29pct.npy").shape == (16, 2, 3)


def test_exporting_again_changes_nothing(make_study, tmp_path):
    study = make_study()
    before = {p: p.read_bytes() for p in export(study, tmp_path / "out")}
    assert all(p.parent == tmp_path / "out" / "study" / "data" for p in before)
    (tmp_path / "out" / "study" / "data" / "test_margins_50pct.npy").write_bytes(b"damaged since")
    assert {p: p.read_bytes() for p in export(Study.open(study.path), tmp_path / "out")} == before


def test_progress_counts_rows(make_study, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_BLOCK_BYTES", 100)
    seen = []
    export(make_study(), tmp_path / "out", progress=lambda *say: seen.append(say))
    assert [s for s in seen if s[1] == s[2]] == [
        (f"{name}_50pct.npy", 16, 16) for name in ("train_masks", "test_margins", "train_margins")
    ]
    assert [s[1] for s in seen if s[0].startswith("train_masks")] == [5, 10, 15, 16]


def test_refused_while_models_are_missing(make_study, tmp_path):
    study = make_study()
    os.unlink(study.path / "segments" / "000004-000007.seg")
    for one in (study, study.extend(models=2)):
        with pytest.raises(InputError, match=r"(4 of 16|6 of 18) models of .*study are still missing; run collect"):
            export(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_segment_is_found_and_no_half_file_shown(make_study, tmp_path):
    study = make_study()
    path = study.path / "segments" / "000008-000009.seg"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptError, match=r"000008-000009\.seg is damaged: the bytes of train_margins have changed"):
        export(study, tmp_path / "out")
    there = os.listdir(tmp_path / "out" / "study" / "data")
    assert not [name for name in there if name.startswith("train_margins")]
    raw[-1] ^= 1
    path.write_bytes(raw)
    export(study, tmp_path / "out")
    assert not [name for name in os.listdir(tmp_path / "out" / "study" / "data") if name.startswith(".")]


def test_a_folder_that_cannot_be_made(make_study, tmp_path, monkeypatch):
    study = make_study()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*file.*: Not a directory"):
        export(study, tmp_path / "file")

    def closed(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "mkdir", closed)
    with pytest.raises(StorageError, match=r"cannot write .*data: Permission denied"):
        export(study, tmp_path / "closed")


@pytest.mark.parametrize("code", ["EIO", "ESTALE", "ENOTCONN"])
@pytest.mark.parametrize("call", ["replace", "fsync", "unlink", "scandir", "open"])
def test_a_disk_that_fails_is_one_sentence_wherever_it_does(make_study, tmp_path, monkeypatch, call, code):
    study = make_study()
    assert study.models_done() == study.models
    number = getattr(errno, code)

    def failing(*args, **kwargs):
        raise OSError(number, os.strerror(number), "a-file")

    monkeypatch.setattr(npy_writer if call == "open" else os, call, failing, raising=False)
    monkeypatch.setattr(type(study.rows), "committed", lambda rows: [(0, study.models)])
    with pytest.raises(StorageError, match=rf"cannot (read|write) .*: {os.strerror(number)}"):
        export(study, tmp_path / "out")


def test_a_segment_that_cannot_be_read_is_named(make_study, monkeypatch):
    import safetensors

    study = make_study()

    def failing(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(safetensors, "safe_open", failing)
    with pytest.raises(StorageError, match=r"cannot read .*000000-000003\.seg: Input/output error"):
        study.read("test_margins")


@pytest.mark.parametrize("heldout", [0, 3])
def test_round_trip_keeps_held_out_rows_and_replicates(make_study, tmp_path, heldout):
    study = make_study(heldout=heldout, replicates=2).extend(models=3)
    if heldout:
        study = study.extend(heldout=2, replicates=3)
    study.collect(workers=1, progress=False)
    export(study, tmp_path / "out")
    back = import_folder(tmp_path / "back", tmp_path / "out" / "study")
    assert (back.models, back.n, back.models_done()) == (study.models, study.n, study.models)
    assert np.array_equal(back.masks().data, study.masks().data)
    assert back.outputs.keys() == study.outputs.keys()
    for name in study.outputs:
        assert np.array_equal(back.read(name), study.read(name))
    for role in ("fit", "evaluation"):
        assert np.array_equal(back.done(role), study.done(role))
    judged = study.done("evaluation")
    mine, theirs = (s.design.subsets(judged) for s in (study, back))
    assert np.array_equal(mine[:, None] == mine, theirs[:, None] == theirs)
    export(back, tmp_path / "again", "study")
    for path in (tmp_path / "out" / "study" / "data").glob("*.npy*"):
        assert (tmp_path / "again" / "study" / "data" / path.name).read_bytes() == path.read_bytes()


def test_what_the_export_says_of_itself(make_study, tmp_path):
    study = make_study(task=linear(n=24)).extend(heldout=1)
    study.collect(workers=1, progress=False)
    about = atomic_files.read_json(export(study, tmp_path)[-1])
    assert about["evaluation"] == [[10, 18]]
    assert (about["rows"], about["units"], about["alpha"]) == (18, 24, 0.5)
    assert about["design"] == json.loads(json.dumps(study.design.to_json()))
    assert about["outputs"]["test_margins"]["shape"] == [3]


@pytest.fixture(scope="module")
def designed(tmp_path_factory):
    """A study of a paley set with its pairs, shared seeds and validation models, and the folder of its export."""
    study, _ = seeded_study(2 * 103, heldout=10, targets=4, validation=20)
    study = study.extend(models=103)
    study.collect(progress=False)
    return study, export(study, tmp_path_factory.mktemp("out"), "name")[0].parent


def test_an_import_knows_pairs_seeds_and_validation_models_again(designed, tmp_path):
    study, data = designed
    about = json.loads((data / "study_50pct.json").read_text())
    assert about["validation"] == [[226, 246]]
    assert (about["design"]["kind"], about["design"]["extensions"]) == ("paley", [["fit", 103, 1]])
    again = Study.from_folder(tmp_path / "again", data)
    for role in ROLES:
        assert np.array_equal(again.done(role), study.done(role))
    fits = study.done(FIT)
    ours, theirs = study.design.layout(fits), again.design.layout(fits)
    assert np.array_equal(ours.pairs, theirs.pairs)
    assert np.array_equal(ours.seeds, theirs.seeds)
    first, second = study.fit(), again.fit()
    assert second.meta["design"] == first.meta["design"]
    assert np.array_equal(first.weight, second.weight)
    assert first.meta["level"] == {"anchors": 18}
    assert np.array_equal(first.level, second.level)
    assert again.design.alpha == 0.5
    assert np.allclose(standard_errors(first, study), standard_errors(second, again))
    third = Study.from_folder(tmp_path / "third", export(again, tmp_path / "more", "name")[0].parent)
    assert np.array_equal(third.fit().weight, first.weight)
    assert [p.models for p in learning_curve(again).points] == [103, 206, 309]
    assert banzhaf(again).exact == banzhaf(study).exact
    assert all("create" not in part[0] for part in provenance(again, second).commands)


def test_an_export_whose_masks_are_others_is_fitted_model_by_model(designed, tmp_path):
    study, data = designed
    shutil.copytree(data, tmp_path / "data")
    changed = study.masks().unpack()
    changed[study.done(FIT)] ^= True
    np.save(tmp_path / "data" / "train_masks_50pct.npy", changed)
    with pytest.warns(UserWarning, match="the design of the export has drawn other masks than these"):
        again = Study.from_folder(tmp_path / "again", tmp_path / "data", verify=False)
    assert again.design.layout(again.done(FIT)) is None
    assert np.array_equal(again.done(VALIDATION), study.done(VALIDATION))
    own = Study.from_folder(tmp_path / "own", data, heldout=30)
    assert own.done(VALIDATION).size == 0
    assert own.design.recorded is None


def test_an_unknown_design_of_an_export_is_said(designed, tmp_path):
    _, data = designed
    shutil.copytree(data, tmp_path / "data")
    about = tmp_path / "data" / "study_50pct.json"
    said = json.loads(about.read_text())
    said.pop("sha256", None)
    said["design"]["from the future"] = 1
    about.write_bytes(atomic_files.json_bytes(sealed(said)))
    with pytest.warns(UserWarning, match="not known to this version .a design has no field named from the future"):
        again = Study.from_folder(tmp_path / "again", tmp_path / "data")
    assert again.design.recorded is None
