"""A safetensors file of a store that is not on this machine: only the arrays asked for are fetched."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.store.protocol import Store

# Enough for the header and the arrays of most segments: one request instead of two.
_FIRST = 1 << 20
# Most bytes of a header, as safetensors has it.
_HEADER = 100_000_000
_DTYPES = {
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)},
    "BOOL": "?",
}


class RemoteTensors:
    """What `safetensors.safe_open` offers of a file, read in ranges. Raises ValueError where the file is torn."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.head = store.read_range(name, 0, _FIRST)
        size = int.from_bytes(self.head[:8], "little")
        if size > _HEADER:
            raise ValueError(f"it declares a header of {size} bytes")
        self.start = 8 + size
        raw = self._bytes(8, self.start)
        self.entries: dict[str, Any] = json.loads(raw)
        if not isinstance(self.entries, dict):
            raise ValueError("its header is no table of arrays")

    def __enter__(self) -> RemoteTensors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.head = b""

    def metadata(self) -> dict[str, str]:
        found = self.entries.get("__metadata__", {})
        return found if isinstance(found, dict) else {}

    def get_tensor(self, name: str) -> NDArray[Any]:
        entry = self.entries[name]
        first, last = (int(at) for at in entry["data_offsets"])
        data = self._bytes(self.start + first, self.start + last)
        array: NDArray[Any] = np.frombuffer(data, np.dtype(_DTYPES[entry["dtype"]])).reshape(entry["shape"])
        return array

    def _bytes(self, start: int, stop: int) -> bytes:
        if not 0 <= start <= stop <= 1 << 40:
            raise ValueError(f"it declares bytes {start} to {stop}")
        if start == stop:
            return b""
        data = self.head[start:stop] if stop <= len(self.head) else b""
        if not data and len(self.head) == _FIRST:
            data = self.store.read_range(self.name, start, stop)
        if len(data) != stop - start:
            raise ValueError("it ends too early")
        return data
