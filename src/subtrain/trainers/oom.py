"""Recognising that a device ran out of memory, and giving back what can be given back."""

from __future__ import annotations

import gc
import sys


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or one it was raised from, says that a device's memory is exhausted.

    Does not import torch: where it is not loaded, nothing can have raised its error.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if _says_so(link):
            return True
        link = link.__cause__ or link.__context__
    return False


def _says_so(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    kind = getattr(torch, "OutOfMemoryError", None)
    if isinstance(kind, type) and isinstance(error, kind):
        return True
    # cuBLAS, cuDNN and the driver report it as a plain RuntimeError of their own wording.
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        phrase in words for phrase in ("cuda error: out of memory", "cublas_status_alloc_failed", "cuda out of memory")
    )


def release_memory() -> None:
    """Give cached device memory back. Call it outside the `except` block: its traceback holds tensors alive."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
