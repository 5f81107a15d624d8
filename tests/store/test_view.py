"""What a study stores of its examples, so that it is looked at without its task's code."""

import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

import subtrain.studies.view.stored_view as stored
from subtrain import Design, Study
from subtrain.errors import CorruptError, InputError
from subtrain.store import protocol
from subtrain.store.seal import sealed
from subtrain.studies.imports.arrays import import_arrays
from subtrain.tasks import View, mlp
from subtrain.uses.kit.unit_names import target_labels, unit_columns
from worlds import linear

N, TARGETS = 20, 3
RANDOM = np.random.default_rng(0)
IMAGES = {
    "train": RANDOM.integers(0, 256, (N, 6, 5, 3), np.uint8),
    "test": RANDOM.integers(0, 256, (TARGETS, 6, 5), np.uint8),
}
TABLE = {
    "age": np.arange(N) + 0.5,
    "children": list(range(N)),
    "town": ["Ulm", None] * (N // 2),
    "mixed": [1.5, "x"] * (N // 2),
    "gap": [float("nan"), 1.0] * (N // 2),
    "when": np.arange("2020-01-01", "2020-01-21", dtype="datetime64[D]"),
}
FULL = View(
    images=IMAGES,
    labels={"train": ["a", "b"] * (N // 2), "test": [0, 1, 2]},
    texts={"test": ["one", "zwei ä", "line\nbreak"]},
    tables={"train": TABLE},
)


def of(shown, path, **options):
    return Study.create(path, replace(linear(), view=shown), Design(models=6, heldout=2), **options)


def test_everything_comes_back_without_the_task(tmp_path):
    of(FULL, tmp_path / "s")
    view = Study.open(tmp_path / "s").view
    assert set(view.images) == {"train", "test"}
    for split, images in IMAGES.items():
        np.testing.assert_array_equal(view.images[split], images)
        assert isinstance(view.images[split], np.memmap), "large ones are not read whole"
    assert view.labels["train"] == ["a", "b"] * (N // 2)
    assert view.labels["test"] == ["0", "1", "2"]
    assert view.texts["test"] == ["one", "zwei ä", "line\nbreak"]
    table = view.tables["train"]
    assert list(table) == list(TABLE)
    np.testing.assert_array_equal(table["age"], TABLE["age"])
    assert [int(v) for v in table["children"]] == TABLE["children"]
    assert table["town"][:2] == ["Ulm", None]
    assert table["mixed"][:2] == ["1.5", "x"]
    assert np.isnan(table["gap"][0])
    assert table["gap"][1] == 1.0
    assert table["when"][1] == "2020-01-02"


def test_what_reads_labels_reads_those(tmp_path):
    of(FULL, tmp_path / "s")
    study = Study.open(tmp_path / "s")
    assert unit_columns(study)["label"].tolist() == ["a", "b"] * (N // 2)
    assert target_labels(study, "test_margins").tolist() == ["0", "1", "2"]
    assert study.task_at_hand is None


def test_a_task_that_shows_nothing_stores_nothing(tmp_path):
    study = of(None, tmp_path / "s")
    assert not (tmp_path / "s" / "view").exists()
    assert study.shows is False
    assert not stored.shows(Study.open(tmp_path / "s").view)


def test_only_numbers_if_no_view_is_wanted(tmp_path):
    of(FULL, tmp_path / "s", view=False)
    assert not (tmp_path / "s" / "view").exists()
    assert not stored.shows(Study.open(tmp_path / "s").view)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (np.full((2, 4, 4), 0.5, np.float32), np.full((2, 4, 4), 128)),
        (np.full((2, 4, 4), 200.0), np.full((2, 4, 4), 200)),
        (np.ones((2, 4, 4), bool), np.full((2, 4, 4), 255)),
        (np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5), None),
        ([np.zeros((4, 4), np.uint8)] * 2, np.zeros((2, 4, 4))),
    ],
)
def test_images_of_other_kinds_become_bytes(given, wanted):
    images = stored.bounded(View(images={"train": given})).images["train"]
    wanted = np.asarray(given).transpose(0, 2, 3, 1) if wanted is None else wanted
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, wanted)


def test_images_may_be_a_tensor_or_a_list_of_them():
    import torch

    pixels = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    for given in (torch.tensor(pixels), torch.tensor(pixels / 255.0, requires_grad=True), list(torch.tensor(pixels))):
        images = stored.bounded(View(images={"train": given})).images["train"]
        np.testing.assert_array_equal(images, pixels.transpose(0, 2, 3, 1))


def test_images_of_several_sizes_share_a_canvas():
    given = [np.full((4, 8), 7, np.uint8), np.full((224, 112), 9, np.uint8)]
    images = stored.bounded(View(images={"train": given})).images["train"]
    assert images.shape == (2, 112, 56)
    assert (images[0, :4, :8] == 7).all()
    assert images[0].sum() == 7 * 32
    assert (images[1] == 9).all()


@pytest.mark.parametrize("wrong", [np.zeros((2, 5)), np.array(["a"]), np.zeros((2, 5, 5, 7), np.uint8)])
def test_what_are_no_images_is_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(InputError, match=r"images of train in the task's view must be one array uint8 \[N, H, W\]"):
        of(View(images={"train": wrong}), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_large_images_are_shrunk_to_what_the_page_needs(monkeypatch):
    images = np.zeros((10, 224, 448, 3), np.uint8)
    images[:, :, 224:] = 255
    for limit, side in ((10 * 56 * 112 * 3, 112), (10 * 32 * 64 * 3, 64), (10 * 16 * 32 * 3, 32)):
        monkeypatch.setattr(stored, "LIMIT", limit)
        found = stored.bounded(View(images={"train": images}))
        assert (found.images["train"].shape, found.shrunk) == ((10, side // 2, side, 3), side)
        assert found.images["train"][3, 1, [0, -1], 0].tolist() == [0, 255]
    monkeypatch.setattr(stored, "LIMIT", images.nbytes)
    assert stored.bounded(View(images={"train": images})).shrunk is None


def test_long_texts_are_cut_to_what_the_page_shows(monkeypatch):
    monkeypatch.setattr(stored, "LIMIT", 20_000)
    found = stored.bounded(View(texts={"train": ["x" * 1000] * 20}))
    assert (found.cut, found.texts[("texts", "train")]) == (400, ["x" * 400] * 20)


def test_texts_larger_than_other_json_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "JSON_BYTES", 20_000)
    monkeypatch.setattr(protocol, "JSON_PARTS", 100)
    texts = ['[{"a\\": [' * 900, "漢字" * 9_000, "\\", '"', "", None] * 3
    of(View(texts={"train": texts}), tmp_path / "s")
    assert Study.open(tmp_path / "s").view.texts["train"] == texts
    for data in (b"[" * 101, b"[" + b"1," * 10_000 + b"1]", b'["' + b"x" * 30_000 + b'"]', b'["' + b'\\"' * 60_000):
        with pytest.raises(CorruptError, match="is damaged"):
            protocol.parse_json(data, "f", 29_000)
    with pytest.raises(CorruptError, match="larger than any"):
        protocol.parse_json(b"[" + b'"",' * 11_000 + b'""]', "f", 100_000)


def test_texts_are_counted_as_they_are_stored(monkeypatch):
    monkeypatch.setattr(stored, "LIMIT", 30_000)
    assert stored.bounded(View(texts={"train": ["漢" * 4_900]})).cut is None
    assert stored.bounded(View(texts={"train": ["漢" * 5_000]})).cut == 400


def test_what_is_still_too_large_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "LIMIT", 5_000)
    with pytest.raises(InputError, match=r"takes 10\.2 kB even with images shrunk .* stores at most 5 kB: .*--no-view"):
        of(View(images={"train": np.zeros((10, 224, 224), np.uint8)}), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", ["index", "images", "labels", "texts", "table"])
def test_a_changed_byte_is_found(tmp_path, kind):
    of(FULL, tmp_path / "s")
    for file in (tmp_path / "s" / "view").glob(f"{kind}*"):
        data = bytearray(file.read_bytes())
        data[-3] ^= 1
        file.write_bytes(data)
    with pytest.raises(CorruptError, match=kind):
        look_at_all(Study.open(tmp_path / "s").view)


def look_at_all(view):
    for part in (view.images, view.labels, view.texts, *view.tables.values()):
        for key in part:
            _ = part[key]


def test_a_view_of_another_study_is_refused(tmp_path):
    of(FULL, tmp_path / "s")
    index = tmp_path / "s" / "view" / "index.json"
    found = json.loads(index.read_text()) | {"task": "another"}
    index.write_text(json.dumps(found | {"sha256": stored._index_digest(found)}))
    with pytest.raises(CorruptError, match="another study's"):
        _ = Study.open(tmp_path / "s").view


@pytest.mark.parametrize("name", ["../outside.npy", "/etc/passwd", "segments/x.npy", "view/../../x.npy"])
def test_an_index_leads_nowhere_else(tmp_path, name):
    of(FULL, tmp_path / "s")
    index = tmp_path / "s" / "view" / "index.json"
    found = json.loads(index.read_text())
    found["images"]["train"]["file"] = name
    index.write_text(json.dumps(found | {"sha256": stored._index_digest(found)}))
    with pytest.raises((CorruptError, InputError)):
        look_at_all(Study.open(tmp_path / "s").view)


def test_what_steers_a_terminal_is_not_shown(tmp_path):
    of(View(labels={"train": ["\x1b[31mred", "\ud800", "\x9b2J", "tab\t"] * 5}), tmp_path / "s")
    labels = Study.open(tmp_path / "s").view.labels["train"]
    assert labels[:4] == [
        "\N{REPLACEMENT CHARACTER}[31mred",
        "\N{REPLACEMENT CHARACTER}",
        "\N{REPLACEMENT CHARACTER}2J",
        "tab\t",
    ]


def test_many_may_create_it_at_once(tmp_path):
    task, design = replace(linear(), view=FULL), Design(models=6, heldout=2)
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(Study.create(tmp_path / "s", task, design, exist_ok=True)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    look_at_all(Study.open(tmp_path / "s").view)


def test_a_study_without_one_stores_it_when_it_is_collected(tmp_path):
    """One of version 0.1.0, or whose creation was killed half-way."""
    study = of(FULL, tmp_path / "s")
    manifest = json.loads((study.path / "study.json").read_text())
    del manifest["view"]
    (study.path / "study.json").write_text(json.dumps(sealed(manifest)))
    for file in (study.path / "view").iterdir():
        file.unlink()
    old = Study.open(study.path)
    assert old.view is None
    assert "stores nothing of them: collect it" in old.why_no_view
    old.with_task(replace(linear(), view=FULL)).collect(workers=1, progress=False)
    assert Study.open(study.path).view.labels["test"] == ["0", "1", "2"]


def of_0_1(path):
    """A complete study as version 0.1.0 left it: unsigned, without a view."""
    study = Study.create(path, "digits", Design(models=4, heldout=0), params={"n": 60, "targets": 5})
    study.collect(workers=1, progress=False)
    manifest = json.loads((path / "study.json").read_text())
    del manifest["view"], manifest["task"]["signature"]
    (path / "study.json").write_text(json.dumps(sealed(manifest)))
    shutil.rmtree(path / "view")
    return path


def test_a_complete_study_stores_its_view_when_it_is_trusted(tmp_path):
    path = of_0_1(tmp_path / "s")
    with pytest.raises(InputError, match="not created by you"):
        Study.open(path).collect(progress=False)
    assert Study.open(path).view is None
    assert Study.open(path, trust=True).collect(progress=False).trained == 0
    assert Study.open(path).view.images["train"].shape == (60, 8, 8)


def test_a_complete_study_is_no_less_complete_where_its_task_is_gone(tmp_path):
    path = of_0_1(tmp_path / "s")
    manifest = json.loads((path / "study.json").read_text())
    manifest["task"]["source"] = {"name": "mine.py:task", "params": {}, "file": "/nowhere/mine.py"}
    (path / "study.json").write_text(json.dumps(sealed(manifest)))
    done = Study.open(path, trust=True).collect(progress=False)
    assert done.done == done.total
    assert done.notes[0].startswith("what the task shows of its examples is not stored: there is no file /nowhere/")


def test_models_retrained_below_store_no_copies(tmp_path):
    x, y = RANDOM.normal(size=(12, 3)), np.arange(12) % 2
    view = View(labels={"train": [str(v) for v in y]})
    study = Study.create(tmp_path / "s", mlp(x, y, x, y, (2,), view=view), Design(models=4, heldout=0))
    from subtrain import retrain

    found = retrain(study, np.ones((1, 12), bool), workers=1, progress=False)
    assert not (found.study.path / "view").exists()


def test_an_imported_study_shows_what_is_given_for_it(tmp_path):
    masks = RANDOM.random((40, N)) < 0.5
    outputs = {"test_margins": RANDOM.normal(size=(40, TARGETS))}
    assert import_arrays(tmp_path / "plain", masks, outputs).view is None
    made = import_arrays(tmp_path / "shown", masks, outputs, view=View(labels=FULL.labels))
    assert made.view.labels["test"] == ["0", "1", "2"]
    assert unit_columns(made)["label"].tolist() == ["a", "b"] * (N // 2)


def test_the_labels_that_an_import_is_given_are_shown(tmp_path):
    logits = RANDOM.normal(size=(40, TARGETS, 2)).astype("float32")
    labels = np.array([0, 1, 0])
    correct = logits[:, np.arange(TARGETS), labels]
    outputs = {"test_margins": correct - logits[:, np.arange(TARGETS), 1 - labels], "test_logits": logits}
    made = import_arrays(tmp_path / "s", RANDOM.random((40, N)) < 0.5, outputs, labels=labels)
    assert target_labels(made, "test_margins").tolist() == ["0", "1", "0"]
