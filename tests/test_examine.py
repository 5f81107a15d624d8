"""Whatever changes in a study's files is refused, or changes nothing."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import worlds
from commands import run
from subtrain import Datamodels, Design, MeanDifference, Study, evaluate, fit, load_fit
from subtrain.collection import train_segment
from subtrain.collection.status import failed_models
from subtrain.collection.workers.train_segment import record_failure
from subtrain.errors import CorruptError
from subtrain.explorer import verification
from subtrain.explorer.data import leakage_review
from subtrain.explorer.data.sidecar import open_sidecar
from subtrain.fits import EVALUATION, OF, digest_of, fit_prefix, save_fit
from subtrain.integrity import examine
from subtrain.store.seal import put_sealed
from subtrain.studies.export import export
from subtrain.studies.imports.arrays import import_arrays, import_folder

FITTED = "fits/default"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A study with everything in it: two extensions, a fit, its evaluation and tables, reviews, a failed model."""
    path = tmp_path_factory.mktemp("examined") / "whole"
    task = worlds.linear(noise=0.5)
    study = Study.create(path, task, Design(models=30, heldout=6, replicates=2, seed=1), segment=15)
    study = study.extend(models=10).extend(models=10)
    for where in study.segments[:-1]:
        train_segment(study, where)
    record_failure(study, study.segments[-1], study.models - 1, 7, "told to fail", "Traceback: told to fail")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the models that are missing on purpose
        dm = fit(study, estimator=MeanDifference())
        judged = evaluate(dm, study)
    save_fit(study, dm)
    put_sealed(study.store, f"{fit_prefix()}/{EVALUATION}", judged.to_json())
    leakage_review.decide(study, "test_margins", "1-2", "yes")
    put_sealed(study.store, f"{leakage_review.REVIEWS}/verified/abc.json", {"runs": 3, "observed": {"base": [0.5]}})
    open_sidecar(study, "default")
    return path


def result(path: Path, sidecar: bool) -> list[object]:
    """Everything that anybody is shown of the study."""
    study = Study.open(path, task=worlds.linear(noise=0.5))
    found: list[object] = [study.models, study.segments, study.done().tolist(), study.identity]
    found += [study.read(name).tobytes() for name in study.outputs]
    dm = load_fit(study)
    found += [dm.weight.tobytes(), dm.bias.tobytes(), dm.lam.tobytes(), dict(dm.meta)]
    found += [leakage_review.decisions(study, "test_margins"), verification.kept(study)]
    found += [(one.model, one.why, one.host) for one in failed_models(study)]
    if sidecar:
        made = open_sidecar(study, "default")[1]
        found += [made.weight.tobytes(), {k: v.tobytes() for k, v in made.tables.items()}]
        found += [made.about["output"]]
    return found


def mutations(raw: bytes, random: np.random.Generator) -> Iterator[bytes]:
    """The file with one bit flipped, in many places, cut, longer, empty, and with other bytes of the same length."""
    places = {0, len(raw) // 2, len(raw) - 1, *random.integers(0, len(raw), 9).tolist()}
    for at in sorted(places):
        flipped = bytearray(raw)
        flipped[at] ^= 1 << int(random.integers(8))
        yield bytes(flipped)
    yield raw[: len(raw) // 2]
    yield raw[:-1]
    yield raw + b"\0"
    yield raw + raw
    yield b""
    yield bytes(len(raw))


def test_hundreds_of_mutations_are_refused_or_change_nothing(whole):
    plain, with_tables = result(whole, False), result(whole, True)
    random = np.random.default_rng(0)
    tried = refused = 0
    for file in sorted(path for path in whole.rglob("*") if path.is_file()):
        name, raw = str(file.relative_to(whole)), file.read_bytes()
        tables = "explorer" in name
        expected = with_tables if tables else plain
        for changed in mutations(raw, random):
            file.write_bytes(changed)
            tried += 1
            try:
                named = bool(examine(Study.open(whole)).damage)
            except CorruptError:
                named = True
            same = raised = False
            try:
                same = result(whole, tables) == expected
            except CorruptError:
                raised = True
                assert named, name
            assert named or same, name
            # What is used is refused or unchanged, whether anybody asked for a check or not.
            assert same or raised or name.startswith(("reviews", "failures")), name
            refused += named
        file.write_bytes(raw)
        shutil.rmtree(whole / FITTED / "explorer") if tables else None
        open_sidecar(Study.open(whole), "default")
    assert tried > 300
    assert refused > 0.9 * tried
    assert examine(Study.open(whole)).damage == []


def test_arrays_that_changed_places_are_refused(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    folder = tmp_path / "copy" / FITTED
    (folder / "bias.npy").rename(folder / "x")
    (folder / "lam.npy").rename(folder / "bias.npy")
    (folder / "x").rename(folder / "lam.npy")
    with pytest.raises(CorruptError, match=r"bias\.npy is damaged: its bytes have changed .*fit again"):
        load_fit(Study.open(tmp_path / "copy"))


@pytest.mark.parametrize("lost", [["sha256"], ["seal"], ["sha256", "seal"]])
def test_a_fit_does_not_get_rid_of_its_digests(whole, tmp_path, lost):
    shutil.copytree(whole, tmp_path / "copy")
    meta = tmp_path / "copy" / FITTED / "datamodels.json"
    data = json.loads(meta.read_text())
    meta.write_text(json.dumps({key: value for key, value in data.items() if key not in lost}))
    with pytest.raises(CorruptError, match=r"datamodels\.json is damaged"):
        load_fit(Study.open(tmp_path / "copy"))


def without_digests(path: Path) -> None:
    """Make of a study what version 0.1.0 wrote."""
    for file in (file for file in path.rglob("*.json") if "counts" not in file.parts):
        data = {k: v for k, v in json.loads(file.read_text()).items() if k not in ("seal", "sha256", "after")}
        if file.name == "study.json":
            data["format"] = 1
        if file.name != "sidecar.json":
            file.write_text(json.dumps(data))
    for file in (path / "failures").iterdir():
        file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("sha256 ")))


def test_a_study_of_version_0_1_0_opens_and_the_check_says_what_it_cannot_tell(whole, tmp_path):
    path = tmp_path / "old"
    shutil.copytree(whole, path)
    without_digests(path)
    assert result(path, True)[:3] == result(whole, True)[:3]
    found = examine(Study.open(path))
    assert found.damage == []
    assert [note for note in found.notes if "version 0.1.0" in note and FITTED in note]
    assert Study.open(path).extend(models=5).models == Study.open(whole).models + 5


def test_what_belongs_to_no_plan_is_named(whole, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(whole, path)
    shutil.rmtree(path / "extensions")
    (path / "notes.txt").write_text("mine")
    (path / "segments" / "backup").write_text("mine")
    # The segment of the first extension is there, and no plan has it now.
    stray = Study.open(whole).segments[-2]
    done = run("status", path, "--check")
    assert done.returncode == 4
    assert f"{stray[0]:06d}-{stray[1] - 1:06d}.seg is not among the" in done.stderr
    notes = examine(Study.open(path)).notes
    assert sorted(note.split(" ")[0] for note in notes) == [str(path / "notes.txt"), str(path / "segments" / "backup")]


def test_an_extension_that_is_missing_is_refused(whole, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(whole, path)
    (path / "extensions" / "000001.json").unlink()
    with pytest.raises(CorruptError, match=r"000001\.json is missing"):
        Study.open(path)
    (path / "extensions" / "000002.json").rename(path / "extensions" / "000001.json")
    with pytest.raises(CorruptError, match="it extends a study of another size"):
        Study.open(path)


def test_the_command_line_refuses_with_4(whole, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(whole, path)
    assert "Every file with a digest is as it was written" in run("status", path, "--check").stdout
    file = path / FITTED / "weight.npy"
    raw = bytearray(file.read_bytes())
    raw[-2] ^= 0x40
    file.write_bytes(raw)
    for words in (["evaluate", path], ["neighbors", path, "--targets", "0"], ["status", path, "--check"]):
        done = run(*words)
        assert done.returncode == 4
        assert "weight.npy is damaged: its bytes have changed since they were written" in done.stderr
        assert not done.stdout


def test_a_pt_file_and_its_metadata_belong_together(tmp_path):
    pytest.importorskip("torch")
    dm = Datamodels(np.ones((4, 2), np.float32), np.zeros(2), np.zeros(2), {"output": "test_margins"})
    dm.save(tmp_path / "a.pt")
    (tmp_path / "a.pt").rename(tmp_path / "b.pt")
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    assert Datamodels.load(tmp_path / "b.pt").meta == dm.meta
    raw = bytearray((tmp_path / "b.pt").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "b.pt").write_bytes(raw)
    with pytest.raises(CorruptError, match=r"b\.pt is damaged"):
        Datamodels.load(tmp_path / "b.pt")


def test_arrays_of_an_imported_study_are_bound(tmp_path):
    random = np.random.default_rng(0)
    masks, outputs = random.random((300, 8)) < 0.5, random.normal(size=(300, 2))
    study = import_arrays(tmp_path / "s", masks, {"a": outputs}, heldout=30)
    assert examine(study).damage == []
    for name, reading in (
        ("arrays/a.npy", lambda: Study.open(study.path).read("a", [0])),
        ("arrays/masks.npy", lambda: Study.open(study.path).masks([0])),
        ("subsets.npy", lambda: Study.open(study.path)),
    ):
        path = study.path / name
        raw = path.read_bytes()
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
        with pytest.raises(CorruptError, match="bytes have changed"):
            reading()
        path.write_bytes(raw)


def test_what_an_export_says_of_held_out_rows_is_bound(make_study, tmp_path):
    study = make_study()
    export(study, tmp_path / "out", "x")
    (about,) = (tmp_path / "out" / "x" / "data").glob("study_*.json")
    import_folder(tmp_path / "back", tmp_path / "out" / "x")
    data = json.loads(about.read_text())
    about.write_text(json.dumps(data | {"evaluation": [[0, 6]]}))
    with pytest.raises(CorruptError, match="bytes have changed"):
        import_folder(tmp_path / "again", tmp_path / "out" / "x")
    del data["seal"], data["format"]
    about.write_text(json.dumps(data))  # as version 0.1.0 wrote it
    assert import_folder(tmp_path / "old", tmp_path / "out" / "x").done("evaluation").tolist() == list(range(10, 16))


def test_files_that_others_name_are_missed(whole, tmp_path):
    from dataclasses import replace

    from subtrain.tasks import View

    task = replace(worlds.linear(), view=View(labels={"train": ["a"] * 20}))
    study = Study.create(tmp_path / "s", task, Design(models=4, heldout=2))
    assert not examine(study).damage
    (labels,) = (study.path / "view").glob("labels-*")
    labels.unlink()
    assert f"{labels} is missing" in examine(study).damage[0]
    shutil.copytree(whole, tmp_path / "w")
    torch = tmp_path / "w" / FITTED / "datamodels.pt"
    if torch.exists():
        torch.unlink()
        assert any(f"{torch} is missing" in one for one in examine(Study.open(tmp_path / "w")).damage)


def test_an_evaluation_of_another_fit_is_named(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "s")
    study = Study.open(tmp_path / "s")
    dm = load_fit(study)
    save_fit(study, Datamodels(dm.weight + 1, dm.bias, dm.lam, dm.meta), "other")
    judged = {**evaluate(dm, study).to_json(), OF: digest_of(study, "default")}
    put_sealed(study.store, f"{fit_prefix()}/{EVALUATION}", judged)
    assert not examine(study).damage
    put_sealed(study.store, f"{fit_prefix('other')}/{EVALUATION}", judged)
    (said,) = examine(study).damage
    assert "other/evaluation.json is not of the datamodels beside it" in said
