"""A study that somebody else made is data: opening it runs no code, and no name in it leads out of its folder."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import subtrain
from subtrain import Datamodels, Design, Lasso, LassoLarge, Study, fit, load_fit
from subtrain.collection.status import check
from subtrain.errors import CorruptError, InputError, MismatchError, SubtrainError
from subtrain.fits import save_fit
from subtrain.store.seal import sealed
from subtrain.studies.export import export
from subtrain.studies.imports.arrays import import_arrays

SOURCE = Path(subtrain.__file__).parent
CODE = re.compile(r"\b(import|from) (cloud)?(pickle|joblib|marshal|shelve|dill)|(?<!\.)\b(eval|exec)\(")


class Bomb:
    """What a pickle can do to whoever loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def bomb(tmp_path):
    """(bytes of a pickle that makes a file, an array that holds it); the file must never be there."""
    mark = tmp_path / "went-off"
    array = np.empty(3, object)
    array[:] = [Bomb(mark)] * 3
    yield pickle.dumps(Bomb(mark)), array
    assert not mark.exists()


def test_the_bomb_is_real(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "went-off")))
    assert (tmp_path / "went-off").exists()


def test_pickles_in_the_place_of_any_file_are_refused(make_study, bomb):
    data, array = bomb
    study = make_study()
    save_fit(study, Datamodels(np.zeros((20, 3)), np.zeros(3), np.zeros(3)))
    seg = study.path / "segments" / "000000-000003.seg"
    weight = study.path / "fits" / "default" / "weight.npy"
    for path, reading in (
        (seg, lambda: study.read("test_margins")),
        (weight, lambda: load_fit(study)),
        (study.path / "study.json", lambda: Study.open(study.path)),
        (study.path / "fits" / "default" / "datamodels.json", lambda: load_fit(study)),
    ):
        kept = path.read_bytes()
        path.write_bytes(data)
        with pytest.raises(CorruptError):
            reading()
        path.write_bytes(kept)
    np.save(weight, array, allow_pickle=True)
    (weight.parent / "datamodels.json").write_text("{}")
    with pytest.raises(CorruptError, match="Python objects"):
        Datamodels.load(weight.parent)
    seg.write_bytes(data)
    assert len(check(study)) == 1


def test_pickled_arrays_are_not_imported(tmp_path, bomb):
    _, array = bomb
    np.save(tmp_path / "m.npy", array.reshape(3, 1), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        import_arrays(tmp_path / "s", tmp_path / "m.npy", {"a": tmp_path / "m.npy"})


def test_the_source_has_no_pickle_but_for_the_pipe_to_local_workers_and_cifar10():
    """cloudpickle carries a task made in Python to processes of one's own, in no file but of a temporary folder.

    workers/memory_maps.py makes that pickle; task_folder.py reads none: it says what is sent by value. kernel.py reads
    the compiled functions that numba caches for this user, beside the package, never in a study.
    CIFAR-10's official batches are pickles; they are read by an unpickler that makes arrays and plain values only.
    """
    found = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if CODE.search(path.read_text())}
    workers = {"collection/workers/task_message.py", "collection/workers/memory_maps.py"}
    ours = workers | {"system/kernel.py", "tasks/loading/task_folder.py"}
    assert found == ours | {"datasets/cifar10.py"}
    loads = [line for path in SOURCE.rglob("*.py") for line in path.read_text().splitlines() if "np.load(" in line]
    assert loads
    assert all("allow_pickle=False" in line for line in loads)


def imported(tmp_path) -> tuple[Study, np.ndarray]:
    random = np.random.default_rng(0)
    masks = random.random((30, 8)) < 0.5
    (tmp_path / "mine").mkdir()
    np.save(tmp_path / "mine" / "y.npy", random.normal(size=(30, 2)))
    np.save(tmp_path / "mine" / "secret.npy", random.normal(size=(30, 2)))
    study = import_arrays(tmp_path / "s", masks, {"a": tmp_path / "mine" / "y.npy"})
    return study, masks


def rewritten(study: Study, change) -> None:
    path = study.path / "study.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(sealed(data)))


def test_an_imported_study_moved_whole_still_reads_what_was_imported(tmp_path):
    study, masks = imported(tmp_path)
    assert json.loads((study.path / "study.json").read_text())["arrays"]["a"] == "../mine/y.npy"
    assert np.array_equal(Study.open(study.path).masks().unpack(), masks)
    shutil.copytree(study.path, tmp_path / "copy")
    assert np.array_equal(Study.open(tmp_path / "copy").read("a"), np.load(tmp_path / "mine" / "y.npy"))


@pytest.mark.parametrize("how", ["relative", "absolute", "link", "dotted"])
def test_a_study_cannot_be_made_to_show_a_file_its_maker_did_not_have(tmp_path, how):
    study, _ = imported(tmp_path)
    secret = tmp_path / "mine" / "secret.npy"
    (study.path / "arrays" / "link.npy").symlink_to(secret)
    name = {
        "relative": "../mine/secret.npy",
        "absolute": str(secret),
        "link": "arrays/link.npy",
        "dotted": "arrays/../../mine/secret.npy",
    }[how]
    rewritten(study, lambda data: data["arrays"].update(a=name))
    with pytest.raises(MismatchError, match=r"refers to arrays outside of it .*secret|refers .*link\.npy"):
        Study.open(study.path)


def test_masks_are_bound_as_outputs_are(tmp_path):
    study, _ = imported(tmp_path)
    other = tmp_path / "mine" / "other.npy"
    np.save(other, np.random.default_rng(1).random((30, 8)) < 0.5)
    rewritten(study, lambda data: data["design"].update(masks=str(other)))
    with pytest.raises(MismatchError, match="refers to arrays outside of it"):
        Study.open(study.path)


@pytest.mark.parametrize("name", ["../../../x", "/tmp/x", "a/b", "..", ".hidden", ""])
def test_the_name_of_an_output_cannot_lead_an_export_elsewhere(make_study, tmp_path, name):
    study = make_study()
    rewritten(study, lambda data: data["outputs"].update({name: data["outputs"].pop("test_margins")}))
    with pytest.raises(SubtrainError, match="no name of"):
        export(Study.open(study.path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


LINKED = {
    "segments": lambda study: study.read("test_margins"),
    "segments/000000-000003.seg": lambda study: study.read("test_margins", range(4)),
    "fits": lambda study: load_fit(study),
    "fits/default/weight.npy": lambda study: load_fit(study),
    "extensions": lambda study: Study.open(study.path),
    "study.json": lambda study: Study.open(study.path),
}


@pytest.mark.parametrize("name", LINKED)
def test_links_out_of_the_study_are_not_followed(make_study, tmp_path, name):
    """Even to a good copy of what belongs there."""
    study = make_study().extend(models=1)
    save_fit(study, Datamodels(np.zeros((20, 3)), np.zeros(3), np.zeros(3)))
    outside = tmp_path / "outside"
    os.rename(study.path / name, outside)
    (study.path / name).symlink_to(outside)
    with pytest.raises((InputError, CorruptError)):
        LINKED[name](Study.open(study.path))
    if name == "segments":
        with pytest.raises(InputError, match=r"leads out of .* by a symbolic link"):
            study.store.commit_new("segments/x", lambda file: file.write(b"x"))
        assert "x" not in os.listdir(outside)


@pytest.mark.parametrize(("estimator", "part"), [(Lasso(), "fit-0.1-0"), (LassoLarge(), "large")], ids=repr)
@pytest.mark.parametrize("name", ["counts", "counts/test_margins-{}", "counts/test_margins-{}/rows.json"])
def test_counts_are_not_kept_where_a_link_leads(make_study, tmp_path, name, estimator, part):
    study = make_study(models=30)
    outside = tmp_path / "outside"
    place = study.path / name.format(part)
    place.parent.mkdir(parents=True, exist_ok=True)
    outside.touch() if name.endswith(".json") else outside.mkdir()
    place.symlink_to(outside)
    with pytest.raises(InputError, match=r"leads out of .* by a symbolic link"):
        fit(study, estimator=estimator)
    assert outside.is_file() or os.listdir(outside) == []


def test_workers_log_nothing_where_a_link_leads(make_study, tmp_path):
    study = make_study(done=False, task="digits", params={"n": 20, "targets": 3})
    (tmp_path / "outside").mkdir()
    (study.path / "logs").symlink_to(tmp_path / "outside")
    with pytest.raises(SubtrainError, match=r"logs leads out of .* by a symbolic link"):
        study.collect(workers=1, progress=False)
    assert os.listdir(tmp_path / "outside") == []


def test_the_host_in_a_segment_names_no_log_elsewhere(make_study, tmp_path):
    from subtrain.collection import committed_segments
    from subtrain.studies.segments import segment_file

    study = make_study(models=4, heldout=0)
    arrays = {name: study.read(name) for name in study.outputs}
    (study.path / "logs").mkdir()
    (study.path / "logs" / "worker-").mkdir()
    (tmp_path / "secret-1.log").touch()
    (study.path / "segments" / "000000-000003.seg").write_bytes(
        segment_file.encoded(
            range(4), arrays, study.identity, "", {"host": "/../../../secret", "pid": 1, "seconds": 1.0}
        )
    )
    [one] = committed_segments.trained(study, committed_segments.landed(study))
    assert one.log == ""


def test_a_link_inside_the_study_is_no_danger(make_study):
    study = make_study()
    os.rename(study.path / "segments", study.path / "elsewhere")
    (study.path / "segments").symlink_to("elsewhere")
    assert study.models_done() == 16
    assert study.read("test_margins").shape == (16, 3)


def test_a_study_folder_may_itself_be_a_link(make_study, tmp_path):
    study = make_study()
    (tmp_path / "link").symlink_to(study.path)
    assert Study.open(tmp_path / "link").models_done() == 16


def test_a_segment_cannot_claim_models_that_are_not_in_its_name(make_study):
    from subtrain.studies.segments import segment_file

    study = make_study()
    arrays = {name: study.read(name, range(4)) for name in study.outputs}
    payload = segment_file.encoded(range(4), arrays, study.identity, "", {})
    (study.path / "segments" / "000004-000007.seg").write_bytes(payload)
    with pytest.raises(CorruptError, match="its name does not fit the models in it"):
        study.read("test_margins")


def test_kept_counts_name_no_files_elsewhere(tmp_path):
    from subtrain.regression.counting import saved_counts
    from subtrain.regression.counting.count_stream import count
    from subtrain.store import atomic_files

    design = Design(models=20, n=10, heldout=0)
    saved_counts.save_counts(tmp_path / "counts", count(design.masks(), np.ones((20, 2))))
    np.save(tmp_path / "ones-secret.npy", np.ones(10, np.int64))
    head = atomic_files.read_json(tmp_path / "counts" / saved_counts.HEAD)
    head["arrays"]["ones"]["file"] = "../ones-secret.npy"
    head.pop("sha256")
    head["sha256"] = saved_counts._digest(head)
    (tmp_path / "counts" / saved_counts.HEAD).write_bytes(atomic_files.json_bytes(head))
    with pytest.raises(CorruptError, match="saved counts are damaged"):
        saved_counts.load_counts(tmp_path / "counts")
