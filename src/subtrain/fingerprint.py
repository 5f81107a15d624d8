"""One number of settings and arrays, for tasks whose code is subtrain's own, and for designs and studies."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import numpy as np

from subtrain.outputs import Output


def fingerprint(*parts: object) -> str:
    """sha256 over arrays (dtype, shape, bytes), strings, and anything JSON can write."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and not part.dtype.hasobject:
            head, body = f"{part.dtype.str}{part.shape}", np.ascontiguousarray(part).tobytes()
        else:
            head, body = "", json.dumps(part, sort_keys=True, default=plain).encode()
        digest.update(f"{head}:{len(body)}:".encode())
        digest.update(body)
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """A value as JSON; of what JSON has no word for, its text without addresses."""
    if isinstance(value, Output):
        return value.to_json()
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.tolist() if array.dtype.hasobject else fingerprint(array)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
