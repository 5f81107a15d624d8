import numpy as np
import pytest
from PIL import Image

from subtrain.datasets import FMoW, FMoWDataset
from subtrain.datasets.fmow import CATEGORIES
from subtrain.errors import CorruptError, InputError
from subtrain.tasks.kit.pixels import image_data

# (split, category, timestamp, country): one row an image, in the order of the file.
ROWS = [
    ("train", "zoo", "2012-01-01T00:00:00Z", "USA"),  # 0: the first moment of the year
    ("seq", "zoo", "2012-05-01T00:00:00Z", "USA"),  # 1: sequestered
    ("train", "airport", "2011-12-31T23:59:59Z", "FRA"),  # 2: a second too early
    ("test", "dam", "2012-06-01T10:00:00Z", "XYZ"),  # 3: a country of no region
    ("train", "barn", "2012-12-31T23:59:59Z", "FRA"),  # 4: the last moment
    ("train", "barn", "2013-01-01T00:00:00Z", "FRA"),  # 5: the next year
    ("val", "port", "2012-07-01T00:00:00Z", "FRA"),  # 6
    ("val", "port", "2013-07-01T00:00:00Z", "FRA"),  # 7: out of distribution
    ("val", "port", "2016-01-01T00:00:00Z", "FRA"),  # 8: too late for val
    ("test", "zoo", "2016-01-01T00:00:00Z", "FRA"),  # 9: out of distribution
    ("test", "zoo", "2015-01-01T00:00:00Z", "FRA"),  # 10: neither year nor last
    ("test", "prison", "2012-02-29T00:00:00Z", "USA"),  # 11
]


@pytest.fixture
def wilds(tmp_path):
    root = tmp_path / "fmow_v1.1"
    (root / "images").mkdir(parents=True)
    lines = [f"{k},{s},{c},x.json,{t},{n}" for k, (s, c, t, n) in enumerate(ROWS)]
    (root / "rgb_metadata.csv").write_text(
        "\n".join(["img_number,split,category,visible,timestamp,country_code", *lines])
    )
    (root / "country_code_mapping.csv").write_text(
        "name,alpha-3,region\nFrance,FRA,Europe\nUnited States,USA,Americas\n"
    )
    for k in range(len(ROWS)):
        Image.new("RGB", (224, 224), (k, 2 * k, 3 * k)).save(root / "images" / f"rgb_img_{k}.png")
    return root


@pytest.mark.parametrize(
    ("split", "rows"), [("train", [0, 4]), ("id_test", [3, 11]), ("id_val", [6]), ("val", [7]), ("test", [9])]
)
def test_splits_are_those_of_the_year_in_the_order_of_the_metadata(wilds, split, rows):
    assert FMoW.open(wilds, split).rows.tolist() == rows


def test_column_i_is_example_i_with_its_own_file(wilds):
    data = FMoW.open(wilds.parent, "id_test")
    assert len(data) == 2
    image, label = data[1]
    assert image[0, 0].tolist() == [11, 22, 33]
    assert label == CATEGORIES.index("prison")
    assert data.regions == ("Other", "Americas")
    assert data.years.tolist() == [2012, 2012]


def test_another_year(wilds):
    assert FMoW.open(wilds, "train", year=2015).rows.tolist() == [2]


def test_the_names_of_the_datas_own_page(wilds):
    data = FMoWDataset(root_dir=wilds.parent, split_scheme="time_after_2016")
    seen = data.get_subset("id_test", transform=lambda image: image.size)
    assert seen.rows.tolist() == FMoW.open(wilds, "id_test").rows.tolist()
    assert seen[0] == ((224, 224), CATEGORIES.index("dam"))
    assert FMoWDataset(wilds).get_subset("train").rows.tolist() == [0, 4]
    assert FMoWDataset(wilds, "time_after_2015").get_subset("train").rows.tolist() == [2]
    for scheme in ("mixed-to-test", "time_after_soon", "2016"):
        with pytest.raises(InputError, match="split_scheme must be"):
            FMoWDataset(wilds, scheme).get_subset("train")


def test_there_are_62_categories_in_order():
    assert len(CATEGORIES) == 62
    assert list(CATEGORIES) == sorted(CATEGORIES)


def test_transform_gets_the_picture(wilds):
    data = FMoW.open(wilds, "train", transform=lambda image: image.size)
    assert data[0] == ((224, 224), CATEGORIES.index("zoo"))


def test_a_task_can_name_the_folder(wilds):
    splits = image_data(str(wilds), n=1)
    assert splits["train"][0].shape == (1, 224, 224, 3)
    assert splits["test"][0][1, 0, 0].tolist() == [11, 22, 33]
    assert splits["train"][1].tolist() == [CATEGORIES.index("zoo")]


def test_it_agrees_with_wilds_where_that_is_installed(wilds):
    """WILDS has all years before 2013 in its in-distribution splits: ours are those of 2012 among them."""
    fmow = pytest.importorskip("wilds.datasets.fmow_dataset", reason="the wilds package is not installed")
    (wilds / "RELEASE_v1.1.txt").touch()
    theirs = fmow.FMoWDataset(root_dir=str(wilds.parent), download=False)
    for split, ours in (("train", FMoW.open(wilds, "train")), ("id_test", FMoW.open(wilds, "id_test"))):
        inside = [int(theirs.full_idxs[k]) for k in np.flatnonzero(theirs.split_array == theirs.split_dict[split])]
        assert [row for row in inside if ROWS[row][2].startswith("2012")] == ours.rows.tolist()


def test_errors_name_what_is_wrong(wilds, tmp_path):
    with pytest.raises(InputError, match="no split 'valid'; choose from train"):
        FMoW.open(wilds, "valid")
    with pytest.raises(InputError, match="no WILDS folder"):
        FMoW.open(tmp_path / "nowhere")
    (wilds / "images" / "rgb_img_4.png").unlink()
    with pytest.raises(InputError, match="image 1 of the split train is not there"):
        FMoW.open(wilds)[1]
    (wilds / "images" / "rgb_img_4.png").write_bytes(b"no picture")
    with pytest.raises(CorruptError, match="not a whole image"):
        FMoW.open(wilds)[1]
    metadata = wilds / "rgb_metadata.csv"
    metadata.write_text(metadata.read_text().replace("prison", "castle"))
    with pytest.raises(CorruptError, match=r"row 11 .*'castle', none of the 62"):
        FMoW.open(wilds, "id_test")
    metadata.write_text(metadata.read_text().replace("2012-02-29", "2012-02-31"))
    with pytest.raises(CorruptError, match=r"row 11 .*timestamp '2012-02-31"):
        FMoW.open(wilds)
    metadata.write_text("a,b\n1,2\n")
    with pytest.raises(CorruptError, match="no column named split, category"):
        FMoW.open(wilds)
