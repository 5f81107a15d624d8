"""Whether an error means that memory ran out, of the host or of a device."""

from __future__ import annotations


def is_out_of_memory(error: BaseException) -> bool:
    """True for MemoryError, and for what PyTorch, CuPy and JAX raise when a device is full; none of them is imported.

    An error raised from such a one counts too.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or any("OutOfMemoryError" in kind.__name__ for kind in type(seen).__mro__):
            return True
        if isinstance(seen, RuntimeError) and any(words in str(seen) for words in _WORDS):
            return True
        seen = seen.__cause__
    return False


_WORDS = ("CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "RESOURCE_EXHAUSTED")
