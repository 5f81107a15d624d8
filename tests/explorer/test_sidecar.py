"""The sidecar: the fit's own numbers, made once, made again when it is old or damaged."""

import shutil

import numpy as np
import pytest

from subtrain import Datamodels
from subtrain.explorer.data import sidecar, target_major
from subtrain.explorer.data.sidecar import open_sidecar, version_of
from subtrain.fits import load_fit, save_fit


@pytest.mark.parametrize(("k", "digits"), [(3, 8), (50, 1)])  # with 1 digit many are the same
def test_the_strongest_units_are_those_that_the_datamodels_name(world, monkeypatch, tmp_path, k, digits):
    monkeypatch.setattr(target_major, "K", k)
    monkeypatch.setattr(target_major, "BLOCK_BYTES", 4 * 20 * 4)
    monkeypatch.setattr(target_major, "SORTED_BYTES", 4 * 20 * 2)
    random = np.random.default_rng(0)
    weight = np.round(random.normal(size=(20, 9)), digits).astype(np.float32)
    weight[:, 4], weight[:, 5] = 0, -1
    dm = Datamodels(weight, np.zeros(9), np.zeros(9))
    strongest = target_major.Strongest.empty(dm)
    with open(tmp_path / "w.npy", "wb") as file:
        target_major.transpose(dm, file, strongest, lambda *_: None)
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), weight.T)
    for target in range(9):
        for side, ranked in ((slice(0, k), dm.top(target, k)), (slice(k, 2 * k), dm.bottom(target, k))):
            units = strongest.unit[target, side]
            assert units[units >= 0].tolist() == [one.unit for one in ranked]
            assert strongest.value[target, side][units >= 0].tolist() == [one.weight for one in ranked]
    np.testing.assert_allclose(strongest.unit_effect, weight.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(strongest.unit_strength, np.abs(weight).sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(strongest.nonzero, np.count_nonzero(weight, axis=0))


def test_the_data_support_is_that_of_the_use(world):
    from subtrain.uses.support import support

    dm, made = open_sidecar(world, "default")
    expected = support(dm, world).size
    np.testing.assert_array_equal(made.tables["support"], expected)
    assert (expected > 0).any()


def folder(study):
    return study.path / "fits" / "default" / "explorer"


def test_it_is_made_once(copy, monkeypatch):
    first = open_sidecar(copy, "default")[1]
    monkeypatch.setattr(sidecar, "transpose", None)
    again = open_sidecar(copy, "default")[1]
    assert again.version == first.version
    np.testing.assert_array_equal(again.weight, load_fit(copy).weight.T)


@pytest.mark.parametrize("what", ["sidecar.json", "weight", "tables"])
def test_a_damaged_one_is_made_again(copy, what):
    open_sidecar(copy, "default")
    (path,) = folder(copy).glob(f"{what}*")
    path.write_bytes(path.read_bytes()[:40])
    _, made = open_sidecar(copy, "default")
    np.testing.assert_array_equal(made.weight, load_fit(copy).weight.T)


def test_a_new_fit_gets_a_new_one_and_the_old_one_goes(copy):
    first = open_sidecar(copy, "default")[1]
    dm = load_fit(copy)
    save_fit(copy, Datamodels(3 * dm.weight, dm.bias, dm.lam, dm.meta))
    second = open_sidecar(copy, "default")[1]
    assert second.version != first.version
    np.testing.assert_array_equal(second.weight, 3 * dm.weight.T)
    np.testing.assert_array_equal(first.weight, dm.weight.T)  # whoever has the old one open keeps it
    assert not [path for path in folder(copy).iterdir() if first.version in path.name]


def test_a_study_that_may_not_be_written_has_it_elsewhere(copy, monkeypatch, tmp_path):
    shutil.rmtree(folder(copy), ignore_errors=True)
    monkeypatch.setenv("SUBTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sidecar.os, "access", lambda *_: False)
    dm, made = open_sidecar(copy, "default")
    np.testing.assert_array_equal(made.weight, dm.weight.T)
    assert not folder(copy).exists()
    assert list((tmp_path / "cache").iterdir())


def test_a_version_is_that_of_the_files(copy):
    before = version_of(copy, "default")
    assert before == version_of(copy, "default")
    open_sidecar(copy, "default")
    assert before == version_of(copy, "default")
    assert version_of(copy, "none") is None


def test_models_that_answered_no_number_do_not_spoil_the_rest(copy):
    from subtrain.explorer.data.summaries import tables

    dm = load_fit(copy)
    values = copy.read("test_margins").astype(np.float32)
    values[3, 2] = np.nan
    values[4, 1] = np.inf

    class Spoiled:
        def __getattr__(self, name):
            return getattr(copy, name)

        def read(self, output, rows=None):
            return values if rows is None else values[rows]

    found, _ = tables(Spoiled(), dm, np.ascontiguousarray(dm.weight.T), lambda *_: None)
    assert found["mean"][2] == pytest.approx(np.nanmean(values[:, 2]), rel=1e-5)
    assert found["counts"].sum(axis=1).tolist() == [60, 59, 59, 60, 60, 60]
