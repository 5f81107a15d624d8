"""Which errors say that a device's memory is exhausted."""

import subprocess
import sys

import pytest

from subtrain.trainers.oom import is_out_of_memory, release_memory

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.xdist_group("torch")


def chained(first, then):
    try:
        try:
            raise first
        except type(first) as error:
            raise then from error
    except type(then) as error:
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("no more"), True),
        (torch.cuda.OutOfMemoryError("no more"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuBLAS: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (chained(torch.OutOfMemoryError("no more"), ValueError("model 3 failed")), True),
        (MemoryError(), False),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("CUDA out of memory"), False),
    ],
    ids=repr,
)
def test_recognised(error, expected):
    assert is_out_of_memory(error) is expected


def test_without_torch_nothing_is_and_torch_is_not_loaded():
    code = (
        "import sys\nfrom subtrain.trainers.oom import is_out_of_memory, release_memory\n"
        "release_memory()\nprint(is_out_of_memory(ValueError('x')), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "False False"


def test_memory_can_be_released_without_a_device():
    release_memory()
