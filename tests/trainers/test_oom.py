"""Out of memory is recognised by what frameworks raise, without importing them."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain.trainers.kit.out_of_memory import is_out_of_memory, release_memory


class OutOfMemoryError(RuntimeError):
    pass


class Wrapped(OutOfMemoryError):
    pass


def caused():
    try:
        raise ValueError("a model failed") from MemoryError()
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**9, 10**9), np.dtype(float)),
        OutOfMemoryError("CUDA"),
        Wrapped(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes"),
        caused(),
    ],
    ids=repr,
)
def test_out_of_memory(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [ValueError("CUDA out of memory"), RuntimeError("bad"), KeyboardInterrupt()], ids=repr
)
def test_other_errors(error):
    assert not is_out_of_memory(error)


def test_the_class_pytorch_raises():
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))


def test_memory_can_be_released_without_a_device():
    release_memory()
