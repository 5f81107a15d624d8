"""Logdirs of the reference code become studies: whole, half done, damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from subtrain import LeastSquares, fit
from subtrain.errors import InputError
from subtrain.studies.imports.reference import import_reference


@pytest.fixture
def logdir(tmp_path):
    """logdir(done): a folder as the reference's own code leaves it, with these models completed, the others as the
    store was made: zero. No spec lies in it; there are arrays, who was completed, the commands and a folder a model.
    """

    def make(done=range(40), models=40, n=12):
        rng = np.random.default_rng(0)
        arrays = {
            "train_masks": rng.random((models, n)) < 0.5,
            "margins": rng.normal(size=(models, 3)).astype(np.float32),
        }
        completed = np.isin(np.arange(models), list(done))
        folder = tmp_path / "logdir"
        folder.mkdir()
        (folder / "cmds.txt").write_text("worker.py --worker.index=0 --worker.main_import=linmod\n")
        for k in done:
            (folder / "workers" / str(k)).mkdir(parents=True)
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", np.where(completed[:, None], array, 0).astype(array.dtype))
        np.save(folder / "_completed.npy", completed)
        return folder, {k: a[completed] for k, a in arrays.items()}

    return make


def same(study, arrays):
    np.testing.assert_array_equal(study.masks().unpack(), arrays["train_masks"])
    np.testing.assert_array_equal(study.read("margins"), arrays["margins"])


def test_a_whole_logdir_is_read_where_it_lies(logdir, tmp_path):
    folder, arrays = logdir()
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    study = import_reference(folder, tmp_path / "study")
    same(study, arrays)
    assert not (study.path / "arrays").exists()
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_models_not_completed_are_left_out_and_the_logdir_is_only_read(logdir):
    folder, arrays = logdir(done=[3, 4, 9, *range(20, 40)])
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    study = import_reference(folder)
    assert study.models == 23
    assert study.path == folder.with_name("logdir-study")
    same(study, arrays)
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before
    with pytest.warns(UserWarning, match="17 of 40 models had not ended where they were trained, and are missing"):
        assert "17 of 40" in fit(study, estimator=LeastSquares()).meta["notes"][0]
    with pytest.raises(InputError, match="is a study already"):
        import_reference(folder)


def spec_of(models=40, **changed):
    schema = {"train_masks": {"shape": [12], "dtype": "bool_"}, "margins": {"shape": [3], "dtype": "float32"}}
    return json.dumps({"num_models": models, "schema": {**schema, **changed}})


@pytest.mark.parametrize("inside", [True, False])
def test_with_its_spec_exactly_the_declared_arrays_are_taken(logdir, tmp_path, inside):
    folder, arrays = logdir()
    np.save(folder / "extra.npy", np.zeros(40))
    spec = (folder if inside else tmp_path) / "spec.json"
    spec.write_text(spec_of())
    study = import_reference(folder, tmp_path / "study", spec=None if inside else spec)
    same(study, arrays)
    assert list(study.outputs) == ["margins"]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ('{"num_models": 40}', "num_models and a schema"),
        (
            spec_of(margins={"shape": [2], "dtype": "float32"}),
            r"float32 \[40, 3\], but .*spec.json says float32 \[40, 2\]",
        ),
        (spec_of(margins={"shape": [3], "dtype": "float16"}), "says float16"),
        (spec_of(models=39), "has 40 rows, but .*spec.json says that there are 39 models"),
        (spec_of(losses={"shape": [], "dtype": "float32"}), "there is no file .*losses.npy"),
        (None, "there is no .*spec.json"),
    ],
)
def test_a_spec_that_is_not_the_logdirs_is_refused(logdir, tmp_path, spec, sentence):
    folder, _ = logdir()
    if spec is not None:
        (tmp_path / "spec.json").write_text(spec)
    with pytest.raises(InputError, match=sentence):
        import_reference(folder, tmp_path / "study", spec=tmp_path / "spec.json")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: np.save(f / "_completed.npy", np.zeros(40, bool)), "0 completed models"),
        (
            lambda f: np.save(f / "_completed.npy", np.zeros(39, bool)),
            r"a row for each of the 39 models .*it has 40 rows",
        ),
        (lambda f: np.save(f / "_completed.npy", np.zeros((40, 1), bool)), r"_completed.npy is bool \[40, 1\]"),
        (
            lambda f: (f / "_completed.npy").unlink(),
            "is no logdir of the reference code: there is no file _completed.npy",
        ),
        (lambda f: np.save(f / "train_masks.npy", np.load(f / "margins.npy").astype(object)), "not a readable"),
        (
            lambda f: np.save(f / "train_masks.npy", 2.0 * np.load(f / "train_masks.npy") - 1),
            "train_masks holds -1.0, but",
        ),
        (lambda f: (f / "margins.npy").unlink(), "holds masks only"),
        (
            lambda f: np.save(f / "val_masks.npy", np.load(f / "train_masks.npy")),
            "several of its arrays could be masks",
        ),
    ],
)
def test_what_is_no_such_logdir_is_refused_and_nothing_is_written(logdir, change, sentence):
    folder, _ = logdir()
    change(folder)
    with pytest.raises(InputError, match=sentence):
        import_reference(folder)
    assert not folder.with_name("logdir-study").exists()


@pytest.mark.parametrize("dtype", ["u1", "i1", "f4", ">f8", ">i2"])
@pytest.mark.parametrize("order", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("done", [range(40), range(5, 40)])
def test_masks_of_any_kind_and_layout(logdir, tmp_path, dtype, order, done):
    folder, arrays = logdir(done)
    np.save(folder / "train_masks.npy", order(np.load(folder / "train_masks.npy").astype(dtype)))
    np.save(folder / "margins.npy", order(np.load(folder / "margins.npy").astype(">f4")))
    same(import_reference(folder, tmp_path / "study"), arrays)


def test_keys_of_any_kind_become_plain_words(logdir, tmp_path):
    folder, arrays = logdir()
    (folder / "margins.npy").rename(folder / "test-margins.v2.npy")
    (folder / "train_masks.npy").rename(folder / "train-masks.npy")
    study = import_reference(folder, tmp_path / "study", masks="train-masks")
    np.testing.assert_array_equal(study.read("test_margins_v2"), arrays["margins"])
    np.save(folder / "test_margins_v2.npy", arrays["margins"])
    with pytest.raises(InputError, match="two arrays would both be called test_margins_v2"):
        import_reference(folder, tmp_path / "other")


def test_what_else_lies_there_is_left_out_and_said(logdir, tmp_path):
    folder, arrays = logdir()
    np.save(folder / "labels.npy", np.zeros(7))
    np.save(folder / "names.npy", np.full(40, "a"))
    np.save(folder / "losses.npy", np.arange(40.0))
    (folder / "._margins.npy").write_bytes(b"a Mac was here")
    (folder / "data.beton").write_bytes(b"what write_dataset leaves")
    with pytest.warns(UserWarning, match="left out") as said:
        study = import_reference(folder, tmp_path / "study")
    same(study, arrays)
    assert list(study.outputs) == ["losses", "margins"]
    assert study.outputs["losses"].shape == (1,)
    words = " ".join(str(one.message) for one in said)
    assert "labels.npy is left out: it has 7 rows, and there are 40 models" in words
    assert "names.npy is left out" in words


def test_links_to_a_logdir_and_to_its_arrays(logdir, tmp_path):
    folder, arrays = logdir()
    (tmp_path / "far").mkdir()
    (folder / "margins.npy").rename(tmp_path / "far" / "m.npy")
    (folder / "margins.npy").symlink_to(tmp_path / "far" / "m.npy")
    (tmp_path / "link").symlink_to(folder)
    same(import_reference(tmp_path / "link", tmp_path / "study"), arrays)


def test_the_array_called_masks_comes_before_others(logdir, tmp_path):
    folder, arrays = logdir()
    (folder / "train_masks.npy").rename(folder / "masks.npy")
    np.save(folder / "val_masks.npy", ~arrays["train_masks"])
    study = import_reference(folder, tmp_path / "study")
    same(study, arrays)
    assert sorted(study.outputs) == ["margins", "val_masks"]


def test_masks_are_guessed_only_where_it_is_clear(logdir):
    folder, arrays = logdir()
    (folder / "train_masks.npy").rename(folder / "who.npy")
    with pytest.raises(InputError, match=r"none of its arrays is called masks: say which .*--masks KEY"):
        import_reference(folder)
    same(import_reference(folder, masks="who"), arrays)
