"""Leakage by inputs: planted copies of pictures, texts, rows and embeddings, and nothing where there is none."""

import numpy as np
import pytest

from subtrain import Datamodels
from subtrain.errors import InputError
from subtrain.uses.kit.input_likeness import likeness
from subtrain.uses.leakage import leakage

N, T, COPIES = 400, 150, 12
RANDOM = np.random.default_rng(1)
NOTHING = Datamodels(np.zeros((N, T), np.float32), np.zeros(T), np.zeros(T), {"output": "test_margins"})
UNITS = RANDOM.choice(N, COPIES, replace=False)
PLANTED = {(k, int(unit)) for k, unit in enumerate(UNITS)}


def pictures(colors):
    """Smooth random pictures, and those of targets, of which the first ones are in the training set, changed."""
    waves = RANDOM.normal(size=(N + T, 6, 6))
    found = np.repeat(np.repeat(waves, 2, axis=1), 2, axis=2)
    found = (128 + 40 * (found + np.roll(found, 1, axis=1) + np.roll(found, 1, axis=2)) / 3).clip(0, 255)
    found = np.stack([found] * 3, axis=-1) if colors else found
    x, z = found[:N].astype(np.uint8), found[N:].astype(np.uint8)
    for k, unit in enumerate(UNITS):
        x[unit] = (z[k], z[k][:, ::-1], np.roll(z[k], 1, axis=1))[k % 3]
    return x, z


def named(found):
    suspect = found.q <= 0.1
    return set(zip(found.target[suspect].tolist(), found.unit[suspect].tolist(), strict=True))


@pytest.mark.parametrize("colors", [False, True])
def test_copies_of_pictures_are_named_with_what_was_done_to_them(colors):
    found = leakage(NOTHING, inputs=pictures(colors))
    assert named(found) >= PLANTED
    assert len(named(found) - PLANTED) <= 3
    by = {int(t): str(b) for t, b in zip(found.target, found.by, strict=True)}
    assert [by[k] for k in range(3)] == ["pixels", "mirrored pixels", "cropped or moved pixels"]
    assert "can be told by weights and pixels or mirrored pixels" in found.finding()


def test_clean_inputs_have_no_small_p_values_and_no_suspects():
    found = leakage(NOTHING, inputs=(RANDOM.normal(size=(N, 30)), RANDOM.normal(size=(T, 30))))
    assert len(named(found)) <= 1
    for level in (0.05, 0.2, 0.5):
        assert (found.all_p < level).mean() < level + 0.08


def copied_texts():
    letters = RANDOM.choice(list("abcdefghijklmnoprstuvw"), (500, 6))
    lines = [" ".join(row) for row in RANDOM.choice(["".join(word) for word in letters], (N + T, 12))]
    units, targets = lines[:N], lines[N:]
    for k, unit in enumerate(UNITS):
        units[unit] = targets[k].replace(" ", " and ", 1)
    return units, targets


def copied_numbers():
    units, targets = RANDOM.normal(size=(N, 8)), RANDOM.normal(size=(T, 8))
    units[UNITS] = targets[:COPIES] + 1e-3
    return units, targets


def copied_rows():
    numbers, kinds = copied_numbers(), [RANDOM.choice(["a", "b", "c"], size) for size in (N, T)]
    kinds[0][UNITS] = kinds[1][:COPIES]
    both = zip(numbers, kinds, strict=True)
    return tuple({**{f"c{j}": part[:, j] for j in range(8)}, "kind": kind} for part, kind in both)


@pytest.mark.parametrize(
    ("copied", "by"), [(copied_texts, "texts"), (copied_numbers, "inputs"), (copied_rows, "columns")]
)
def test_copies_of_texts_rows_and_embeddings_are_named(copied, by):
    found = leakage(NOTHING, inputs=copied())
    assert named(found) >= PLANTED
    assert len(named(found) - PLANTED) <= 3
    assert by in found.by.tolist()


def test_an_input_that_says_nothing_hides_no_copy_that_weights_name():
    weight = RANDOM.standard_t(4, size=(N, T)).astype(np.float32)
    weight[UNITS, np.arange(COPIES)] = 2000.0
    dm = Datamodels(weight, np.zeros(T), np.zeros(T), {"output": "test_margins"})
    useless = RANDOM.normal(size=(N, 20)), RANDOM.normal(size=(T, 20))
    assert named(leakage(dm, inputs=useless)) >= PLANTED
    assert set(leakage(dm, inputs=useless).by[:5].tolist()) == {"weights"}
    assert named(leakage(dm, inputs=False)) >= PLANTED


def test_an_example_is_no_copy_of_itself():
    x = RANDOM.normal(size=(N, 10))
    own = Datamodels(np.zeros((N, N), np.float32), np.zeros(N), np.zeros(N), {"output": "train_margins"})
    assert len(named(leakage(own, inputs=(x, x)))) <= 4


def test_inputs_that_do_not_match_are_refused():
    x, z = RANDOM.normal(size=(N, 3)), RANDOM.normal(size=(T, 3))
    with pytest.raises(InputError, match="inputs are of 399 units and 150 targets, not 400 and 150"):
        leakage(NOTHING, inputs=(x[1:], z))
    with pytest.raises(InputError, match="give numbers of one shape, or texts"):
        leakage(NOTHING, inputs=(x, z[:, 1:]))
    with pytest.raises(InputError, match="must be finite"):
        likeness((np.full((N, 3), np.nan), z))
    with pytest.raises(InputError, match="shows no pictures, texts or rows"):
        leakage(NOTHING, inputs=True)
    with pytest.raises(InputError, match="other columns"):
        likeness(({"a": [1, 2]}, {"b": [1, 2]}))
