"""The catalogue against what the README and the threads say, and catalogues of others."""

import json
import math

import pytest

from mirror import catalogue_data
from subtrain.errors import InputError
from subtrain.public.catalogue import percent, read_catalogue

# The README's table: GB of masks and margins, and of logits.
README = {
    ("cifar", 10): (245, 1688),
    ("cifar", 20): (123, 849),
    ("cifar", 50): (49, 346),
    ("cifar", 75): (98, 682),
    ("fmow", 20): (25.4, 0),
    ("fmow", 50): (10.6, 0),
    ("fmow", 75): (21.2, 0),
}


@pytest.mark.parametrize(("name", "pct"), README)
def test_sizes_are_those_of_the_readme(name, pct):
    arrays = [file for file in read_catalogue().find(name, pct=pct) if file.is_array]
    logits = sum(file.size for file in arrays if "logits" in file.kind) / 2**30
    rest = sum(file.size for file in arrays if "logits" not in file.kind) / 2**30
    assert rest == pytest.approx(README[name, pct][0], rel=0.05)
    assert logits == pytest.approx(README[name, pct][1], rel=0.005)


def test_datamodels_and_the_whole_have_the_sizes_of_the_readme():
    found = read_catalogue()
    for name, said in (("cifar", 16.9), ("fmow", 0.75)):
        assert sum(f.size for f in found.find(name) if not f.is_array) / 2**30 == pytest.approx(said, rel=0.01)
    assert sum(f.size for f in found.find()) / 2**30 == pytest.approx(4155, rel=0.005)


def test_what_is_missing_is_said_with_its_source():
    missing = read_catalogue().find(missing=True)
    assert {(f.dataset, f.pct) for f in missing} == {
        *(("cifar", pct) for pct in (10, 20, 75)),
        *(("fmow", pct) for pct in (20, 50, 75)),
    }
    assert {f.kind for f in missing} == {"train_datamodels"}
    with pytest.raises(InputError, match=r"train_10pct\.pt is not in the bucket: .*50 % only.*issue-2"):
        read_catalogue().get("cifar/datamodels/train_10pct.pt")
    assert read_catalogue().get("cifar/datamodels/train_50pct.pt").shape == (50_000, 50_000)


def test_every_file_has_evaluation_models_and_a_source():
    found = read_catalogue()
    trained = {("cifar", 10): 1_500_000, ("cifar", 20): 750_000, ("cifar", 50): 300_000, ("cifar", 75): 600_000}
    trained |= {("fmow", 20): 375_000, ("fmow", 50): 150_000, ("fmow", 75): 300_000}
    for file in found.files:
        about = found.datasets[file.dataset]
        if file.is_array:
            assert file.shape[0] == trained[file.dataset, file.pct] + about.heldout
            assert file.key == f"{file.dataset}/data/{file.kind}_{file.pct}pct.npy"
        assert all(source in found.sources for source in file.sources)
        assert file.sources
        assert file.shape_certain == (file.dataset == "cifar")


def test_a_wrong_key_names_the_nearest():
    with pytest.raises(InputError, match=r"no file 'cifar/data/test_margin_50pct.npy'; near it are .*test_margins_50"):
        read_catalogue().get("cifar/data/test_margin_50pct.npy")
    with pytest.raises(InputError, match="no data set 'mnist' in the catalogue; it has cifar, fmow"):
        read_catalogue().find("mnist")


def test_a_catalogue_of_ones_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(catalogue_data("data", pays=False)))
    found = read_catalogue(path)
    assert found.address == str(tmp_path / "data")
    assert found.find("toy", "test_margins")[0].size == 260 * 5 * 2 + 128
    assert [f.missing for f in found.find(missing=True)] == ["it was never there"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "has format 2"),
        ({"files": [{"key": "a.npy"}]}, "is not a catalogue, at"),
        ({"rates": {"per_byte": 1}}, "is not a catalogue"),
        ({"datasets": {"toy": {"title": "x"}}}, "is not a catalogue"),
        ({"datasets": []}, "is not a catalogue"),
    ],
)
def test_what_is_no_catalogue_is_refused(tmp_path, change, said):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(catalogue_data() | change))
    with pytest.raises(InputError, match=said):
        read_catalogue(path)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../../etc/passwd.npy"},
        {"key": "/etc/x.npy"},
        {"key": "toy/x.exe"},
        {"shape": [math.nan, 3]},
        {"shape": [-1, 3]},
        {"dtype": "object"},
        {"dataset": "other"},
    ],
)
def test_an_entry_that_leads_elsewhere_or_holds_what_it_must_not_is_refused(tmp_path, change):
    data = catalogue_data()
    data["files"][0] |= change
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError):
        read_catalogue(path)


def test_alpha_is_a_share_or_a_percentage():
    assert [percent(alpha) for alpha in (0.1, 0.29, 0.75, 50, 75.0)] == [10, 29, 75, 50, 75]
    for alpha in (0, -0.5, 101, float("nan")):
        with pytest.raises(InputError, match=r"a share of the units, as 0\.5, or a percentage"):
            percent(alpha)


def test_a_catalogue_that_is_not_there_or_not_json(tmp_path):
    with pytest.raises(InputError, match="cannot read the catalogue"):
        read_catalogue(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text('{"format": 1,')
    with pytest.raises(InputError, match="is not a catalogue"):
        read_catalogue(tmp_path / "torn.json")
