"""Masks and outputs made elsewhere: read where they lie, whatever their layout; refused before anything is written."""

from __future__ import annotations

import json
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subtrain import Datamodels, Design, LeastSquares, Ridge, Study, collect, evaluate, fit
from subtrain.errors import InputError, MismatchError
from subtrain.store.npy_files import open_npy
from subtrain.studies.export import export
from subtrain.studies.imports.arrays import import_arrays, import_folder

RANDOM = np.random.default_rng(0)
MASKS = RANDOM.random((40, 9)) < 0.5
MARGINS = RANDOM.normal(size=(40, 5)).astype(np.float16)


def saved(path, array):
    np.save(path, array)
    return path


def test_arrays_from_memory(tmp_path):
    study = import_arrays(tmp_path / "s", MASKS, {"test_margins": MARGINS, "loss": np.arange(40)})
    assert (study.n, study.models, study.models_done()) == (9, 40, 40)
    assert study.outputs["test_margins"].dtype == "float16"
    assert study.outputs["loss"].shape == (1,)
    assert np.array_equal(study.masks().unpack(), MASKS)
    assert np.array_equal(study.read("test_margins", [3, 1]), MARGINS[[3, 1]])
    assert study.read("loss")[:, 0].tolist() == list(range(40))
    assert study.done("evaluation").tolist() == [36, 37, 38, 39], "the last tenth"
    assert np.array_equal(study.masks([39, 0, 5]).unpack(), MASKS[[39, 0, 5]])
    assert study.design.alpha == round(MASKS.mean(), 4)
    again = Study.open(study.path)
    assert np.array_equal(again.read("test_margins"), MARGINS)
    assert again.identity == study.identity


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: a[:, ::-1][:, ::-1],
        lambda a: np.asfortranarray(a.astype(">f8")),
    ],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_any_layout_in_memory_or_on_disk(tmp_path, change, as_file):
    masks, margins = change(MASKS.astype(np.uint8)), change(MARGINS.astype(np.float32))
    if as_file:
        masks, margins = saved(tmp_path / "m.npy", masks), saved(tmp_path / "y.npy", margins)
    study = import_arrays(tmp_path / "s", masks, {"test_margins": margins})
    assert np.array_equal(study.masks().unpack(), MASKS)
    found = study.read("test_margins", [7, 7, 0])
    assert np.array_equal(found, MARGINS[[7, 7, 0]])
    assert found.dtype.isnative
    assert str(found.dtype) == study.outputs["test_margins"].dtype


def test_files_are_read_where_they_lie(tmp_path):
    (tmp_path / "data").mkdir()
    masks, margins = saved(tmp_path / "data" / "m.npy", MASKS), saved(tmp_path / "data" / "y.npy", MARGINS)
    before = masks.read_bytes(), margins.read_bytes(), masks.stat().st_mtime_ns
    study = import_arrays(tmp_path / "s", masks, {"test_margins": str(margins)}, heldout=7)
    assert sorted(os.listdir(study.path)) == ["study.json", "subsets.npy"]
    assert study.done("evaluation").tolist() == list(range(33, 40))
    assert (masks.read_bytes(), margins.read_bytes(), masks.stat().st_mtime_ns) == before
    margins.write_bytes(margins.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"y\.npy is not a readable \.npy file"):
        study.read("test_margins")
    masks.unlink()
    with pytest.raises(InputError, match=r"there is no file .*m\.npy"):
        study.masks()


def test_files_that_changed_since_are_refused(tmp_path):
    masks, margins = saved(tmp_path / "m.npy", MASKS), saved(tmp_path / "y.npy", MARGINS)
    study = import_arrays(tmp_path / "s", masks, {"a": margins})
    saved(masks, MASKS[:, :8])
    saved(margins, MARGINS[:30])
    with pytest.raises(InputError, match=r"m\.npy has shape \[40, 8\], it had \[40, 9\] when it was imported"):
        study.masks()
    with pytest.raises(InputError, match=r"y\.npy has 30 rows, it had 40 when it was imported"):
        study.read("a")


def test_replicates_are_found_by_their_masks(tmp_path):
    masks = MASKS.copy()
    masks[[37, 39]] = masks[35]
    study = import_arrays(tmp_path / "s", masks, {"a": MARGINS}, heldout=6)
    subsets = study.design.subsets(range(34, 40))
    assert subsets.tolist() == [34, 35, 36, 35, 38, 35]
    assert study.design.subsets(range(3)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("heldout", [0, 39])
def test_the_ends_of_heldout(tmp_path, heldout):
    study = import_arrays(tmp_path / "s", MASKS, {"a": MARGINS}, heldout=heldout)
    assert study.done("evaluation").size == heldout
    assert study.done("fit").size == 40 - heldout


def object_array() -> np.ndarray:
    array = np.empty((40, 5), object)
    array[:] = 1.0
    return array


BAD_MASKS = {
    "numbers": (np.where(np.arange(360).reshape(40, 9) == 9 * 17 + 4, 2, MASKS), "row 17, unit 4 is 2"),
    "nan": (np.where(np.eye(40, 9), np.nan, MASKS), "row 0, unit 0 is nan"),
    "flat": (MASKS[:, 0], r"masks must be \[models, units\] with at least two of each, got shape \[40\]"),
    "one unit": (MASKS[:, :1], r"got shape \[40, 1\]"),
    "words": (MASKS.astype(str), "bool or 0/1 numbers"),
}


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("name", BAD_MASKS)
def test_masks_that_are_none(tmp_path, name, as_file):
    masks, sentence = BAD_MASKS[name]
    masks = saved(tmp_path / "m.npy", masks) if as_file else masks
    refused(tmp_path, masks, {"a": MARGINS}, sentence)


def refused(tmp_path, masks, outputs, sentence, **options):
    with pytest.raises(InputError, match=sentence):
        import_arrays(tmp_path / "s", masks, outputs, **options)
    assert not (tmp_path / "s").exists()


def test_a_stray_number_far_down_is_found(tmp_path):
    masks = np.zeros((9000, 3), np.int8)
    masks[8191, 2] = 7
    refused(tmp_path, masks, {"a": np.zeros((9000, 1))}, "masks must hold only 0 and 1; row 8191, unit 2 is 7")


@pytest.mark.parametrize(
    ("outputs", "options", "sentence"),
    [
        ({"a": MARGINS[:39]}, {}, "output a has 39 rows, the masks have 40"),
        ({"a": np.float64(3)}, {}, "output a has 0 rows"),
        ({"a": MARGINS, "b": MARGINS[:2]}, {}, "output b has 2 rows"),
        ({}, {}, "give at least one output"),
        ({"a b": MARGINS}, {}, "output name 'a b' must be a plain word"),
        ({"a": object_array()}, {}, "must be numbers of at most 64 bits, got dtype object"),
        ({"a": MARGINS.astype(complex)}, {}, "dtype complex128"),
        ({"a": MARGINS[:, :0]}, {}, "no targets"),
        ({"a": MARGINS}, {"heldout": 40}, "heldout must be between 0 and 39, got 40"),
        ({"a": MARGINS}, {"heldout": -1}, "heldout must be between 0 and 39, got -1"),
        ({"a": MARGINS}, {"evaluation": [[30, 41]]}, "row 40 does not exist"),
        ({"a": "nowhere.npy"}, {}, "there is no file nowhere.npy"),
    ],
)
def test_outputs_that_do_not_fit(tmp_path, outputs, options, sentence):
    refused(tmp_path, MASKS, outputs, sentence, **options)


BROKEN = {
    "magic": lambda raw: b"X" + raw[1:],
    "version": lambda raw: raw[:6] + b"\x09" + raw[7:],
    "header": lambda raw: raw.replace(b"'descr'", b"'dexcr'"),
    "open header": lambda raw: raw.replace(b"}", b" ", 1),
    "dtype": lambda raw: raw.replace(b"<f2", b"<q9"),
    "shape": lambda raw: raw.replace(b"(40, 5)", b"(40,-5)"),
    "fewer rows": lambda raw: raw.replace(b"(40, 5)", b"(40, 4)"),
    "more rows": lambda raw: raw.replace(b"(40, 5)", b"(99, 5)"),
    "cut": lambda raw: raw[:-1],
    "no data": lambda raw: raw[:128],
    "no header": lambda raw: raw[:20],
    "empty": lambda raw: b"",
    "text": lambda raw: b"1,2,3\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_damaged_npy_is_refused(tmp_path, kind):
    path = saved(tmp_path / "y.npy", MARGINS)
    raw = path.read_bytes()
    path.write_bytes(BROKEN[kind](raw))
    assert path.read_bytes() != raw
    refused(tmp_path, MASKS, {"a": path}, r"y\.npy is not a readable \.npy file")
    refused(tmp_path, path, {"a": MARGINS}, r"y\.npy is not a readable \.npy file")


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 127), flip=st.integers(1, 255))
def test_a_flipped_byte_in_the_header_never_gives_other_shapes(tmp_path_factory, at, flip):
    path = saved(tmp_path_factory.mktemp("npy") / "y.npy", MARGINS)
    raw = bytearray(path.read_bytes())
    raw[at] ^= flip
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array = open_npy(path)
        except InputError as error:
            said = str(error)
        else:
            said = str(path)
            assert array.nbytes == MARGINS.nbytes
    assert str(path) in said


def test_python_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "o.npy"
    np.save(path, object_array(), allow_pickle=True)
    refused(tmp_path, MASKS, {"a": path}, r"o\.npy is not a readable \.npy file")
    np.savez(tmp_path / "z.npz", a=MARGINS)
    refused(tmp_path, MASKS, {"a": tmp_path / "z.npz"}, r"z\.npz holds several arrays; give a \.npy file with one")


def test_importing_over_a_study_is_refused(tmp_path):
    study = import_arrays(tmp_path / "s", MASKS, {"a": MARGINS})
    before = (study.path / "study.json").read_bytes()
    with pytest.raises(InputError, match="is a study already; choose another folder"):
        import_arrays(tmp_path / "s", MASKS, {"a": MARGINS})
    assert (study.path / "study.json").read_bytes() == before


def test_an_imported_study_cannot_be_trained_on(tmp_path):
    study = Study.from_arrays(tmp_path / "s", MASKS, {"a": MARGINS})
    with pytest.raises(InputError, match="was imported: there is no design to draw more models from"):
        study.extend(models=3)
    with pytest.raises(InputError, match="its models were trained elsewhere, there is nothing to collect"):
        collect(study)


def public(folder, pct="50"):
    folder.mkdir(parents=True, exist_ok=True)
    saved(folder / f"train_masks_{pct}pct.npy", MASKS)
    saved(folder / f"test_margins_{pct}pct.npy", MARGINS)
    return folder


def test_a_folder_in_the_public_layout(tmp_path):
    public(tmp_path / "cifar" / "data")
    for k, folder in enumerate((tmp_path / "cifar", tmp_path / "cifar" / "data")):
        study = import_folder(tmp_path / f"s{k}", folder, heldout=5)
        assert list(study.outputs) == ["test_margins"]
        assert np.array_equal(study.read("test_margins"), MARGINS)
        assert study.done("evaluation").size == 5
    for said in ("{}", "[]", '{"evaluation": 3}'):
        (tmp_path / "cifar" / "data" / "study_50pct.json").write_text(said)
        with pytest.raises(InputError, match=r"study_50pct\.json does not say which rows are held out"):
            import_folder(tmp_path / "s", tmp_path / "cifar")
    public(tmp_path / "cifar" / "data", "5")
    with pytest.raises(InputError, match=r"holds masks of several alphas \(50, 5\); say which with pct"):
        import_folder(tmp_path / "s", tmp_path / "cifar")
    with pytest.raises(InputError, match=r"holds no train_masks_20pct\.npy, only 50, 5"):
        import_folder(tmp_path / "s", tmp_path / "cifar", pct="20")
    assert list(import_folder(tmp_path / "s", tmp_path / "cifar", pct="5").outputs) == ["test_margins"]
    with pytest.raises(InputError, match=r"holds no train_masks_…pct\.npy; give --masks and --output instead"):
        import_folder(tmp_path / "t", tmp_path)


def test_the_published_size_has_its_own_default(tmp_path):
    big = np.arange(20_003)[:, None] % 2 == np.arange(2)
    study = import_arrays(tmp_path / "s", big, {"a": np.zeros(20_003, np.int8)})
    assert study.done("evaluation").tolist() == list(range(10_003, 20_003))


def test_what_was_fitted_is_known_wherever_the_folder_is_opened_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = import_arrays("s", saved(tmp_path / "m.npy", MASKS), {"a": MARGINS}, heldout=6)
    meta = {"study_id": study.identity, "models_used": [[0, 34]], "output": "a"}
    dm = Datamodels(np.zeros((9, 5)), np.zeros(5), np.zeros(5), meta)
    for where in ("s", tmp_path / "s"):
        with pytest.raises(InputError, match="was used to fit"):
            evaluate(dm, Study.open(where), rows=range(30, 40))
    other = import_arrays("t", MASKS, {"a": MARGINS[::-1]}, heldout=6)
    assert other.identity != study.identity, "other data of the same shape"
    assert Study.open("s").design.role_rows("fit").size == 34
    with pytest.raises(MismatchError, match=r"made with another design: .*kind is 'given', not 'fixed'"):
        Study.open("s", design=Design(models=3))


def continuous(rows=400, n=50, targets=5, seed=0):
    random = np.random.default_rng(seed)
    masks = random.random((rows, n)) < 0.5
    weight = random.normal(size=(n, targets))
    return masks, (masks @ weight + random.normal(size=(rows, targets))).astype(np.float32), weight


@pytest.mark.parametrize("unwritten", [0.0, np.nan])
def test_rows_that_were_never_filled_count_as_missing(tmp_path, unwritten):
    masks, outputs, _ = continuous()
    unfilled = [*range(100), 399]
    masks[unfilled], outputs[unfilled] = False, unwritten
    with pytest.warns(UserWarning, match=r"101 of 400 rows were never filled \(the first is row 0\)"):
        study = import_arrays(tmp_path / "s", masks, {"test_margins": outputs})
    assert study.models_done() == 299
    assert study.done().tolist() == list(range(100, 399))
    assert study.done("evaluation").size == 39
    assert study.design.alpha == round(masks[100:399].mean(), 4)
    again = Study.open(study.path)
    assert again.done().tolist() == study.done().tolist()
    assert again.identity == study.identity
    with pytest.warns(UserWarning, match="100 of 360 models to fit on are missing: their rows were never filled"):
        dm = fit(again, estimator=LeastSquares())
    assert "100 of 360 models to fit on are missing" in dm.meta["notes"][0]
    alone = import_arrays(tmp_path / "alone", masks[100:399], {"test_margins": outputs[100:399]}, heldout=39)
    np.testing.assert_array_equal(dm.weight, fit(alone, estimator=LeastSquares()).weight)
    with pytest.warns(UserWarning, match="1 of 40 models to judge on are missing"):
        found = evaluate(dm, again)
    assert (found.subsets, found.notes) == (
        39,
        ("1 of 40 models to judge on are missing: their rows were never filled",),
    )
    whole = export(again, tmp_path / "out")[1]
    assert np.load(whole).tobytes() == outputs.tobytes()


def test_masks_without_a_unit_whose_models_have_outputs_are_counted(tmp_path):
    masks, outputs, _ = continuous()
    masks[7:10] = False
    with pytest.warns(UserWarning, match="3 of 400 masks have no unit, though they have outputs"):
        assert import_arrays(tmp_path / "s", masks, {"test_margins": outputs}).models_done() == 400
    masks, outputs, _ = continuous(n=4)
    assert (masks.sum(axis=1) == 0).any(), "of four units a mask without one is no wonder"
    import_arrays(tmp_path / "t", masks, {"test_margins": outputs})


@pytest.mark.parametrize("targets", [1, 5])
def test_outputs_that_were_never_filled_are_counted(tmp_path, targets):
    masks, outputs, _ = continuous(targets=targets)
    outputs[20:50] = 0
    study = import_arrays(tmp_path / "s", masks, {"test_margins": outputs})
    with pytest.warns(UserWarning, match=r"outputs of 30 of 360 models are all 0 \(the first is model 20\)"):
        fit(study, estimator=LeastSquares())
    right = (outputs > 0).astype(np.float32)
    correct = import_arrays(tmp_path / "c", masks, {"test_correctness": right})
    fit(correct, estimator=LeastSquares())  # Of zeros and ones, rows of zeros are no wonder.


def test_held_out_masks_that_were_fitted_on_do_not_judge(tmp_path):
    masks, outputs, _ = continuous()
    fair = import_arrays(tmp_path / "fair", masks, {"test_margins": outputs})
    masks, outputs = masks.copy(), outputs.copy()
    masks[370:380], outputs[370:380] = masks[:10], outputs[:10]
    study = import_arrays(tmp_path / "s", masks, {"test_margins": outputs})
    dm = fit(study, estimator=LeastSquares())
    with pytest.warns(UserWarning, match=r"10 of 40 held-out models have the same mask as one .*first is model 370"):
        found = evaluate(dm, study)
    assert found.subsets == 30
    assert "same mask" in found.notes[0]
    kept = [*range(360, 370), *range(380, 400)]
    assert found.lds.value == evaluate(fit(fair, estimator=LeastSquares()), fair, rows=kept).lds.value
    assert "10 of 40" in found.to_json()["notes"][0]


def test_copies_of_one_set_of_models_are_refused_as_judges(tmp_path):
    masks, outputs, _ = continuous(40)
    study = import_arrays(tmp_path / "s", np.tile(masks, (10, 1)), {"test_margins": np.tile(outputs, (10, 1))})
    dm = fit(study, estimator=Ridge())
    with pytest.raises(InputError, match=r"0 finished held-out subsets are too few .*40 of 40 held-out models"):
        evaluate(dm, study)


def test_of_few_units_the_same_mask_by_chance_judges(tmp_path):
    masks, outputs, _ = continuous(n=6)
    study = import_arrays(tmp_path / "s", masks, {"test_margins": outputs})
    found = evaluate(fit(study, estimator=LeastSquares()), study)
    assert found.notes == ()


def test_a_study_of_version_0_1_0_finds_its_copies_too(tmp_path):
    masks, outputs, _ = continuous()
    masks[399] = masks[5]
    study = import_arrays(tmp_path / "s", masks, {"test_margins": outputs})
    (study.path / "subsets.npy").unlink()
    manifest = study.path / "study.json"
    data = {k: v for k, v in json.loads(manifest.read_text()).items() if k not in ("seal", "sha256")}
    manifest.write_text(json.dumps(data | {"format": 1}))
    np.save(study.path / "evaluation_subsets.npy", np.arange(360, 400))
    old = Study.open(study.path)
    assert old.design.subsets([399, 398]).tolist() == [5, 398]
    with pytest.warns(UserWarning, match="1 of 40 held-out models have the same mask"):
        evaluate(fit(old, estimator=LeastSquares()), old)


@pytest.mark.parametrize("byte", [2, 255])
def test_bool_masks_with_other_bytes_are_refused(tmp_path, byte):
    raw = MASKS.astype(np.uint8)
    raw[31, 2] = byte
    masks = saved(tmp_path / "m.npy", raw.view(bool))
    with pytest.raises(InputError, match=f"row 31, unit 2 is the byte {byte}"):
        import_arrays(tmp_path / "s", masks, {"test_margins": MARGINS})
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("pct", "asked"), [("50", "50"), ("50", "0.5"), ("50", "50.0"), ("0.5", "0.5"), ("12.5", ".125")]
)
def test_alpha_of_a_folder_is_kept(tmp_path, pct, asked):
    random, share = np.random.default_rng(2), float(pct) / 100
    masks = random.random((60, 30)) < share
    masks[masks.sum(axis=1) == 0, 0] = True
    data = tmp_path / "cifar" / "data"
    data.mkdir(parents=True)
    saved(data / f"train_masks_{pct}pct.npy", masks)
    saved(data / f"test_margins_{pct}pct.npy", random.normal(size=(60, 4)).astype(np.float16))
    study = import_folder(tmp_path / "s", tmp_path / "cifar", pct=asked)
    written = export(Study.open(study.path), tmp_path / "out", "cifar")
    assert [path.name for path in written[:2]] == [f"train_masks_{pct}pct.npy", f"test_margins_{pct}pct.npy"]
    if pct == "50":
        assert study.design.alpha == 0.5
    for path in written[:2]:
        assert path.read_bytes() == (data / path.name).read_bytes()
    assert str(tmp_path) not in written[-1].read_text(), "nothing of this machine goes out with the data"


def test_a_folder_whose_names_say_another_alpha(tmp_path):
    public(tmp_path / "cifar" / "data", "5")
    study = import_folder(tmp_path / "s", tmp_path / "cifar")
    assert study.design.alpha == round(MASKS.mean(), 4)
    assert study.manifest["notes"] == ["The files' names say 5 % of the units, their masks hold 45 %: that is alpha"]


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ({"test_logits": (40, 4, 3)}, "test_margins has 5 targets, but test_logits has 4"),
        ({"train_margins": (40, 9), "train_logits": (40, 8, 3)}, "train_logits has 8 targets, but train_masks has 9"),
        ({"train_margins": (40, 8)}, "train_margins has 8 targets, but train_masks has 9"),
    ],
)
def test_targets_of_one_split_are_the_same_examples(tmp_path, outputs, sentence):
    data = tmp_path / "cifar" / "data"
    public(data)
    for name, shape in outputs.items():
        saved(data / f"{name}_50pct.npy", np.zeros(shape, np.float16))
    with pytest.raises(InputError, match="both must be of the same examples") as error:
        import_folder(tmp_path / "s", tmp_path / "cifar")
    names = {word for word in sentence.replace(",", "").split() if "_" in word}
    assert names <= set(str(error.value).split())
    assert not (tmp_path / "s").exists()
