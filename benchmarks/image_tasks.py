"""Tasks on real images for benchmarks: half of 5,000 Fashion-MNIST or CIFAR-10 images a model.

The data are not part of this project. `data` is a folder with fashion-mnist/ (the four idx.gz files of Zalando
Research) and cifar10/cifar10_lossless_subset.npz (x_train uint8 [7897, 32, 32, 3], y_train, x_test, y_test).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

import subtrain as st
from subtrain.errors import InputError
from subtrain.trainers.kit.sgd import Sgd

UNITS, TARGETS = 5000, 200


def fashion_mlp(data, epochs=10):
    """MLP-128: 83 % on the test set after training on 2,500 images."""
    x, y, x_test, y_test = (split.reshape(len(split), -1) / 255 if split.ndim > 1 else split for split in fashion(data))
    recipe = Sgd(epochs=epochs, batch=64, lr=0.05, weight_decay=0.005)
    return st.tasks.mlp(x, y, x_test, y_test, (128,), recipe, "shared", ["test_margins"])


def fashion_cnn(data, epochs=10):
    """Two blocks of 8 and 16 channels: 86 % after training on 2,500 images."""
    recipe = Sgd(epochs=epochs, batch=32, lr=0.05, weight_decay=0.002)
    return st.tasks.cnn(*fashion(data), (8, 16), recipe=recipe, init="shared", outputs=["test_margins"])


def cifar_cnn(data, epochs=8):
    """Three blocks of 16, 32 and 64 channels: 54 % after training on 2,500 images."""
    recipe = Sgd(epochs=epochs, batch=32, lr=0.03, weight_decay=0.002)
    return st.tasks.cnn(*cifar(data), (16, 32, 64), recipe=recipe, init="shared", outputs=["test_margins"])


def fashion(data):
    """Images uint8 [5000, 28, 28] and labels, of the training set; [200, 28, 28] and labels, of the test set."""
    return _chosen(*fashion_splits(Path(data) / "fashion-mnist"))


def fashion_splits(folder):
    """All of Fashion-MNIST: images and labels to train, then to test."""
    splits = []
    for name in ("train", "t10k"):
        splits += [_idx(folder / f"{name}-images-idx3-ubyte.gz"), _idx(folder / f"{name}-labels-idx1-ubyte.gz")]
    return splits


def cifar(data):
    """Images uint8 [5000, 32, 32, 3] and labels, of the training set; [200, 32, 32, 3] and labels, of the test set."""
    path = Path(data) / "cifar10" / "cifar10_lossless_subset.npz"
    _require(path)
    with np.load(path) as file:
        return _chosen(*(file[name] for name in ("x_train", "y_train", "x_test", "y_test")))


def _chosen(x, y, x_test, y_test):
    random = np.random.RandomState(0)
    units, targets = random.permutation(len(y))[:UNITS], random.permutation(len(y_test))[:TARGETS]
    return x[units], y[units].astype(np.int64), x_test[targets], y_test[targets].astype(np.int64)


def _idx(path):
    """The array in an idx file of bytes: two zeros, type 8, dimensions, their sizes big-endian, then the numbers."""
    _require(path)
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\0\0\x08":
        raise InputError(f"{path} is not an idx file of bytes")
    shape = np.frombuffer(raw, ">i4", raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def _require(path):
    if not path.is_file():
        raise InputError(f"{path} is not there: give the folder that holds fashion-mnist/ and cifar10/ as --data")
