"""What version 0.1.0 wrote is read today: a study, its fit, an export and a page of the explorer, made by its own code.

fixtures/version-0.1.0 was made by it: `tabular` with data=iris and GaussianNB, Design(alpha=0.5, models=24, heldout=4,
replicates=2, seed=3), segment=16, a fit by Ridge(), `export` and `explore --export`.
"""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from subtrain import Ridge, Study, evaluate, fit, load_fit
from subtrain.integrity import examine
from subtrain.regression import FitWarning

FIXTURE = Path(__file__).parent / "fixtures" / "version-0.1.0"
TASK = {"data": "iris", "estimator": "sklearn.naive_bayes:GaussianNB"}


@pytest.fixture
def study(tmp_path):
    return Study.open(shutil.copytree(FIXTURE / "study", tmp_path / "study"))


def test_its_study_opens_whole(study):
    assert (study.models, study.models_done(), study.n, study.format) == (32, 32, 105, 1)
    assert np.isfinite(study.read("test_margins")).all()
    assert examine(study).damage == []
    assert study.with_task("tabular", TASK).task.n == 105


def test_its_fit_opens_and_is_what_is_fitted_today(study):
    kept = load_fit(study)
    assert evaluate(kept, study).lds.value == pytest.approx(0.447, abs=5e-4), "as version 0.1.0 printed"
    with pytest.warns(FitWarning):
        again = fit(study, estimator=Ridge(), keep_counts=False)
    np.testing.assert_allclose(again.weight, kept.weight, atol=1e-12)
    np.testing.assert_allclose(again.bias, kept.bias, atol=1e-12)


def test_its_study_is_extended(study):
    longer = study.extend(models=4)
    assert Study.open(study.path).models == longer.models == 36


def test_an_export_is_the_same_bytes(study, tmp_path):
    study.export(tmp_path / "out")
    before = FIXTURE / "export" / "study" / "data"
    names = sorted(path.name for path in before.iterdir() if path.suffix != ".json")
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "out" / "study" / "data" / name).read_bytes() == (before / name).read_bytes(), name


def test_its_export_is_imported(study, tmp_path):
    back = Study.from_folder(tmp_path / "back", FIXTURE / "export" / "study")
    np.testing.assert_array_equal(back.masks().unpack(), study.masks().unpack())
    np.testing.assert_array_equal(back.read("test_margins"), study.read("test_margins"))
    assert back.done("evaluation").tolist() == study.done("evaluation").tolist()


def test_its_page_needs_nothing_else():
    page = gzip.decompress((FIXTURE / "page.html.gz").read_bytes()).decode()
    assert page.startswith("<!doctype html>")
    assert "Content-Security-Policy" in page
