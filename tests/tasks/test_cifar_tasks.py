"""The image recipes end to end, at sizes a processor trains in seconds."""

import io

import numpy as np
import pytest
from PIL import Image

from subtrain.errors import InputError
from subtrain.outputs import check
from subtrain.tasks import load_task
from subtrain.tasks.cifar import RESNET9, airbench, resnet9
from subtrain.tasks.fmow import resnet18
from subtrain.tasks.kit.pixels import image_data

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_torch_thread")

RANDOM = np.random.default_rng(0)
Y, Y_TEST = RANDOM.integers(0, 3, 60), RANDOM.integers(0, 3, 20)


def pictures(labels, side=32):
    """Each class has a color of its own, under noise."""
    noise = RANDOM.integers(0, 120, (len(labels), side, side, 3))
    noise[np.arange(len(labels)), :, :, labels] += 120
    return noise.astype(np.uint8)


DATA = (pictures(Y), Y, pictures(Y_TEST), Y_TEST)
SMALL = {"width": 4, "batch": 8, "device": "cpu"}
MASKS, SEEDS = RANDOM.random((2, 60)) < 0.6, np.array([5, 6], np.uint32)


@pytest.mark.parametrize(
    ("factory", "changes"),
    [
        (resnet9, {"epochs": 12, "lr": 0.1, "dtype": "float32"}),
        (resnet9, {"epochs": 12, "lr": 0.1, "dtype": "bfloat16"}),
        (airbench, {"epochs": 8, "lr": 0.3, "dtype": "float32"}),
    ],
    ids=["resnet9", "resnet9 bfloat16", "airbench"],
)
def test_it_learns_and_depends_on_mask_and_seed_only(factory, changes):
    task = factory(DATA, outputs=["test_margins", "train_correctness"], **SMALL, **changes)
    found = check(task.outputs, task.train(MASKS, SEEDS), range(2))
    assert (found["test_margins"] > 0).mean() > 0.7
    alone = task.train(MASKS[1:2], SEEDS[1:2])
    assert np.array_equal(check(task.outputs, alone, [1])["test_margins"][0], found["test_margins"][1])


def test_resnet18_learns():
    data = (pictures(Y, 40), Y, pictures(Y_TEST, 40), Y_TEST)
    task = resnet18(data, **SMALL, epochs=12, dtype="float32", lr=0.05)
    assert (task.train(MASKS[:1], SEEDS[:1])["test_margins"] > 0).mean() > 0.7


@pytest.mark.parametrize("factory", [resnet9, airbench, resnet18])
def test_the_dtype_of_outputs_is_apart_from_the_precision_of_training(factory):
    task = factory(DATA, **SMALL, dtype="bfloat16", output_dtype="float32", outputs=["test_margins", "test_losses"])
    assert [spec.dtype for spec in task.outputs.values()] == ["float32", "float32"]
    assert factory(DATA, **SMALL).outputs["test_margins"].dtype == "float16"


def test_resnet9_is_the_papers_recipe():
    assert (RESNET9.epochs, RESNET9.batch, RESNET9.lr, RESNET9.momentum) == (24, 512, 0.5, 0.9)
    factors = RESNET9.factors(25_000)
    assert len(factors) == 24 * 48  # as the paper's loader, which drops the last minibatch
    assert np.argmax(factors) == 5 * 48
    assert max(factors) == 1


@pytest.fixture
def files(tmp_path):
    names = dict(zip(("x_train", "y_train", "x_test", "y_test"), DATA, strict=True))
    np.savez(tmp_path / "all.npz", **names)
    for split, x, y in (("train", DATA[0], Y), ("test", DATA[2], Y_TEST)):
        parts = []
        for image in x:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=95)
            parts.append(file.getvalue())
        offsets = np.cumsum([0] + [len(part) for part in parts])
        np.savez(tmp_path / f"j_{split}.npz", data=np.frombuffer(b"".join(parts), np.uint8), offsets=offsets, labels=y)
    return tmp_path


def test_files_of_pixels_and_of_jpegs(files):
    pixels = image_data(str(files / "all.npz"), n=50)
    jpegs = image_data(str(files / "j_{split}.npz"), n=50, targets=7)
    assert np.array_equal(pixels["train"][0], DATA[0][:50])
    assert np.array_equal(pixels["test"][0], DATA[2])
    assert np.array_equal(jpegs["train"][1], Y[:50])
    assert jpegs["test"][0].shape == (7, 32, 32, 3)
    assert np.abs(jpegs["train"][0].astype(int) - DATA[0][:50]).mean() < 40


@pytest.mark.parametrize("name", ["resnet9", "airbench", "resnet18"])
def test_built_in_by_name(name, files):
    params = {"data": str(files / "all.npz"), "targets": 5, "epochs": 1, "augment": {"flip": True}, **SMALL}
    task, source = load_task(name, params)
    assert source.name.endswith(f":{name}")
    assert task.outputs["test_margins"].shape == (5,)
    assert task.view.images["train"].shape == (60, 32, 32, 3)
    same, _ = load_task(name, params | {"device": None, "channels_last": False})
    other, _ = load_task(name, params | {"epochs": 2})
    assert same.fingerprint == task.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("no.npz", "there is no no.npz"),
        (DATA[:3], "got 3 things"),
        ((DATA[0].astype(float), *DATA[1:]), "train images must be uint8"),
        ((DATA[0], Y[:5], *DATA[2:]), "a label each"),
    ],
)
def test_what_is_no_image_data(data, said):
    with pytest.raises(InputError, match=said):
        resnet9(data)


def test_files_that_cannot_be_read(files):
    np.savez(files / "less.npz", x_train=DATA[0])
    with pytest.raises(InputError, match="no array named y_train, x_test, y_test"):
        resnet9(str(files / "less.npz"))
    (files / "torn.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"torn\.npz cannot be read"):
        resnet9(str(files / "torn.npz"))
    with pytest.raises(InputError, match="600 train images were asked for, there are 60"):
        resnet9(str(files / "all.npz"), n=600)
