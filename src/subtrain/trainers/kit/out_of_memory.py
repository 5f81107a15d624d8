"""Whether an error means that memory ran out, of the host or of a device, and giving back what is only cached."""

from __future__ import annotations

import gc
import sys

# What cuBLAS, the CUDA driver and JAX put into a plain RuntimeError; and what torch's DataLoader, joblib and
# concurrent.futures say of a helper process that the system killed.
_WORDS = (
    "cuda out of memory",
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "resource_exhausted",
    "is killed by signal: killed",
    "sigkill(-9)",
)


def is_out_of_memory(error: BaseException) -> bool:
    """True for MemoryError, and for what PyTorch, CuPy and JAX raise when a device is full; none of them is imported.

    An error that came of such a one counts too.
    """
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        if _says_so(link):
            return True
        seen.append(link)
        link = link.__cause__ or link.__context__
    return False


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or any("OutOfMemoryError" in kind.__name__ for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def release_memory() -> None:
    """Give cached device memory back. Call it outside the `except` block, whose traceback holds tensors alive."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
