"""Logdirs of the reference code become studies: whole, half done, damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.store.reference import import_reference


@pytest.fixture
def logdir(tmp_path):
    """logdir(done): a folder as the reference code leaves it, with these models completed and garbage elsewhere."""

    def make(done=range(40), models=40, n=12):
        rng = np.random.default_rng(0)
        arrays = {
            "train_masks": rng.random((models, n)) < 0.5,
            "margins": rng.normal(size=(models, 3)).astype(np.float32),
        }
        completed = np.isin(np.arange(models), list(done))
        folder = tmp_path / "logdir"
        folder.mkdir()
        schema = {k: {"shape": list(a.shape[1:]), "dtype": a.dtype.name} for k, a in arrays.items()}
        (folder / "spec.json").write_text(json.dumps({"num_models": models, "schema": schema}))
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
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    study = import_reference(folder, tmp_path / "study")
    same(study, arrays)
    assert not (study.path / "arrays").exists()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_models_not_completed_are_left_out(logdir):
    folder, arrays = logdir(done=[3, 4, 9, *range(20, 40)])
    study = import_reference(folder)
    assert study.models == 23
    assert study.path == folder / "study"
    same(study, arrays)
    with pytest.raises(InputError, match="is a study already"):
        import_reference(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / "spec.json").unlink(), "there is no .*spec.json"),
        (lambda f: (f / "spec.json").write_text('{"num_models": 40}'), "num_models and a schema"),
        (lambda f: np.save(f / "margins.npy", np.zeros((40, 2), np.float32)), r"float32 \[40, 2\], but spec.json says"),
        (lambda f: np.save(f / "_completed.npy", np.zeros(40, bool)), "0 completed models"),
        (lambda f: np.save(f / "_completed.npy", np.zeros(39, bool)), "there are 40 models"),
        (lambda f: (f / "_completed.npy").unlink(), "there is no file"),
        (lambda f: np.save(f / "train_masks.npy", np.load(f / "margins.npy").astype(object)), "not a readable"),
    ],
)
def test_what_is_no_such_logdir_is_refused_and_nothing_is_written(logdir, change, sentence):
    folder, _ = logdir()
    change(folder)
    with pytest.raises(InputError, match=sentence):
        import_reference(folder)
    assert not (folder / "study").exists()


def test_masks_are_guessed_only_where_it_is_clear(logdir):
    folder, arrays = logdir()
    spec = json.loads((folder / "spec.json").read_text())
    spec["schema"]["who"] = spec["schema"].pop("train_masks")
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "train_masks.npy").rename(folder / "who.npy")
    with pytest.raises(InputError, match=r"none of its arrays is called masks: say which .*--masks KEY"):
        import_reference(folder)
    same(import_reference(folder, masks="who"), arrays)
