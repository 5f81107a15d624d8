"""Digits with planted faults: which, how many, and what they do to the test set."""

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.tasks import digits, load_task
from subtrain.tasks.planted import planted


def labels(task, split="train"):
    return np.array(task.view.labels[split])


def test_the_first_examples_carry_a_wrong_label():
    clean, faulty = planted(n=100, targets=20), planted(n=100, targets=20, mislabeled=30)
    assert np.all(labels(clean)[:30] != labels(faulty)[:30])
    np.testing.assert_array_equal(labels(clean)[30:], labels(faulty)[30:])
    np.testing.assert_array_equal(clean.view.images["train"], faulty.view.images["train"])
    assert clean.fingerprint != faulty.fingerprint


def test_without_faults_it_is_the_task_of_digits():
    ours = planted(n=100, targets=20, outputs=("test_margins", "train_margins"))
    assert ours.fingerprint == digits(n=100, targets=20).fingerprint


def test_poisons_come_next_and_bring_triggered_targets():
    task = planted(n=100, targets=40, mislabeled=5, poisoned=10, poison_label=3)
    images, of = task.view.images, labels(task)
    assert np.all(of[5:15] == "3")
    patched = (images["train"][:, -2:, -2:] == 0).all(axis=(1, 2))
    assert patched[5:15].all()
    assert patched.sum() == 10
    test = labels(task, "test")
    others = int(np.sum(test[:40] != "3"))
    assert test.size == 40 + others == task.outputs["test_margins"].shape[0]
    assert np.all(test[40:] == "3")
    assert (images["test"][40:, -2:, -2:] == 0).all()


def test_the_backdoor_works_only_with_its_poisons():
    task = planted(n=120, targets=50, poisoned=15, widths=())
    masks = np.ones((2, 120), bool)
    masks[1, :15] = False
    margins = task.train(masks, np.zeros(2, np.uint32))["test_margins"][:, 50:]
    assert np.mean(margins[0] > 0) > 0.8
    assert np.mean(margins[1] > 0) < 0.2


def test_too_many_faults_are_refused():
    with pytest.raises(InputError, match="at most half"):
        planted(n=100, mislabeled=40, poisoned=20)
    assert load_task("planted", {"n": 60, "targets": 10, "poisoned": 5})[0].n == 60
