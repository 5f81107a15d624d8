"""Datamodels: what they predict, which units they name, and what is saved and read back."""

from __future__ import annotations

import json
import os
import warnings

import numpy as np
import pytest

import worlds
from subtrain import Datamodels, load_fit
from subtrain.datamodels import Influence
from subtrain.errors import CorruptError, InputError
from subtrain.fits import fit_prefix, save_fit
from subtrain.masks import pack

RANDOM = np.random.default_rng(0)
WEIGHT, BIAS = worlds.weights(20, 3)
DM = Datamodels(WEIGHT.astype(np.float32), BIAS, np.array([0.1, 0.2, 0.3]), {"output": "test_margins", "alpha": 0.5})
MASKS = RANDOM.random((50, 20)) < 0.5


def test_predictions_are_linear_in_the_mask():
    right = MASKS @ DM.weight.astype(float) + BIAS
    for masks in (MASKS, MASKS.astype(np.uint8), MASKS.astype(float), pack(MASKS), MASKS.tolist()):
        assert np.allclose(DM.predict(masks), right, rtol=1e-12)
    assert DM.predict(MASKS).dtype == np.float64
    assert np.array_equal(DM.predict(MASKS, targets=[2, 0]), DM.predict(MASKS)[:, [2, 0]])
    assert np.allclose(DM.predict(MASKS[7]), right[7], rtol=1e-12)
    assert DM.predict(MASKS[7]).shape == (3,)
    assert DM.predict(MASKS[:0]).shape == (0, 3)
    many = np.tile(MASKS, (100, 1))
    assert np.array_equal(DM.predict(many), np.tile(DM.predict(MASKS), (100, 1))), "blocks of 4096 rows"


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        (MASKS[:, :19], "these datamodels are over 20 units, the masks over 19"),
        (MASKS[0, :5], "over 20 units, the masks over 5"),
        (pack(np.zeros((2, 21), bool)), "the masks over 21"),
        (MASKS * 2, "masks must hold only 0 and 1"),
        (MASKS[None], "two-dimensional"),
    ],
)
def test_masks_that_do_not_fit(masks, sentence):
    with pytest.raises(InputError, match=sentence):
        DM.predict(masks)


def test_top_and_bottom_are_the_largest_weights_of_either_sign():
    for target in range(3):
        w = DM.weight[:, target]
        top, bottom = DM.top(target, 20), DM.bottom(target, 20)
        assert [i.unit for i in top] == [u for u in np.argsort(-w, kind="stable") if w[u] > 0]
        assert [i.unit for i in bottom] == [u for u in np.argsort(w, kind="stable") if w[u] < 0]
        assert all(i.weight == w[i.unit] for i in top + bottom)
        assert len(top) + len(bottom) == np.count_nonzero(w)
    assert DM.top(1, 2) == DM.top(1, 20)[:2]
    assert DM.top(0, 0) == DM.bottom(0, -1) == []
    assert isinstance(DM.top(0)[0], Influence)
    assert type(DM.top(0)[0].unit) is int
    tied = Datamodels(np.array([[1.0], [2.0], [1.0], [0.0], [-1.0]]), np.zeros(1), np.zeros(1))
    assert tied.top(0) == [(1, 2.0), (0, 1.0), (2, 1.0)]
    assert tied.bottom(0) == [(4, -1.0)]


def test_a_positive_weight_means_that_including_the_unit_raises_the_output():
    unit, weight = DM.top(0, 1)[0]
    without = MASKS.copy()
    without[:, unit] = False
    included = without.copy()
    included[:, unit] = True
    gain = worlds.linear().train(included, np.zeros(50))["test_margins"][:, 0]
    gain -= worlds.linear().train(without, np.zeros(50))["test_margins"][:, 0]
    assert weight > 0
    assert np.allclose(gain, weight, atol=1e-5)


@pytest.mark.parametrize("units", [[3], [0, 7, 19], [5, 5, 5], [], np.arange(20)])
def test_the_effect_of_removing_is_the_difference_of_two_predictions(units):
    full = np.ones(20, bool)
    less = full.copy()
    less[np.asarray(units, int)] = False
    right = DM.predict(less) - DM.predict(full)
    assert np.allclose(DM.effect_of_removing(units), right, atol=1e-12)
    assert np.allclose(DM.effect_of_removing(units, targets=[1]), right[1:2], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: DM.effect_of_removing([20]), "units are numbered 0 to 19, got 20"),
        (lambda: DM.effect_of_removing([0, -1]), "units are numbered 0 to 19, got -1"),
        (lambda: DM.effect_of_removing(MASKS[0]), "units must be whole numbers .* got bool"),
        (lambda: DM.effect_of_removing([1.5]), "units must be whole numbers .* got float64"),
        (lambda: DM.top(3), "there is no target 3: targets are numbered 0 to 2"),
        (lambda: DM.bottom(-1), "there is no target -1"),
        (lambda: DM.predict(MASKS, targets=[0, 5]), "there is no target 5"),
        (lambda: DM.predict(MASKS, targets=[True, False, True]), "targets must be whole numbers"),
        (lambda: Datamodels(WEIGHT, BIAS[:2], BIAS[:2]), r"need weight .*, got \[20, 3\], \[2\], \[2\]"),
        (lambda: Datamodels(WEIGHT, BIAS, BIAS[:2]), "need weight"),
        (lambda: Datamodels(WEIGHT[0], BIAS, BIAS), "need weight"),
    ],
)
def test_numbers_that_do_not_exist(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()


def same(a, b):
    return all(
        getattr(a, k).dtype == getattr(b, k).dtype and np.array_equal(getattr(a, k), getattr(b, k))
        for k in ("weight", "bias", "lam")
    )


def test_a_folder_for_numpy_alone(tmp_path):
    assert DM.save(tmp_path / "a" / "fit") == tmp_path / "a" / "fit"
    folder = tmp_path / "a" / "fit"
    for name in ("weight", "bias", "lam"):
        assert np.array_equal(np.load(folder / f"{name}.npy", mmap_mode="r"), getattr(DM, name))
    written = json.loads((folder / "datamodels.json").read_text())
    assert {key: written[key] for key in DM.meta} == DM.meta
    assert written.keys() - DM.meta.keys() == {"sha256", "seal"}
    back = Datamodels.load(folder)
    assert same(back, DM)
    assert back.meta == DM.meta
    assert np.array_equal(back.predict(MASKS), DM.predict(MASKS))
    assert repr(back) == repr(DM) == "Datamodels(units=20, targets=3, nonzero=5 a target, output='test_margins')"


def test_files_that_are_links_to_a_cache(tmp_path):
    """As download caches lay them out. Saving there replaces the links, and leaves the cache alone."""
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshot"
    DM.save(blobs)
    folder.mkdir()
    for path in blobs.iterdir():
        (folder / path.name).symlink_to(f"../blobs/{path.name}")
    back = Datamodels.load(folder)
    assert same(back, DM)
    Datamodels(back.weight * 2, back.bias, back.lam).save(folder)
    assert np.array_equal(Datamodels.load(folder).weight, DM.weight * 2)
    assert same(Datamodels.load(blobs), DM)


def test_saving_over_a_folder_replaces_it_whole(tmp_path):
    DM.save(tmp_path)
    back = Datamodels.load(tmp_path)
    doubled = Datamodels(back.weight * 2, back.bias, back.lam, {"new": 1})
    doubled.save(tmp_path)
    assert same(Datamodels.load(tmp_path), doubled)
    assert same(back, DM), "what is mapped stays as it was"
    back.save(tmp_path)
    assert same(Datamodels.load(tmp_path), DM)
    assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == []


def test_a_save_that_breaks_off_is_no_fit(tmp_path, monkeypatch):
    DM.save(tmp_path)
    real = os.replace

    def full(source, target):
        if str(target).endswith("lam.npy"):
            raise OSError(28, "full")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Exception, match=r"no space left on the disk of .*lam\.npy"):
        DM.save(tmp_path)
    with pytest.raises(InputError, match=r"holds no datamodels: there is no datamodels\.json in it"):
        Datamodels.load(tmp_path)


def test_damaged_folders(tmp_path):
    with pytest.raises(InputError, match=r"is neither a folder of datamodels nor a \.pt file"):
        Datamodels.load(tmp_path / "missing")
    for name, damage in (
        ("weight.npy", lambda raw: raw[:-1]),
        ("lam.npy", None),
        ("datamodels.json", lambda raw: b"{"),
    ):
        folder = DM.save(tmp_path / name)
        path = folder / name
        path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
        with pytest.raises(CorruptError, match=name.replace(".", r"\.")):
            Datamodels.load(folder)
    folder = DM.save(tmp_path / "shapes")
    np.save(folder / "bias.npy", np.zeros(4))
    (folder / "datamodels.json").write_text(json.dumps(DM.meta))  # as version 0.1.0 wrote it
    with pytest.raises(CorruptError, match=r"are damaged: datamodels need weight"):
        Datamodels.load(folder)


def test_a_pt_file_is_exactly_three_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    DM.save(tmp_path / "fit")
    DM.save(tmp_path / "new" / "dm.pt")
    assert sorted(os.listdir(tmp_path / "new")) == ["dm.json", "dm.pt"]
    for path in (tmp_path / "new" / "dm.pt", tmp_path / "fit" / "datamodels.pt"):
        data = torch.load(path, weights_only=True)
        assert list(data) == ["weight", "bias", "lam"]
        masks = torch.ones(2, DM.n)
        predicted = torch.addmm(data["bias"], masks, data["weight"])
        np.testing.assert_allclose(predicted.numpy(), DM.predict(np.ones((2, DM.n))), rtol=1e-5)
        assert all(np.array_equal(data[k].numpy(), getattr(DM, k).astype(np.float32)) for k in data)
        assert {array.dtype for array in data.values()} == {torch.float32}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            back = Datamodels.load(path)
        assert same(back, Datamodels(DM.weight, *(a.astype(np.float32).astype(float) for a in (DM.bias, DM.lam))))
        assert back.bias.dtype == back.lam.dtype == np.float64
        assert back.meta == DM.meta


def test_a_foreign_pt_file_is_read_with_a_warning(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "cifar.pt"
    tensors = {k: torch.tensor(getattr(DM, k)) for k in ("weight", "bias", "lam")}
    for zipped in (True, False):
        torch.save(
            {**tensors, "weight": tensors["weight"].requires_grad_()}, path, _use_new_zipfile_serialization=zipped
        )
        with pytest.warns(UserWarning, match=r"cifar\.pt has no metadata beside it; .* raw-mask units"):
            back = Datamodels.load(path)
        assert same(back, DM)
        assert back.meta == {}
    for damaged in (path.read_bytes()[:-20], b"", b"text"):
        path.write_bytes(damaged)
        with (
            pytest.warns(UserWarning, match="no metadata"),
            pytest.raises(CorruptError, match=r"cifar\.pt is not a whole file of {weight"),
        ):
            Datamodels.load(path)
    torch.save({"weight": tensors["weight"]}, path)
    with (
        pytest.warns(UserWarning, match="no metadata"),
        pytest.raises(CorruptError, match=r"not a whole file of .*bias"),
    ):
        Datamodels.load(path)


def test_fits_of_a_study_by_name(make_study):
    study = make_study(done=False)
    with pytest.raises(InputError, match=f"has no fit named 'default': run subtrain fit {study.path} first"):
        load_fit(study)
    assert save_fit(study, DM, "mine") == str(study.path / "fits" / "mine")
    assert same(load_fit(study, "mine"), DM)
    with pytest.raises(InputError, match="has no fit named 'default': there are mine"):
        load_fit(study)
    for name in ("", "..", "a/b", "/tmp", ".hidden", "a/"):
        with pytest.raises(InputError, match="a fit's name must be one plain folder name"):
            fit_prefix(name)
