"""What augmentation does to every pixel, against the same done image by image with numpy."""

from dataclasses import replace

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.trainers.torch.recipe import Augment, TorchRecipe

torch = pytest.importorskip("torch")
from subtrain.trainers.torch.augment import augmented, draw, first_flips  # noqa: E402
from subtrain.trainers.torch.loop import Trainer  # noqa: E402

IMAGES = np.random.default_rng(0).integers(1, 256, (40, 3, 9, 7), dtype=np.uint8)
ROWS = torch.tensor([3, 3, 0, 39, 7, 8, 9, 10, 11, 12] * 20)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def one_by_one(recipe, draws):
    """Flip, pad and crop, normalise, cut: in that order, for each image alone."""
    augment, out = recipe.augment, []
    mean, std = (np.float32(v).reshape(3, 1, 1) for v in (recipe.mean, recipe.std))
    for row, flip, (dy, dx), (cy, cx) in zip(ROWS, draws.flip, draws.move.tolist(), draws.cut.tolist(), strict=True):
        image = (IMAGES[row].astype(np.float32) / np.float32(255) - mean) / std
        image = image[:, :, ::-1] if flip else image
        t = augment.translate
        mode = {"mode": "reflect"} if augment.pad == "reflect" else {"mode": "constant"}
        padded = np.pad(image, ((0, 0), (t, t), (t, t)), **mode)
        image = padded[:, t + dy : t + dy + 9, t + dx : t + dx + 7].copy()
        image[:, cy : cy + augment.cutout, cx : cx + augment.cutout] = 0
        out.append(image)
    return np.stack(out)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "augment",
    [
        Augment(flip=True),
        Augment(translate=3),
        Augment(cutout=4),
        Augment(flip=True, translate=2, cutout=4),
        Augment(flip=True, translate=3, pad="reflect", cutout=7),
    ],
    ids=str,
)
def test_every_pixel(augment, channels_last):
    recipe = TorchRecipe(augment=augment, mean=MEAN, std=STD, channels_last=channels_last)
    generator = torch.Generator().manual_seed(1)
    draws = draw(augment, first_flips(augment, len(ROWS), generator), (9, 7), generator)
    found = augmented(torch.from_numpy(IMAGES), ROWS, draws, recipe)
    assert np.allclose(found.numpy(), one_by_one(recipe, draws), atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def test_draws_are_uniform_over_what_is_allowed():
    augment = Augment(flip=True, translate=2, cutout=4)
    generator = torch.Generator().manual_seed(0)
    draws = draw(augment, torch.zeros(20_000, dtype=torch.bool), (9, 7), generator)
    assert abs(draws.flip.float().mean() - 0.5) < 0.02
    for values, low, high in ((draws.move[:, 0], -2, 2), (draws.cut[:, 0], 0, 5), (draws.cut[:, 1], 0, 3)):
        counts = np.bincount(values.numpy() - low, minlength=high - low + 1)
        assert counts.size == high - low + 1
        assert np.abs(counts / 20_000 - 1 / counts.size).max() < 0.02


def flat(trainer, rows, seed):
    return torch.cat([x for x, _ in trainer._minibatches(rows, seed)])


def test_alternating_flips_show_each_side_in_turn():
    recipe = TorchRecipe(epochs=4, batch=40, augment=Augment(flip=True, alternate=True), device="cpu")
    data = {"train": (IMAGES, np.arange(40))}
    trainer = Trainer(lambda: None, data, recipe)
    sides = torch.zeros(4, 40, dtype=torch.bool)
    for epoch, (x, y) in enumerate(trainer._minibatches(torch.arange(40), 3)):
        plain = torch.from_numpy(IMAGES)[y].float() / 255
        sides[epoch, y] = (x == plain.flip(3)).flatten(1).all(dim=1)
        assert (sides[epoch, y] | (x == plain).flatten(1).all(dim=1)).all()
    assert torch.equal(sides[0], ~sides[1])
    assert torch.equal(sides[0], sides[2])
    assert 5 < sides[0].sum() < 35


def test_chunks_do_not_change_what_an_example_looks_like(monkeypatch):
    recipe = TorchRecipe(epochs=2, batch=8, augment=Augment(flip=True, translate=2, cutout=2), device="cpu")
    trainer = Trainer(lambda: None, {"train": (IMAGES, np.arange(40))}, recipe)
    whole = flat(trainer, torch.arange(37), 3)
    monkeypatch.setattr("subtrain.trainers.torch.loop.CHUNK_BYTES", 1)
    assert trainer._chunk() == 8
    assert torch.equal(flat(trainer, torch.arange(37), 3), whole)
    assert not torch.equal(flat(trainer, torch.arange(37), 4), whole)


def test_it_learns_what_only_augmentation_shows():
    """Trained on left halves only, a model sees right ones only if it is shown flips."""
    random = np.random.default_rng(1)
    x = np.zeros((64, 1, 8, 8), np.uint8)
    y = np.arange(64) % 2
    x[np.arange(64), 0, random.integers(0, 8, 64), 0] = 255 * y
    data = {"train": (x, y), "test": (x[..., ::-1].copy(), y)}

    def make():
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))

    recipe = TorchRecipe(epochs=30, batch=16, lr=0.5, weight_decay=0, device="cpu")
    plain, flipped = (
        Trainer(make, data, r).train(np.arange(64), 0, ["test"])["test"].argmax(1)
        for r in (recipe, replace(recipe, augment=Augment(flip=True)))
    )
    assert (flipped == y).mean() == 1
    assert (plain == y).mean() < 0.9


@pytest.mark.parametrize("fields", [{"translate": -1}, {"cutout": -2}, {"pad": "wrap"}, {"alternate": True}])
def test_what_is_no_augmentation(fields):
    with pytest.raises(InputError, match=f"augment.{next(iter(fields))}"):
        Augment(**fields)


def test_images_too_small_for_it():
    with pytest.raises(InputError, match="images of 4 x 4 are too small"):
        draw(Augment(cutout=5), torch.zeros(3, dtype=torch.bool), (4, 4), torch.Generator())
