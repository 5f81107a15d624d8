"""Studies of arrays, folders and logdirs that were made elsewhere, as `Study` makes them."""

from __future__ import annotations

import gc
import inspect
from pathlib import Path

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import InputError
from subtrain.studies.imports.arrays import import_arrays, import_folder
from subtrain.studies.imports.reference import import_reference

MASKS = np.random.default_rng(0).random((60, 9)) < 0.5
MARGINS = (MASKS[:, :3] * 2.0 + 1).astype(np.float32)


@pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")
def test_arrays_in_memory_are_a_study_that_leaves_nothing_behind():
    study = st.Study.from_arrays(":memory:", MASKS, {"test_margins": MARGINS}, heldout=10)
    folder = study.path
    np.testing.assert_array_equal(study.read("test_margins"), MARGINS)
    np.testing.assert_array_equal(study.masks().unpack(), MASKS)
    dm = study.fit("test_margins", st.Ridge())
    np.testing.assert_allclose(dm.weight[:3], 2 * np.eye(3), atol=1e-3)
    assert np.isfinite(st.evaluate(dm, study).lds.value)
    assert folder.exists()
    del study, dm
    gc.collect()
    assert not folder.exists()
    assert not Path(":memory:").exists()


def test_a_folder_in_memory_is_a_study(tmp_path):
    st.Study.from_arrays(tmp_path / "study", MASKS, {"test_margins": MARGINS}).export(tmp_path / "out", name="made")
    study = st.Study.from_folder(":memory:", tmp_path / "out" / "made")
    np.testing.assert_array_equal(study.read("test_margins"), MARGINS)


def test_a_logdir_in_memory_is_a_study(tmp_path):
    for name, array in {"mask": MASKS, "margins": MARGINS, "_completed": np.arange(60) < 50}.items():
        np.save(tmp_path / f"{name}.npy", array)
    study = st.Study.from_reference(tmp_path, ":memory:")
    assert study.models == 50
    np.testing.assert_array_equal(study.masks().unpack(), MASKS[:50])


def test_what_cannot_be_imported_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("subtrain.study.mkdtemp", lambda prefix: str(tmp_path / "made"))
    (tmp_path / "made").mkdir()
    with pytest.raises(InputError, match="have"):
        st.Study.from_arrays(":memory:", MASKS, {"test_margins": MARGINS[:5]})
    assert not (tmp_path / "made").exists()


def test_the_command_line_has_no_memory_to_import_into():
    with pytest.raises(InputError, match="only Python imports into memory"):
        import_arrays(":memory:", MASKS, {"test_margins": MARGINS})
    assert not Path(":memory:").exists()


@pytest.mark.parametrize(
    ("face", "inside"),
    [
        (st.Study.from_arrays, import_arrays),
        (st.Study.from_folder, import_folder),
        (st.Study.from_reference, import_reference),
    ],
)
def test_the_face_declares_every_option_and_documents_it(face, inside):
    declared, made = (list(inspect.signature(one).parameters.values()) for one in (face, inside))
    made = [one for one in made if one.kind is not one.KEYWORD_ONLY]  # those are for imports among themselves
    assert [(one.name, one.default) for one in declared] == [(one.name, one.default) for one in made]
    told = inspect.getdoc(face)
    assert all(f"\n    {one.name}: " in told for one in declared)
    with pytest.raises(TypeError, match=rf"{face.__name__}\(\) got an unexpected keyword argument 'held'"):
        face("a", "b", {}, held=3)
