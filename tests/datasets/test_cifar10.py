import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from subtrain.datasets import cifar10
from subtrain.errors import CorruptError, InputError
from subtrain.tasks.kit.pixels import image_data

EACH = 3
NAMES = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]


def batches():
    """Pixels and labels by batch, each image a ramp of its own that starts differently in every channel."""
    random = np.random.default_rng(0)
    return {name: (random.integers(0, 256, (EACH, 3072), np.uint8), random.integers(0, 10, EACH)) for name in NAMES}


def as_binary(pixels, labels):
    return np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes()


def as_pickle(pixels, labels):
    """As Python 2 wrote them: protocol 2, byte strings as keys."""
    text = {b"batch_label": b"training", b"labels": labels.tolist(), b"data": pixels, b"filenames": [b"a.png"] * EACH}
    return pickle.dumps(text, protocol=2)


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def files(kind):
    if kind == "binary":
        return {f"cifar-10-batches-bin/{name}.bin": as_binary(*batch) for name, batch in batches().items()}
    return {f"cifar-10-batches-py/{name}": as_pickle(*batch) for name, batch in batches().items()}


@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("form", ["archive", "folder", "parent"])
def test_both_versions_give_every_pixel_in_the_default_order(tmp_path, kind, form):
    if form == "archive":
        where = archive(tmp_path / f"cifar-10-{kind}.tar.gz", files(kind))
    else:
        for name, content in files(kind).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
        where = tmp_path if form == "parent" else next(tmp_path.iterdir())
    found = cifar10(where, verify=False)
    wanted = batches()
    for split, names in (("train", NAMES[:5]), ("test", NAMES[5:])):
        images, labels = found[split]
        rows = np.concatenate([wanted[name][0] for name in names])
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, np.concatenate([wanted[name][1] for name in names]))
        for red_green_blue in range(3):
            plane = rows[:, 1024 * red_green_blue : 1024 * (red_green_blue + 1)].reshape(-1, 32, 32)
            np.testing.assert_array_equal(images[..., red_green_blue], plane)


def test_a_task_can_name_the_folder(tmp_path):
    for name, content in files("binary").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    splits = image_data(str(tmp_path), n=4, targets=2)
    assert splits["train"][0].shape == (4, 32, 32, 3)
    assert len(splits["test"][1]) == 2


def test_an_archive_that_is_not_the_official_one_is_refused(tmp_path):
    other = archive(tmp_path / "cifar-10-binary.tar.gz", files("binary"))
    with pytest.raises(CorruptError, match=r"has md5 .*official"):
        cifar10(other)


class Boom:
    def __reduce__(self):
        return print, ("code in a pickle ran",)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, capsys):
    bad = files("python") | {"cifar-10-batches-py/data_batch_3": pickle.dumps({b"data": Boom(), b"labels": []})}
    with pytest.raises(CorruptError, match=r"data_batch_3 .*builtins\.print"):
        cifar10(archive(tmp_path / "a.tar.gz", bad), verify=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cifar-10-batches-bin/data_batch_2.bin": b"\0" * 3000}, "no whole number of records"),
        ({"cifar-10-batches-bin/data_batch_2.bin": b"\x0b" * 3073}, "labels are not numbers 0 to 9"),
        ({"cifar-10-batches-bin/data_batch_2.bin": None}, "lacks data_batch_2.bin"),
        ({"cifar-10-batches-bin/test_batch.bin": None}, "holds no CIFAR-10 batches"),
    ],
)
def test_damage_is_named(tmp_path, change, message):
    wrong = {name: content for name, content in (files("binary") | change).items() if content is not None}
    with pytest.raises(CorruptError, match=message):
        cifar10(archive(tmp_path / "a.tar.gz", wrong), verify=False)


def test_a_torn_archive_is_damaged(tmp_path):
    whole = archive(tmp_path / "a.tar.gz", files("binary"))
    whole.write_bytes(whole.read_bytes()[:-3000])
    with pytest.raises(CorruptError, match="not a whole archive"):
        cifar10(whole, verify=False)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="holds no CIFAR-10: give cifar-10-binary"):
        cifar10(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"has no data_batch_1\.bin"):
        cifar10(tmp_path)
