"""Duplicates of test images planted in a training set, and how many of them a score finds."""

from __future__ import annotations

import numpy as np

from subtrain.uses.leakage import leakage, recall_at

KINDS = ("exact", "flipped", "cropped", "noisy")


def planted(x, y, x_test, y_test, each, seed=0):
    """Copies x, y with a changed duplicate of each of the last 4 * `each` test images; (x, y, units of those images).

    x, x_test uint8 [n, H, W(, C)]; duplicates take the place of random units, and the labels of their images.
    """
    random = np.random.default_rng(seed)
    x, y, count = x.copy(), y.copy(), len(KINDS) * each
    units = random.choice(len(x), count, replace=False)
    for k, (unit, target) in enumerate(zip(units, range(len(x_test) - count, len(x_test)), strict=True)):
        x[unit], y[unit] = changed(x_test[target], KINDS[k % len(KINDS)], random), y_test[target]
    return x, y, units


def changed(image, kind, random):
    """The image itself, mirrored, its middle 6/7 enlarged and moved by a pixel, or with noise of sd 25 of 255."""
    if kind == "flipped":
        return image[:, ::-1]
    if kind == "noisy":
        return np.clip(image + random.normal(0, 25, image.shape), 0, 255).astype(image.dtype)
    if kind == "cropped":
        side = len(image)
        edge = max(1, side // 14)
        at = np.clip(np.round(np.linspace(edge, side - 1 - edge, side)).astype(int), 0, side - 1)
        return np.roll(image[at][:, at], 1, axis=1)
    return image


def recalls(dm, images, images_test, units, rate=0.01, train=None):
    """Recall at this rate of false positives, by score and kind of duplicate; the last targets have the duplicates."""
    expected = _expected(len(images_test), units)
    scores = _scores(dm, train, images, images_test, expected)
    return {name: _by_kind(score, right, len(units), rate) for name, (score, right) in scores.items()}


def recalls_of(suspects, targets, units, rate=0.01):
    """The same of the suspects of one call of `leakage`."""
    return _by_kind(*_standing_out(suspects, _expected(targets, units)), len(units), rate)


def _expected(targets, units):
    """The unit that duplicates each target, -1 for a clean one."""
    return np.concatenate([np.full(targets - len(units), -1), units])


def _by_kind(score, right, count, rate):
    """Recall of all duplicates, which the last `count` targets have, and of each kind."""
    clean = np.arange(score.size) < score.size - count
    kinds = np.array([KINDS[k % len(KINDS)] for k in range(count)])
    found = {"all": recall_at(score, clean, right, rate)}
    for kind in KINDS:
        these = clean.copy()
        these[~clean] = kinds == kind
        found[kind] = recall_at(score[these], clean[these], right[these], rate)
    return found


def _scores(dm, train, images, images_test, expected):
    """Of each target the score of its likeliest duplicate, and whether that is the planted one."""
    similar = cosine(images_test, images)
    found = {} if train is None else {"`leakage`, by datamodels": _standing_out(leakage(dm, train=train), expected)}
    return found | {
        "`leakage`, by weights": _standing_out(leakage(dm, inputs=False), expected),
        "`leakage`, by weights and inputs": _standing_out(leakage(dm, inputs=(images, images_test)), expected),
        "largest weight": (dm.weight.max(axis=0), dm.weight.argmax(axis=0) == expected),
        "cosine similarity of pixels": (similar.max(axis=1), similar.argmax(axis=1) == expected),
    }


def _standing_out(suspects, expected):
    score, right = np.zeros(expected.size), np.zeros(expected.size, bool)
    for target in range(expected.size):
        here = suspects.target == target
        score[target] = -np.log(max(suspects.p[here][0], 1e-300)) if here.any() else 0.0
        right[target] = expected[target] in suspects.unit[here]
    return score, right


def cosine(a, b):
    """Cosine similarity of images [N, …] and [n, …] in pixel space, [N, n]."""
    a, b = (part.reshape(len(part), -1).astype(np.float32) for part in (a, b))
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
