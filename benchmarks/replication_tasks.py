"""The tasks of the replication: small networks on Fashion-MNIST and CIFAR-10, with duplicates planted in the former.

The data are not part of this project; see image_tasks.py for the folder that `data` names.
"""

from __future__ import annotations

from pathlib import Path

import image_tasks
import numpy as np
from planted_duplicates import planted

import subtrain as st
from subtrain.trainers.kit.sgd import Sgd

CLEAN, EACH = 200, 10
"""Targets without a duplicate in the training set, and targets with one of each kind."""

OUTPUTS = ["test_margins", "test_logits"]


def fashion(data, epochs=10):
    """MLP-128 on 5,000 Fashion-MNIST images, 40 of them duplicates of the last 40 of 240 targets."""
    x, y, x_test, y_test, _ = fashion_images(data)
    x, x_test = (part.reshape(len(part), -1) / 255 for part in (x, x_test))
    recipe = Sgd(epochs=epochs, batch=64, lr=0.05, weight_decay=0.005)
    return st.tasks.mlp(x, y, x_test, y_test, (128,), recipe, "shared", OUTPUTS)


def cifar(data, n=1000, targets=100, epochs=8):
    """A convolutional network of 8 and 16 channels on 1,000 images of the lossless subset of CIFAR-10."""
    x, y, x_test, y_test = image_tasks.cifar(data)
    recipe = Sgd(epochs=epochs, batch=32, lr=0.05, weight_decay=0.002)
    splits = x[:n], y[:n], x_test[:targets], y_test[:targets]
    return st.tasks.cnn(*splits, (8, 16), recipe=recipe, init="shared", outputs=OUTPUTS)


def fashion_images(data):
    """Images uint8 and labels of both splits, and the units that duplicate the last targets."""
    folder = Path(data) / "fashion-mnist"
    x, y, x_test, y_test = image_tasks.fashion_splits(folder)
    random = np.random.RandomState(1)
    units = random.permutation(len(y))[: image_tasks.UNITS]
    targets = random.permutation(len(y_test))[: CLEAN + 4 * EACH]
    x, y, copies = planted(x[units], y[units].astype(np.int64), x_test[targets], y_test[targets], EACH)
    return x, y, x_test[targets], y_test[targets].astype(np.int64), copies
